"""A quantized model for the deep learning accelerator, which takes ranges and no Q/DQ nodes.

Before TensorRT 11 the accelerator reads how large tensors become from what a calibration found. So
a quantized bundle holds the same model without these nodes, and their scales beside it, in
TensorRT's own form: a line of a head, which the board writes for its version, and one for each
tensor, its name and the bits of its scale as a float32 (``image: 3c010a14``).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

_HEAD = "ranges of deployx-edge"
_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"


def ranges_text(scales: Mapping[str, float]) -> str:
    """The file of the scales by tensor."""
    lines = [f"{name}: {struct.pack('>f', scale).hex()}" for name, scale in scales.items()]
    return "\n".join((_HEAD, *lines, ""))


def without_nodes(model: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, float]] | None:
    """The model without Q and DQ nodes, and the scale of each tensor that they rounded.

    Weights are what their quantized values stand for. None where a tensor stays quantized between
    two nodes, has a scale a channel, or a zero elsewhere than at 0: that is not to be said so.
    """
    import onnx

    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    found = _Removed(graph)
    if not all(found.take(node) for node in graph.node if node.op_type == _DEQUANTIZE):
        return None
    kept = [node for node in graph.node if node.op_type not in (_QUANTIZE, _DEQUANTIZE)]
    for node in kept:
        for index, name in enumerate(node.input):
            node.input[index] = found.instead.get(name, name)
    for value in graph.output:
        if value.name in found.instead:
            source = found.instead[value.name]
            kept.append(onnx.helper.make_node("Identity", [source], [value.name], value.name))
    del graph.node[:]
    graph.node.extend(kept)
    read = {name for node in kept for name in node.input}
    weights = [tensor for tensor in graph.initializer if tensor.name in read]
    weights += [
        onnx.numpy_helper.from_array(array, name)
        for name, array in found.weights.items()
        if name in read
    ]
    del graph.initializer[:], graph.value_info[:]
    graph.initializer.extend(weights)
    return made, found.scales


class _Removed:
    """What stands in the place of the outputs of DQ nodes."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._arrays = {tensor.name: tensor for tensor in graph.initializer}
        self._makers = {node.output[0]: node for node in graph.node if node.op_type == _QUANTIZE}
        self.instead: dict[str, str] = {}
        self.weights: dict[str, NDArray[Any]] = {}
        self.scales: dict[str, float] = {}

    def take(self, node: onnx.NodeProto) -> bool:
        """Whether that DQ node can go."""
        quantized, (scale, zero) = node.input[0], self._step(node)
        if scale is None or zero is None:
            return False
        if quantized in self._arrays:
            return self._take_weights(node, scale, zero)
        maker = self._makers.get(quantized)
        if maker is None or scale.size != 1 or zero.any():
            return False
        tensor = maker.input[0]
        self.instead[node.output[0]] = tensor
        if tensor not in self._arrays:
            # Of several that read it the one that covers all.
            self.scales[tensor] = max(self.scales.get(tensor, 0.0), float(scale.reshape(())))
        return True

    def _take_weights(self, node: onnx.NodeProto, scale: NDArray[Any], zero: NDArray[Any]) -> bool:
        import numpy as np

        values = self._array(node.input[0])
        if values is None:
            return False
        axis = next((each.i for each in node.attribute if each.name == "axis"), 1)
        if scale.ndim == 1 and scale.size > 1:
            shape = [1] * values.ndim
            shape[axis % values.ndim] = -1
            scale, zero = scale.reshape(shape), zero.reshape(shape)
        floats = (values.astype(np.float32) - zero.astype(np.float32)) * scale
        self.weights[node.output[0]] = floats.astype(np.float32)
        return True

    def _step(self, node: onnx.NodeProto) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
        import numpy as np

        scale = self._array(node.input[1])
        if scale is None or len(node.input) < 3 or not node.input[2]:
            return scale, None if scale is None else np.zeros_like(scale)
        return scale, self._array(node.input[2])

    def _array(self, name: str) -> NDArray[Any] | None:
        from onnx import numpy_helper

        tensor = self._arrays.get(name)
        return None if tensor is None else numpy_helper.to_array(tensor)
