"""ONNX Runtime on this computer, as what runs converted models that are ONNX."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from deployx_edge.comparison import TOLERANCES, TensorComparison, coarser
from deployx_edge.differences import WholeValues
from deployx_edge.errors import ModelError
from deployx_edge.graph.onnx_runtime import open_model, open_with_outputs, version
from deployx_edge.runtime import ONNX_ROLE
from deployx_edge.runtimes.converter import ConvertedModel, HalfOverflows
from deployx_edge.runtimes.onnx_layers import OnnxNames, onnx_producers, onnx_tensors
from deployx_edge.runtimes.runner import (
    Arrays,
    Culprit,
    OpenModel,
    Producer,
    Take,
    check_arrays,
    take_nothing,
)
from deployx_edge.sources.onnx.file import read_onnx
from deployx_edge.sources.onnx.walk import SourceWalk

if TYPE_CHECKING:
    from deployx_edge.model import Array


class _OpenOnnxModel:
    def __init__(self, model: ConvertedModel) -> None:
        self._model = model
        self._path = model.path(ONNX_ROLE)
        self._sessions: dict[tuple[str, ...], Any] = {}
        self.overflows: HalfOverflows | None = None

    def run(
        self,
        arrays: Arrays,
        inner: Sequence[str] = (),
        take: Take = take_nothing,
        *,
        measure: bool = False,
    ) -> dict[str, Array]:
        """See ``OpenModel``; half floats are given as float32.

        Outputs come from a session of their own: who asks for what is inside stops ONNX Runtime
        from joining nodes, and it is to run as it does on a board.
        """
        check_arrays(self._model.inputs, [arrays])
        outputs = self._tensors(arrays, [spec.name for spec in self._model.outputs])
        if inner:
            for name, array in self._tensors(arrays, inner).items():
                take(name, WholeValues(array))
        return outputs

    def _tensors(self, arrays: Arrays, wanted: Sequence[str]) -> dict[str, Array]:
        import numpy as np

        names = list(dict.fromkeys(wanted))
        try:
            results = self._session(tuple(names)).run(names, dict(arrays))
        except Exception as error:  # its exceptions share no other base
            raise ModelError(f"{self._path.name} does not run in ONNX Runtime: {error}.") from error
        return {
            name: array.astype(np.float32) if array.dtype == np.float16 else array
            for name, array in zip(names, results, strict=True)
        }

    def _session(self, names: tuple[str, ...]) -> Any:
        if names not in self._sessions:
            self._sessions[names] = open_with_outputs(self._path, names)
        return self._sessions[names]


class OnnxFileRunner(OnnxNames):
    """ONNX Runtime on the CPU, in this process (see ``Runner``).

    It stands in for runtimes that only boards have, too.
    """

    @contextmanager
    def open(self, model: ConvertedModel) -> Iterator[OpenModel]:
        """See ``Runner``."""
        yield _OpenOnnxModel(model)

    def producers(self, model: ConvertedModel, names: Sequence[str]) -> dict[str, Producer]:
        """See ``Runner``."""
        return onnx_producers(model, names)

    def tensors(self, model: ConvertedModel) -> tuple[str, ...]:
        """See ``Runner``."""
        return onnx_tensors(model)

    def culprit(self, model: ConvertedModel, inputs: Sequence[Arrays]) -> Culprit | None:
        """See ``Runner``: optimisations of the graph that change what the model computes."""
        if not _is_changed_by_optimisations(model, inputs):
            return None
        return Culprit(
            sentence=f"ONNX Runtime {version()} itself is wrong here: without its optimisations "
            "of the graph the same file gives the source's results.",
            remedy="Use another version of ONNX Runtime, or write the model otherwise; a Pad "
            "before a MaxPool was seen to be dropped.",
        )


def _is_changed_by_optimisations(model: ConvertedModel, inputs: Sequence[Arrays]) -> bool:
    """Whether they do so beyond the limits of its precision, or of int8 where it rounds to that."""
    names = [spec.name for spec in model.outputs]
    plain = open_model(str(model.path(ONNX_ROLE)))
    comparisons = [TensorComparison(name) for name in names]
    opened = _OpenOnnxModel(model)
    for arrays in inputs:
        wanted, found = plain.run(names, dict(arrays)), opened.run(arrays)
        for comparison, array in zip(comparisons, wanted, strict=True):
            comparison.add(array, found[comparison.name])
    walk = SourceWalk(read_onnx(model.path("onnx"), {}))
    limits = TOLERANCES[coarser(model.precision, walk.rounds_to)]
    return any(each.check(limits).verdict == "differs" for each in comparisons)
