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
    Draft,
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
def plain(draft: Draft, node: Node) -> None:
    """A layer of its own without parameters."""
    _emit(draft, node, _LAYERS[node.operator], {})


@writes(*_WITH_PARAMETERS)
def with_parameters(draft: Draft, node: Node) -> None:
    """A layer of its own whose parameters are the node's attributes."""
    layer, attributes = _WITH_PARAMETERS[node.operator]
    values = {key: node.number(*attribute) for key, attribute in enumerate(attributes)}
    _emit(draft, node, layer, values)


@writes("Clip")
def clip(draft: Draft, node: Node) -> None:
    """Clip with constant bounds, else the larger and the smaller of two tensors."""
    bounds = clip_bounds(draft.graph, node)
    if bounds is not None and bounds[0] <= -LARGEST and bounds[1] >= LARGEST:
        draft.view(node.outputs[0], node.input(0))
        return
    if bounds is not None:
        _emit(draft, node, "Clip", {0: bounds[0], 1: bounds[1]})
        return
    tensor = node.input(0)
    blob, dims = draft.take(tensor), draft.dims(tensor)
    for index, kind in ((1, _MAX), (2, _MIN)):
        if node.input(index):
            bound = draft.take(node.input(index), (1,) * len(dims))
            blob = draft.step("BinaryOp", node, (blob, bound), {0: kind})
    draft.view_of_blob(node.outputs[0], blob, dims)


@writes("Softplus")
def softplus(draft: Draft, node: Node) -> None:
    """log(exp(x) + exp(0)) by BinaryOp: ncnn's Softplus overflows from 89 on."""
    _emit(draft, node, "BinaryOp", {0: _LOG_OF_SUM, 1: 1, 2: 0.0})


@writes("HardSigmoid")
def hard_sigmoid(draft: Draft, node: Node) -> None:
    """HardSigmoid, which in ncnn rises; one that falls is put together."""
    alpha, beta = node.number("alpha", 0.2), node.number("beta", 0.5)
    if alpha > 0.0:
        _emit(draft, node, "HardSigmoid", {0: alpha, 1: beta})
        return
    tensor = node.input(0)
    dims = draft.dims(tensor)
    blob = draft.step("BinaryOp", node, (draft.take(tensor),), {0: _MUL, 1: 1, 2: alpha})
    blob = draft.step("BinaryOp", node, (blob,), {0: _ADD, 1: 1, 2: beta})
    draft.add("Clip", node, (blob,), {node.outputs[0]: dims}, {0: 0.0, 1: 1.0})


@writes("ThresholdedRelu")
def thresholded_relu(draft: Draft, node: Node) -> None:
    """The input, times 1 where it is above the threshold and 0 elsewhere."""
    tensor = node.input(0)
    blob, dims = draft.take(tensor), draft.dims(tensor)
    above = draft.step("Threshold", node, (blob,), {0: node.number("alpha", 1.0)})
    draft.add("BinaryOp", node, (blob, above), {node.outputs[0]: dims}, {0: _MUL})


@writes("HardSwish")
def hard_swish(draft: Draft, node: Node) -> None:
    """HardSwish, whose slope and shift ONNX fixes."""
    _emit(draft, node, "HardSwish", {0: 1.0 / 6.0, 1: 0.5})


@writes("Gelu")
def gelu(draft: Draft, node: Node) -> None:
    """GELU, exact or by tanh."""
    _emit(draft, node, "GELU", {0: int(node.text("approximate", "none") == "tanh")})


@writes("Swish")
def swish(draft: Draft, node: Node) -> None:
    """x * sigmoid(alpha x); ncnn's Swish knows an alpha of 1 only."""
    alpha = node.number("alpha", 1.0)
    if alpha == 1.0:
        _emit(draft, node, "Swish", {})
        return
    tensor = node.input(0)
    blob, dims = draft.take(tensor), draft.dims(tensor)
    share = draft.step("BinaryOp", node, (blob,), {0: _MUL, 1: 1, 2: alpha})
    share = draft.step("Sigmoid", node, (share,))
    draft.add("BinaryOp", node, (blob, share), {node.outputs[0]: dims}, {0: _MUL})


@writes("Softsign")
def softsign(draft: Draft, node: Node) -> None:
    """x / (1 + |x|)."""
    tensor = node.input(0)
    blob, dims = draft.take(tensor), draft.dims(tensor)
    size = draft.step("UnaryOp", node, (blob,), {0: _ABS})
    size = draft.step("BinaryOp", node, (size,), {0: _ADD, 1: 1, 2: 1.0})
    draft.add("BinaryOp", node, (blob, size), {node.outputs[0]: dims}, {0: _DIV})


@writes("PRelu")
def prelu(draft: Draft, node: Node) -> None:
    """PReLU with one slope, or one a channel (axis 1); any other is put together."""
    graph = draft.graph
    shape = graph.shape(node.input(0))
    slope = graph.constants.get(node.input(1))
    if slope is not None and slope.size == 1:
        _emit(draft, node, "ReLU", {0: float(slope.reshape(-1)[0])})
        return
    full = aligned(graph.shape(node.input(1)), len(shape))
    if slope is None or len(shape) < 2 or full[1] != slope.size or shape[0] != 1:
        _prelu_by_parts(draft, node)
        return
    grouping = group_axes(shape, keep=(1,))
    params: dict[int, Parameter] = {0: int(slope.size)}
    dims = grouped(shape, grouping)
    blob = draft.take(node.input(0), dims)
    weights = (Weight(values=slope.reshape(-1)),)
    draft.add("PReLU", node, (blob,), {node.outputs[0]: dims}, params, weights)


def _prelu_by_parts(draft: Draft, node: Node) -> None:
    """max(x, 0) + slope * min(x, 0), the slope broadcast."""
    graph = draft.graph
    shape, slope = graph.shape(node.input(0)), graph.shape(node.input(1))
    grouping = broadcast_grouping(shape, [shape, slope])
    dims = grouped(shape, grouping)
    blob = draft.take(node.input(0), dims)
    factor = draft.take(node.input(1), grouped(aligned(slope, len(shape)), grouping))
    above = draft.step("ReLU", node, (blob,))
    below = draft.step("BinaryOp", node, (blob,), {0: _MIN, 1: 1, 2: 0.0})
    below = draft.step("BinaryOp", node, (below, factor), {0: _MUL})
    draft.add("BinaryOp", node, (above, below), {node.outputs[0]: dims}, {0: _ADD})


@writes("Softmax", "LogSoftmax")
def softmax(draft: Draft, node: Node) -> None:
    """Softmax over one axis; up to opset 12 over all axes from the given one on."""
    graph = draft.graph
    shape = graph.shape(node.input(0))
    modern = graph.opset >= 13
    axis = positive(node.integer("axis", -1 if modern else 1), len(shape))
    if modern:
        grouping = group_axes(shape, keep=(axis,))
        dims, place = grouped(shape, grouping), place_of(axis, grouping)
    else:
        grouping = (tuple(range(axis)), tuple(range(axis, len(shape))))
        dims, place = grouped(shape, grouping), 1
    blob = draft.take(node.input(0), dims)
    params: dict[int, Parameter] = {0: place, 1: 1}
    if node.operator == "Softmax":
        draft.add("Softmax", node, (blob,), {node.outputs[0]: dims}, params)
        return
    # x - max - log(sum(exp(x - max))): the logarithm of a share would lose small ones.
    along: dict[int, Parameter] = {1: 0, 3: (place,), 4: 1, 5: 1}
    most = draft.step("Reduction", node, (blob,), {0: _MAXIMUM, **along})
    shifted = draft.step("BinaryOp", node, (blob, most), {0: _SUB})
    powers = draft.step("UnaryOp", node, (shifted,), {0: _EXP})
    total = draft.step("Reduction", node, (powers,), {0: _SUM, **along})
    logarithm = draft.step("UnaryOp", node, (total,), {0: _LOG})
    draft.add("BinaryOp", node, (shifted, logarithm), {node.outputs[0]: dims}, {0: _SUB})


def _emit(draft: Draft, node: Node, type: str, params: Mapping[int, Parameter]) -> None:
    tensor = node.input(0)
    blob, dims = draft.take(tensor), draft.dims(tensor)
    draft.add(type, node, (blob,), {node.outputs[0]: dims}, params)
