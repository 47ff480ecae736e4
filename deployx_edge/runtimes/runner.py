"""Converted models run on this computer, by the runtimes' own Python packages."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from deployx_edge.differences import Values
from deployx_edge.errors import UsageError
from deployx_edge.model import TensorSpec
from deployx_edge.runtime import RUNTIMES, find_runtime
from deployx_edge.runtimes import load_runtime
from deployx_edge.runtimes.converter import ConvertedModel, HalfOverflows
from deployx_edge.sources.onnx.file import OnnxSource

if TYPE_CHECKING:
    from deployx_edge.model import Array

Arrays = Mapping[str, "Array"]


@dataclass(frozen=True, kw_only=True)
class Producer:
    """The layer of a converted model that makes a tensor, and the runtime's name for that."""

    layer: str
    type: str
    runtime_name: str


# Is given the runtime's name for a tensor and its values, in the runtime's own shape; they are
# taken before it returns.
Take = Callable[[str, Values], None]


def take_nothing(name: str, values: Values) -> None:
    """Takes nothing."""


def take_into(found: dict[str, Array]) -> Take:
    """Puts the arrays there, by the runtime's names."""

    def take(name: str, values: Values) -> None:
        found[name] = values.whole()

    return take


class OpenModel(Protocol):
    """A converted model that is loaded in its runtime.

    ``overflows`` is what half floats could not hold in the runs that were to ``measure`` that,
    None where it is not looked at.
    """

    overflows: HalfOverflows | None

    def run(
        self,
        arrays: Arrays,
        inner: Sequence[str] = (),
        take: Take = take_nothing,
        *,
        measure: bool = False,
    ) -> dict[str, Array]:
        """The model's outputs by name; ``take`` gets the ``inner`` in the order of the layers.

        Outputs have the source's shape where they fit it, else the runtime's own.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Culprit:
    """Who else than the converter is to blame for wrong outputs, and what to do about it."""

    sentence: str
    remedy: str


class Runner(Protocol):
    """One runtime on this computer, and what is to be known of its tensors to compare them."""

    @property
    def step_quantized(self) -> Collection[str]:
        """The types of layers that quantize inside, at each step, in an int8 model."""
        ...

    def open(self, model: ConvertedModel) -> AbstractContextManager[OpenModel]:
        """Load the model; ModelError where the runtime refuses it."""
        ...

    def producers(self, model: ConvertedModel, names: Sequence[str]) -> dict[str, Producer]:
        """Those of the source's tensors that the model makes too, in the order of its layers."""
        ...

    def matched(self, model: ConvertedModel, source: OnnxSource) -> Mapping[str, Producer]:
        """The same where no name survived, by other marks; none where there are no such marks."""
        ...

    def tensors(self, model: ConvertedModel) -> tuple[str, ...]:
        """The runtime's names of all that the model's layers make."""
        ...

    def name_of(self, tensor: str) -> str:
        """The runtime's name for a tensor of the source."""
        ...

    def as_values(self, model: ConvertedModel, tensors: Arrays) -> dict[str, Array]:
        """Tensors by their names as values, where the model hands on quantized values."""
        ...

    def as_handed_on(self, model: ConvertedModel, tensors: Arrays) -> dict[str, Array]:
        """Tensors in floats, by the source's names, rounded as the model rounds them."""
        ...

    def culprit(self, model: ConvertedModel, inputs: Sequence[Arrays]) -> Culprit | None:
        """Whether the runtime itself is wrong about a model whose outputs differ."""
        ...


def run_converted(model: ConvertedModel, inputs: Sequence[Arrays]) -> tuple[dict[str, Array], ...]:
    """The converted model's outputs by name for each set of inputs (see ``OpenModel``).

    Those that its file stands for, as with ``open_for_proof``.
    """
    with open_for_proof(model) as opened:
        return tuple(opened.run(arrays) for arrays in inputs)


def open_converted(model: ConvertedModel) -> AbstractContextManager[OpenModel]:
    """The converted model, loaded in its runtime on this computer.

    UsageError for a runtime that only boards have: what something else computes is not its result.
    """
    facts = find_runtime(model.runtime)
    if not facts.runs_here:
        other = next(row.name for row in RUNTIMES.values() if row.reads_onnx and row.runs_here)
        raise UsageError(
            f"{facts.title} does not run on this computer, so what it gives is known on a board "
            "only.",
            remedy="Name a board with --device. What the model computes by itself is shown with "
            f"--runtime {other}.",
        )
    return open_for_proof(model)


def open_for_proof(model: ConvertedModel) -> AbstractContextManager[OpenModel]:
    """The converted model, loaded on this computer to hold what its file says against the source.

    Of a runtime that only boards have, by what stands in for it (``RuntimeFacts.runs_here``).
    """
    return load_runtime(model.runtime).make_runner().open(model)


def check_arrays(specs: Sequence[TensorSpec], inputs: Sequence[Mapping[str, Any]]) -> None:
    """UsageError where an array is missing, or has not the type or the bounds of its input."""
    for arrays in inputs:
        for spec in specs:
            if spec.name not in arrays:
                given = ", ".join(arrays) or "none"
                raise UsageError(f"There is no array for the input '{spec.name}', only {given}.")
            spec.check(arrays[spec.name])
