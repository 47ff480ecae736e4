"""QNN on this computer, as what runs converted models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from deployx_edge.differences import WholeValues
from deployx_edge.runtime import ONNX_ROLE, SOC_KEY
from deployx_edge.runtimes.converter import ConvertedModel, HalfOverflows
from deployx_edge.runtimes.macs import onnx_graph
from deployx_edge.runtimes.onnx_layers import OnnxNames, onnx_producers, onnx_tensors
from deployx_edge.runtimes.qnn.provider import QnnProcess, RefusedError
from deployx_edge.runtimes.qnn.socs import DEFAULT_SOC, Soc, find_soc
from deployx_edge.runtimes.runner import (
    Arrays,
    Culprit,
    OpenModel,
    Producer,
    Take,
    check_arrays,
    take_nothing,
)

if TYPE_CHECKING:
    from deployx_edge.model import Array


class _OpenQnnModel:
    def __init__(self, model: ConvertedModel, process: QnnProcess) -> None:
        self._model = model
        self._process = process
        self._too_many: set[tuple[str, ...]] = set()
        self.overflows: HalfOverflows | None = None

    def run(
        self,
        arrays: Arrays,
        blobs: Sequence[str] = (),
        take: Take = take_nothing,
        *,
        measure: bool = False,
    ) -> dict[str, Array]:
        """See ``OpenModel``; half floats are given as float32."""
        check_arrays(self._model.inputs, [arrays])
        given = {spec.name: arrays[spec.name] for spec in self._model.inputs}
        outputs = self._tensors(given, [spec.name for spec in self._model.outputs])
        if blobs:
            for blob, array in self._tensors(given, blobs).items():
                take(blob, WholeValues(array))
        return outputs

    def _tensors(self, arrays: Arrays, names: Sequence[str]) -> dict[str, Array]:
        import numpy as np

        found = self._portions(arrays, tuple(dict.fromkeys(names)))
        return {
            name: array.astype(np.float32) if array.dtype == np.float16 else array
            for name, array in found.items()
        }

    def _portions(self, arrays: Arrays, names: tuple[str, ...]) -> dict[str, Array]:
        """Those tensors; of a graph with too many outputs the HTP has no memory, so in portions."""
        if names not in self._too_many:
            try:
                return self._process.run(arrays, names)
            except RefusedError as error:
                if error.nodes or len(names) == 1:
                    raise
                self._too_many.add(names)
        half = len(names) // 2
        return {**self._portions(arrays, names[:half]), **self._portions(arrays, names[half:])}


class QnnRunner(OnnxNames):
    """Qualcomm's HTP emulator, in a process of its own (see ``Runner``)."""

    @contextmanager
    def open(self, model: ConvertedModel) -> Iterator[OpenModel]:
        """See ``Runner``."""
        with QnnProcess(model.path(ONNX_ROLE), _soc_of(model)) as process:
            yield _OpenQnnModel(model, process)

    def producers(self, model: ConvertedModel, names: Sequence[str]) -> dict[str, Producer]:
        """See ``Runner``."""
        given = _given(model)
        return onnx_producers(model, [name for name in names if name in given])

    def tensors(self, model: ConvertedModel) -> tuple[str, ...]:
        """See ``Runner``."""
        given = _given(model)
        return tuple(name for name in onnx_tensors(model) if name in given)

    def culprit(self, model: ConvertedModel, inputs: Sequence[Arrays]) -> Culprit | None:
        """See ``Runner``; what it does wrong cannot be told from what is written wrong."""
        return None


def _soc_of(model: ConvertedModel) -> Soc:
    """The chip that its file was made for."""
    import onnx

    properties = onnx.load(model.path(ONNX_ROLE), load_external_data=False).metadata_props
    return find_soc(next((e.value for e in properties if e.key == SOC_KEY), DEFAULT_SOC))


def _given(model: ConvertedModel) -> set[str]:
    """The tensors that can be asked for without taking an int8 layer apart.

    Not what a layer hands to QuantizeLinear, which is no tensor of its own on an HTP, nor weights.
    """
    graph = onnx_graph(model)
    constants = {tensor.name for tensor in graph.initializer}
    quantized = {node.input[0] for node in graph.node if node.op_type == "QuantizeLinear"}
    return {
        name
        for node in graph.node
        for name in node.output
        if name not in quantized
        and not (node.op_type == "DequantizeLinear" and node.input[0] in constants)
    }
