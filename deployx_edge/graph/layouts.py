"""Which inputs and outputs of a model have their channels last, as TensorFlow's models have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

    Nodes = Sequence[onnx.NodeProto]

# Operators whose outputs lie as their inputs do.
_ELEMENTWISE = {
    *("Add", "Sub", "Mul", "Div", "Cast", "Identity", "Clip", "Relu", "Sigmoid", "Tanh"),
    *("Softmax", "LogSoftmax", "QuantizeLinear", "DequantizeLinear", "Max", "Min", "Sqrt", "Exp"),
}
# Operators that take their channels as the second axis.
_CHANNELS_FIRST = {
    *("Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "MaxPool", "AveragePool"),
    *("GlobalAveragePool", "GlobalMaxPool", "BatchNormalization", "InstanceNormalization"),
    *("PRelu", "DepthToSpace", "SpaceToDepth", "LRN"),
}
_COLOURS = (1, 3, 4)
_FARTHEST = 16  # nodes on the way


def channels_last(graph: onnx.GraphProto) -> frozenset[str]:
    """The names of inputs and outputs whose last axis is that of the channels.

    A Transpose that turns it says so, an operator that wants channels as the second axis says the
    opposite. Where an input is read by neither, an image is known by 1, 3 or 4 channels.
    """
    readers: dict[str, list[onnx.NodeProto]] = {}
    makers = {}
    for node in graph.node:
        makers.update(dict.fromkeys(node.output, node))
        for name in node.input:
            readers.setdefault(name, []).append(node)
    inputs = {
        value.name
        for value in graph.input
        if _said(_ahead(value.name, readers), to_first=True, otherwise=_looks_so(value))
    }
    outputs = {
        value.name
        for value in graph.output
        if _said(_behind(value.name, makers), to_first=False, otherwise=False)
    }
    return frozenset(inputs | outputs)


def _said(node: onnx.NodeProto | None, *, to_first: bool, otherwise: bool) -> bool:
    if node is None:
        return otherwise
    if node.op_type != "Transpose":
        return False
    order = list(next((entry.ints for entry in node.attribute if entry.name == "perm"), ()))
    axes = list(range(len(order)))
    turned = [0, *axes[-1:], *axes[1:-1]] if to_first else [0, *axes[2:], 1]
    return len(order) > 2 and order == turned


def _ahead(name: str, readers: Mapping[str, Nodes]) -> onnx.NodeProto | None:
    """The first node on the way from an input that says something of axes."""
    waiting, seen = [name], 0
    while waiting and seen < _FARTHEST:
        seen += 1
        for node in readers.get(waiting.pop(0), ()):
            if node.op_type == "Transpose" or node.op_type in _CHANNELS_FIRST:
                return node
            if node.op_type in _ELEMENTWISE:
                waiting.extend(node.output)
    return None


def _behind(name: str, makers: Mapping[str, onnx.NodeProto]) -> onnx.NodeProto | None:
    """The last node on the way to an output that says something of axes."""
    for _ in range(_FARTHEST):
        node = makers.get(name)
        if node is None or node.op_type == "Transpose" or node.op_type in _CHANNELS_FIRST:
            return node
        if node.op_type not in _ELEMENTWISE:
            return None
        name = node.input[0]
    return None


def _looks_so(value: onnx.ValueInfoProto) -> bool:
    dims = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    return len(dims) == 4 and dims[-1] in _COLOURS and dims[1] not in _COLOURS
