"""How far what a board gives is from the source, on a few inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from deployx_edge.agent.client import InputTensor
from deployx_edge.bundle import Bundle
from deployx_edge.bundle.tensors import from_board_array, to_board_arrays
from deployx_edge.comparison import TOLERANCES, TensorComparison, is_finite
from deployx_edge.differences import BEYOND, ratio
from deployx_edge.measurement.candidates import SourceError
from deployx_edge.measurement.values import RunOptions
from deployx_edge.workflows.boards.session import Session
from deployx_edge.workflows.choose.inputs import SourceSide
from deployx_edge.workflows.measure.jobs import Candidate

if TYPE_CHECKING:
    from deployx_edge.model import Array

    Outputs = Mapping[str, Array]


@dataclass(frozen=True, kw_only=True)
class SourceErrors:
    """The errors of all candidates, by board; ``look`` is what a ``BenchJob`` calls."""

    side: SourceSide
    found: dict[tuple[str, Path, RunOptions], SourceError] = field(default_factory=dict)

    def look(self, session: Session, candidate: Candidate, model_id: str) -> None:
        """Run the loaded candidate on the inputs, and take in how far it is off."""
        if not candidate.is_told_by_outputs:
            return
        bundle = candidate.bundle
        requests = (_tensors(bundle, arrays) for arrays in self.side.inputs)
        replies = [
            {
                spec.name: from_board_array(bundle, spec, reply.outputs[spec.runtime_name])
                for spec in bundle.outputs
            }
            for reply in session.client.infer(model_id, requests)
        ]
        key = (session.identity.name, bundle.folder, candidate.options)
        self.found[key] = error_of(self.side.outputs, replies)


def error_of(wanted: Sequence[Outputs], found: Sequence[Outputs]) -> SourceError:
    """Of the outputs for several inputs; the figures are those of the worst output."""
    by_output = {}
    for name in wanted[0]:
        comparison = TensorComparison(name)
        for own, other in zip(wanted, found, strict=True):
            comparison.add(own[name], other[name])
        by_output[name] = comparison.check(TOLERANCES["fp32"], with_cosine=False)
    worst = max(by_output.values(), key=lambda check: check.relative_error)
    return SourceError(
        output=worst.output,
        relative=worst.relative_error,
        by_input=tuple(
            max(_one_input(own[name], other[name], by_output[name].variation) for name in by_output)
            for own, other in zip(wanted, found, strict=True)
        ),
    )


def _one_input(wanted: Array, found: Array, variation: float) -> float:
    if wanted.size != found.size or not is_finite([found]):
        return BEYOND
    if not wanted.size:
        return 0.0
    difference = found.astype("float64").reshape(-1) - wanted.astype("float64").reshape(-1)
    return ratio(math.sqrt(float((difference**2).mean())), variation)


def _tensors(bundle: Bundle, arrays: Outputs) -> list[InputTensor]:
    return [
        InputTensor(runtime_name=blob, array=array, batched=batched)
        for blob, (array, batched) in to_board_arrays(bundle, arrays).items()
    ]
