"""QNN on this computer, as what runs converted models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from deployx_edge.runtime import ONNX_ROLE, SOC_KEY
from deployx_edge.runtimes.converter import ConvertedModel
from deployx_edge.runtimes.macs import onnx_graph
from deployx_edge.runtimes.onnx_layers import OnnxNames, OpenOnnxModel, onnx_producers, onnx_tensors
from deployx_edge.runtimes.qnn.provider import QnnProcess, RefusedError
from deployx_edge.runtimes.qnn.socs import DEFAULT_SOC, Soc, find_soc
from deployx_edge.runtimes.runner import Arrays, OpenModel, Producer

if TYPE_CHECKING:
    from deployx_edge.model import Array


class _OpenQnnModel(OpenOnnxModel):
    def __init__(self, model: ConvertedModel, process: QnnProcess) -> None:
        super().__init__(model)
        self._process = process
        self._too_many: set[tuple[str, ...]] = set()

    def compute(self, arrays: Arrays, names: tuple[str, ...]) -> dict[str, Array]:
        """See ``OpenOnnxModel``."""
        return self._portions({spec.name: arrays[spec.name] for spec in self.model.inputs}, names)

    def _portions(self, arrays: Arrays, names: tuple[str, ...]) -> dict[str, Array]:
        """Those tensors; of a graph with too many outputs the HTP has no memory, so in portions."""
        if names not in self._too_many:
            try:
                return self._process.run(arrays, names)
            except RefusedError:
                if len(names) == 1:
                    raise
                self._too_many.add(names)
        half = len(names) // 2
        return {**self._portions(arrays, names[:half]), **self._portions(arrays, names[half:])}


class QnnRunner(OnnxNames):
    """Qualcomm's HTP emulator, in a process of its own (see ``Runner``)."""

    @contextmanager
    def open(self, model: ConvertedModel) -> Iterator[OpenModel]:
        """See ``Runner``; LeftNodesError for nodes that it was not allowed to leave."""
        path, soc = model.path(ONNX_ROLE), _soc_of(model)
        with QnnProcess(path, soc, allow_fallback=bool(model.left)) as process:
            allowed = {node.node for node in model.left}
            more = tuple(node for node in process.left if node.node not in allowed)
            if more:
                raise process.refusal(more)
            yield _OpenQnnModel(model, process)

    def producers(self, model: ConvertedModel, names: Sequence[str]) -> dict[str, Producer]:
        """See ``Runner``."""
        given = _given(model)
        return onnx_producers(model, [name for name in names if name in given])

    def tensors(self, model: ConvertedModel) -> tuple[str, ...]:
        """See ``Runner``."""
        given = _given(model)
        return tuple(name for name in onnx_tensors(model) if name in given)


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
