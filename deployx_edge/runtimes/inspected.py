"""How the operators of a model go in one runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from deployx_edge.errors import MissingToolError, ModelError
from deployx_edge.sources.onnx.canonical import CanonicalModel
from deployx_edge.sources.onnx.file import OnnxSource
from deployx_edge.sources.onnx.foreign import own_facts


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
    of places. ``own`` are the operators of our own (``ops/``) that it would run by.
    """

    whole: str
    refused: tuple[RefusedOperator, ...] = ()
    canonical: CanonicalModel | None = None
    passes: Mapping[str, int] = field(default_factory=dict)
    own: tuple[str, ...] = ()


class Checker(Protocol):
    """What can say of a model whether a runtime takes it (``Converter.check``)."""

    def check(self, source: OnnxSource) -> None:
        """ModelError where the runtime cannot have the model."""
        ...


def inspect_by_check(checker: Checker, source: OnnxSource) -> Inspected:
    """Of a runtime that takes or refuses a model as a whole; its reason names the node."""
    try:
        checker.check(source)
    except (ModelError, MissingToolError) as error:  # of the latter nobody can say; others can
        return Inspected(whole=str(error))
    own = {facts.name for facts in map(own_facts, source.nodes) if facts is not None}
    return Inspected(whole="", own=tuple(sorted(own)))
