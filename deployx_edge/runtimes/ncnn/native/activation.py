"""Activations that stand alone."""

from __future__ import annotations

from collections.abc import Mapping

from deployx_edge.runtimes.ncnn.native.axes import (
    aligned,
    broadcast_grouping,
    group_axes,
    grouped,
    place_of,
    positive,
)
from deployx_edge.runtimes.ncnn.native.graph import Node
from deployx_edge.runtimes.ncnn.native.graph_builder import (
    LARGEST,
    GraphBuilder,
    Parameter,
    Weight,
    clip_bounds,
)
from deployx_edge.runtimes.ncnn.native.table import writes

_LAYERS = {
    "Relu": "ReLU",
    "Sigmoid": "Sigmoid",
    "Tanh": "TanH",
    "Mish": "Mish",
}
_ABS, _EXP, _LOG = 0, 7, 8  # UnaryOp
_ADD, _SUB, _MUL, _DIV, _MAX, _MIN, _LOG_OF_SUM = 0, 1, 2, 3, 4, 5, 14  # BinaryOp
_SUM, _MAXIMUM = 0, 4  # Reduction


# The layer, and the attributes that are its first parameters, with their defaults.
_WITH_PARAMETERS: dict[str, tuple[str, tuple[tuple[str, float], ...]]] = {
    "LeakyRelu": ("ReLU", (("alpha", 0.01),)),
    "Elu": ("ELU", (("alpha", 1.0),)),
    "Celu": ("CELU", (("alpha", 1.0),)),
    "Selu": ("SELU", (("alpha", 1.67326319), ("gamma", 1.05070102))),
    "Shrink": ("Shrink", (("bias", 0.0), ("lambd", 0.5))),
}


@writes(*_LAYERS)
def plain(builder: GraphBuilder, node: Node) -> None:
    """A layer of its own without parameters."""
    _emit(builder, node, _LAYERS[node.operator], {})


@writes(*_WITH_PARAMETERS)
def with_parameters(builder: GraphBuilder, node: Node) -> None:
    """A layer of its own whose parameters are the node's attributes."""
    layer, attributes = _WITH_PARAMETERS[node.operator]
    values = {key: node.number(*attribute) for key, attribute in enumerate(attributes)}
    _emit(builder, node, layer, values)


@writes("Clip")
def clip(builder: GraphBuilder, node: Node) -> None:
    """Clip with constant bounds, else the larger and the smaller of two tensors."""
    bounds = clip_bounds(builder.graph, node)
    if bounds is not None and bounds[0] <= -LARGEST and bounds[1] >= LARGEST:
        builder.view(node.outputs[0], node.input(0))
        return
    if bounds is not None:
        _emit(builder, node, "Clip", {0: bounds[0], 1: bounds[1]})
        return
    tensor = node.input(0)
    blob, dims = builder.take(tensor), builder.dims(tensor)
    for index, kind in ((1, _MAX), (2, _MIN)):
        if node.input(index):
            bound = builder.take(node.input(index), (1,) * len(dims))
            blob = builder.step("BinaryOp", node, (blob, bound), {0: kind})
    builder.view_of_blob(node.outputs[0], blob, dims)


@writes("Softplus")
def softplus(builder: GraphBuilder, node: Node) -> None:
    """log(exp(x) + exp(0)) by BinaryOp: ncnn's Softplus overflows from 89 on."""
    _emit(builder, node, "BinaryOp", {0: _LOG_OF_SUM, 1: 1, 2: 0.0})


@writes("HardSigmoid")
def hard_sigmoid(builder: GraphBuilder, node: Node) -> None:
    """HardSigmoid, which in ncnn rises; one that falls is put together."""
    alpha, beta = node.number("alpha", 0.2), node.number("beta", 0.5)
    if alpha > 0.0:
        _emit(builder, node, "HardSigmoid", {0: alpha, 1: beta})
        return
    tensor = node.input(0)
    dims = builder.dims(tensor)
    blob = builder.step("BinaryOp", node, (builder.take(tensor),), {0: _MUL, 1: 1, 2: alpha})
    blob = builder.step("BinaryOp", node, (blob,), {0: _ADD, 1: 1, 2: beta})
    builder.add("Clip", node, (blob,), {node.outputs[0]: dims}, {0: 0.0, 1: 1.0})


@writes("ThresholdedRelu")
def thresholded_relu(builder: GraphBuilder, node: Node) -> None:
    """The input, times 1 where it is above the threshold and 0 elsewhere."""
    tensor = node.input(0)
    blob, dims = builder.take(tensor), builder.dims(tensor)
    above = builder.step("Threshold", node, (blob,), {0: node.number("alpha", 1.0)})
    builder.add("BinaryOp", node, (blob, above), {node.outputs[0]: dims}, {0: _MUL})


@writes("HardSwish")
def hard_swish(builder: GraphBuilder, node: Node) -> None:
    """HardSwish, whose slope and shift ONNX fixes."""
    _emit(builder, node, "HardSwish", {0: 1.0 / 6.0, 1: 0.5})


@writes("Gelu")
def gelu(builder: GraphBuilder, node: Node) -> None:
    """GELU, exact or by tanh."""
    _emit(builder, node, "GELU", {0: int(node.text("approximate", "none") == "tanh")})


@writes("Swish")
def swish(builder: GraphBuilder, node: Node) -> None:
    """x * sigmoid(alpha x); ncnn's Swish knows an alpha of 1 only."""
    alpha = node.number("alpha", 1.0)
    if alpha == 1.0:
        _emit(builder, node, "Swish", {})
        return
    tensor = node.input(0)
    blob, dims = builder.take(tensor), builder.dims(tensor)
    share = builder.step("BinaryOp", node, (blob,), {0: _MUL, 1: 1, 2: alpha})
    share = builder.step("Sigmoid", node, (share,))
    builder.add("BinaryOp", node, (blob, share), {node.outputs[0]: dims}, {0: _MUL})


@writes("Softsign")
def softsign(builder: GraphBuilder, node: Node) -> None:
    """x / (1 + |x|)."""
    tensor = node.input(0)
    blob, dims = builder.take(tensor), builder.dims(tensor)
    size = builder.step("UnaryOp", node, (blob,), {0: _ABS})
    size = builder.step("BinaryOp", node, (size,), {0: _ADD, 1: 1, 2: 1.0})
    builder.add("BinaryOp", node, (blob, size), {node.outputs[0]: dims}, {0: _DIV})


@writes("PRelu")
def prelu(builder: GraphBuilder, node: Node) -> None:
    """PReLU with one slope, or one a channel (axis 1); any other is put together."""
    graph = builder.graph
    shape = graph.shape(node.input(0))
    slope = graph.constants.get(node.input(1))
    if slope is not None and slope.size == 1:
        _emit(builder, node, "ReLU", {0: float(slope.reshape(-1)[0])})
        return
    full = aligned(graph.shape(node.input(1)), len(shape))
    if slope is None or len(shape) < 2 or full[1] != slope.size or shape[0] != 1:
        _prelu_by_parts(builder, node)
        return
    grouping = group_axes(shape, keep=(1,))
    params: dict[int, Parameter] = {0: int(slope.size)}
    dims = grouped(shape, grouping)
    blob = builder.take(node.input(0), dims)
    weights = (Weight(values=slope.reshape(-1)),)
    builder.add("PReLU", node, (blob,), {node.outputs[0]: dims}, params, weights)


def _prelu_by_parts(builder: GraphBuilder, node: Node) -> None:
    """max(x, 0) + slope * min(x, 0), the slope broadcast."""
    graph = builder.graph
    shape, slope = graph.shape(node.input(0)), graph.shape(node.input(1))
    grouping = broadcast_grouping(shape, [shape, slope])
    dims = grouped(shape, grouping)
    blob = builder.take(node.input(0), dims)
    factor = builder.take(node.input(1), grouped(aligned(slope, len(shape)), grouping))
    above = builder.step("ReLU", node, (blob,))
    below = builder.step("BinaryOp", node, (blob,), {0: _MIN, 1: 1, 2: 0.0})
    below = builder.step("BinaryOp", node, (below, factor), {0: _MUL})
    builder.add("BinaryOp", node, (above, below), {node.outputs[0]: dims}, {0: _ADD})


@writes("Softmax", "LogSoftmax")
def softmax(builder: GraphBuilder, node: Node) -> None:
    """Softmax over one axis; up to opset 12 over all axes from the given one on."""
    graph = builder.graph
    shape = graph.shape(node.input(0))
    modern = graph.opset >= 13
    axis = positive(node.integer("axis", -1 if modern else 1), len(shape))
    if modern:
        grouping = group_axes(shape, keep=(axis,))
        dims, place = grouped(shape, grouping), place_of(axis, grouping)
    else:
        grouping = (tuple(range(axis)), tuple(range(axis, len(shape))))
        dims, place = grouped(shape, grouping), 1
    blob = builder.take(node.input(0), dims)
    params: dict[int, Parameter] = {0: place, 1: 1}
    if node.operator == "Softmax":
        builder.add("Softmax", node, (blob,), {node.outputs[0]: dims}, params)
        return
    # x - max - log(sum(exp(x - max))): the logarithm of a share would lose small ones.
    along: dict[int, Parameter] = {1: 0, 3: (place,), 4: 1, 5: 1}
    most = builder.step("Reduction", node, (blob,), {0: _MAXIMUM, **along})
    shifted = builder.step("BinaryOp", node, (blob, most), {0: _SUB})
    powers = builder.step("UnaryOp", node, (shifted,), {0: _EXP})
    total = builder.step("Reduction", node, (powers,), {0: _SUM, **along})
    logarithm = builder.step("UnaryOp", node, (total,), {0: _LOG})
    builder.add("BinaryOp", node, (shifted, logarithm), {node.outputs[0]: dims}, {0: _SUB})


def _emit(builder: GraphBuilder, node: Node, type: str, params: Mapping[int, Parameter]) -> None:
    tensor = node.input(0)
    blob, dims = builder.take(tensor), builder.dims(tensor)
    builder.add(type, node, (blob,), {node.outputs[0]: dims}, params)
