"""How the operators of a model go in one runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from deployx_edge.sources.onnx.canonical import CanonicalModel


@dataclass(frozen=True, kw_only=True)
class RefusedOperator:
    """A node that the runtime cannot run, and why."""

    operator: str
    node: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Inspected:
    """What a runtime says of a model.

    ``whole`` says why it cannot have the model at all, "" where that is not so; ``refused`` are
    single nodes. ``canonical`` is the model in the form that the runtime converts, None where it
    reads ONNX as it is. ``passes`` are those that found something to do for it, with the number
    of places.
    """

    whole: str
    refused: tuple[RefusedOperator, ...] = ()
    canonical: CanonicalModel | None = None
    passes: Mapping[str, int] = field(default_factory=dict)
