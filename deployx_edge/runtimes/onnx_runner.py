"""ONNX Runtime on this computer, as what runs converted models that are ONNX."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from deployx_edge.comparison import TOLERANCES, TensorComparison, coarser
from deployx_edge.errors import ModelError
from deployx_edge.graph.onnx_runtime import open_model, open_with_outputs, plain_reason, version
from deployx_edge.operator_facts import operators_by_reference
from deployx_edge.runtime import ONNX_ROLE
from deployx_edge.runtimes.converter import ConvertedModel
from deployx_edge.runtimes.kernel_process import KernelProcess
from deployx_edge.runtimes.onnx_layers import OnnxNames, OpenOnnxModel
from deployx_edge.runtimes.runner import Arrays, Culprit, OpenModel
from deployx_edge.sources.onnx.file import read_onnx
from deployx_edge.sources.onnx.walk import SourceWalk

if TYPE_CHECKING:
    from deployx_edge.model import Array


class _OpenOnnxRuntimeModel(OpenOnnxModel):
    """Outputs have a session of their own, as it runs on a board."""

    def __init__(self, model: ConvertedModel) -> None:
        super().__init__(model)
        self._sessions: dict[tuple[str, ...], Any] = {}
        self._process: KernelProcess | None = None

    def close(self) -> None:
        """End its process, where it has one."""
        if self._process is not None:
            self._process.close()

    def compute(self, arrays: Arrays, names: tuple[str, ...]) -> dict[str, Array]:
        """See ``OpenOnnxModel``."""
        strangers = set(self.model.operators).intersection(operators_by_reference())
        if strangers:
            if self._process is None:
                self._process = KernelProcess(self.path, strangers)
            return self._process.run(names, arrays)
        try:
            results = self._session(names).run(list(names), dict(arrays))
        except Exception as error:  # its exceptions share no other base
            raise ModelError(
                f"{self.path.name} does not run in ONNX Runtime: {plain_reason(error)}."
            ) from error
        return dict(zip(names, results, strict=True))

    def _session(self, names: tuple[str, ...]) -> Any:
        if names not in self._sessions:
            self._sessions[names] = open_with_outputs(self.path, names)
        return self._sessions[names]


class OnnxFileRunner(OnnxNames):
    """ONNX Runtime on the CPU, in this process (see ``Runner``).

    It stands in for runtimes that only boards have, too.
    """

    @contextmanager
    def open(self, model: ConvertedModel) -> Iterator[OpenModel]:
        """See ``Runner``."""
        opened = _OpenOnnxRuntimeModel(model)
        try:
            yield opened
        finally:
            opened.close()

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
    """Whether they do so beyond the limits of its precision, or of int8 where it rounds to that.

    Not where an output's size depends on values: that was the error then, and has no mean.
    """
    names = [spec.name for spec in model.outputs]
    if set(model.operators).intersection(operators_by_reference()):
        return False  # a kernel is to blame first, and runs nowhere but in its process
    plain = open_model(str(model.path(ONNX_ROLE)))
    comparisons = [TensorComparison(name) for name in names]
    opened = _OpenOnnxRuntimeModel(model)
    shapes: dict[str, tuple[int, ...]] = {}
    for arrays in inputs:
        wanted, found = plain.run(names, dict(arrays)), opened.run(arrays)
        for comparison, array in zip(comparisons, wanted, strict=True):
            if shapes.setdefault(comparison.name, array.shape) != array.shape:
                return False
            comparison.add(array, found[comparison.name])
    walk = SourceWalk(read_onnx(model.path("onnx"), {}))
    limits = TOLERANCES[coarser(model.precision, walk.rounds_to)]
    return any(each.check(limits).verdict == "differs" for each in comparisons)
