"""Normalizations, with the statistics of the data or with stored ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from deployx_edge.model import format_shape
from deployx_edge.runtimes.ncnn.native.axes import positive
from deployx_edge.runtimes.ncnn.native.convolution import as_channels
from deployx_edge.runtimes.ncnn.native.graph import Node, RefusedError
from deployx_edge.runtimes.ncnn.native.graph_builder import GraphBuilder, Parameter, Weight
from deployx_edge.runtimes.ncnn.native.reduction import along, counted
from deployx_edge.runtimes.ncnn.native.table import writes

if TYPE_CHECKING:
    pass

_MEAN, _L1, _L2 = 3, 7, 8  # Reduction
_ADD, _SUB, _DIV, _MAX = 0, 1, 3, 4  # BinaryOp
_SQUARE, _SQRT = 4, 5  # UnaryOp
# Where an input stands, what it is, and what it is where left out.
_SCALE, _BIAS = (1, "scale", 1.0), (2, "bias", 0.0)
_LEAST = 1e-7  # in place of a norm of 0; half precision still has it
_EPSILON = 1e-9  # ONNX adds it to the deviation


@writes("BatchNormalization")
def batch_normalization(builder: GraphBuilder, node: Node) -> None:
    """BatchNorm with stored statistics; epsilon is added to the variance here."""
    import numpy as np

    graph = builder.graph
    dims = _channels_first(builder, node)
    scale, bias, mean, variance = (
        np.asarray(graph.constant(node.input(index), what), dtype=np.float32)
        for index, what in ((1, "scale"), (2, "bias"), (3, "mean"), (4, "variance"))
    )
    weights = [Weight(values=np.resize(v, dims[0])) for v in (scale, mean, variance, bias)]
    params: dict[int, Parameter] = {0: dims[0], 1: node.number("epsilon", 1e-5)}
    bottom = builder.take(node.input(0), dims)
    builder.add("BatchNorm", node, (bottom,), {node.outputs[0]: dims}, params, weights)


@writes("InstanceNormalization")
def instance_normalization(builder: GraphBuilder, node: Node) -> None:
    """InstanceNorm."""
    import numpy as np

    graph = builder.graph
    dims = _image(builder, node)
    channels = dims[0]
    weights = [
        Weight(values=np.resize(graph.constant(node.input(1), "scale"), channels)),
        Weight(values=np.resize(graph.constant(node.input(2), "bias"), channels)),
    ]
    params: dict[int, Parameter] = {0: channels, 1: node.number("epsilon", 1e-5), 2: 1}
    bottom = builder.take(node.input(0), dims)
    builder.add("InstanceNorm", node, (bottom,), {node.outputs[0]: dims}, params, weights)


@writes("GroupNormalization")
def group_normalization(builder: GraphBuilder, node: Node) -> None:
    """GroupNorm; up to opset 20 scale and bias are one a group, later one a channel."""
    import numpy as np

    graph = builder.graph
    samples, count = graph.shape(node.input(0))[:2]
    dims = _image(builder, node)
    channels = dims[0]
    groups = node.integer("num_groups", 1)
    weights = []
    for index, what in ((1, "scale"), (2, "bias")):
        values = graph.constant(node.input(index), what)
        if values.size == groups != count:
            values = np.repeat(values, count // groups)
        weights.append(Weight(values=np.resize(values, channels)))
    params: dict[int, Parameter] = {
        0: groups * samples,
        1: channels,
        2: node.number("epsilon", 1e-5),
        3: 1,
    }
    bottom = builder.take(node.input(0), dims)
    builder.add("GroupNorm", node, (bottom,), {node.outputs[0]: dims}, params, weights)


@writes("LayerNormalization", "RMSNormalization")
def normalization_of_rows(builder: GraphBuilder, node: Node) -> None:
    """LayerNorm, or RMSNorm which has no bias, over the axes from the given one on."""
    shape = builder.graph.shape(node.input(0))
    together = shape[positive(node.integer("axis", -1), len(shape)) :]
    size = math.prod(together)
    dims = (math.prod(shape) // size, size)
    is_layer = node.operator == "LayerNormalization"
    kinds = (_SCALE, _BIAS) if is_layer else (_SCALE,)
    weights = [_spread(builder, node, kind, together) for kind in kinds]
    params: dict[int, Parameter] = {0: size, 1: node.number("epsilon", 1e-5), 2: 1}
    bottom = builder.take(node.input(0), dims)
    name = "LayerNorm" if is_layer else "RMSNorm"
    builder.add(name, node, (bottom,), {node.outputs[0]: dims}, params, weights)


@writes("LRN")
def local_response_normalization(builder: GraphBuilder, node: Node) -> None:
    """LRN across channels."""
    shape = builder.graph.shape(node.input(0))
    if len(shape) != 4 or shape[0] != 1:
        raise RefusedError(f"its input {format_shape(shape)} is not one image")
    dims = shape[1:]
    size = node.integer("size", 1)
    if size % 2 == 0:
        raise RefusedError(f"its size {size} is even, so that ncnn takes other neighbours")
    params: dict[int, Parameter] = {
        0: 0,
        1: size,
        2: node.number("alpha", 1e-4),
        3: node.number("beta", 0.75),
        4: node.number("bias", 1.0),
    }
    bottom = builder.take(node.input(0), dims)
    builder.add("LRN", node, (bottom,), {node.outputs[0]: dims}, params)


@writes("LpNormalization")
def lp_normalization(builder: GraphBuilder, node: Node) -> None:
    """The input, divided by its norm along an axis."""
    power = node.integer("p", 2)
    if power not in (1, 2):
        raise RefusedError(f"its p is {power}, neither 1 nor 2")
    shape = builder.graph.shape(node.input(0))
    axis = positive(node.integer("axis", -1), len(shape))
    dims = (math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]))
    blob = builder.take(node.input(0), dims)
    norm = builder.step("Reduction", node, (blob,), along(_L1 if power == 1 else _L2, (1,)))
    norm = builder.step("BinaryOp", node, (norm,), {0: _MAX, 1: 1, 2: _LEAST})
    builder.add("BinaryOp", node, (blob, norm), {node.outputs[0]: dims}, {0: _DIV})


@writes("MeanVarianceNormalization")
def mean_variance_normalization(builder: GraphBuilder, node: Node) -> None:
    """The input less its mean, divided by its deviation along some axes."""
    shape = builder.graph.shape(node.input(0))
    given = node.integers("axes") or (0, 2, 3)
    axes = {positive(axis, len(shape)) for axis in given}
    dims, places = counted(shape, axes)
    blob = builder.take(node.input(0), dims)
    mean = builder.step("Reduction", node, (blob,), along(_MEAN, places))
    centred = builder.step("BinaryOp", node, (blob, mean), {0: _SUB})
    squares = builder.step("UnaryOp", node, (centred,), {0: _SQUARE})
    variance = builder.step("Reduction", node, (squares,), along(_MEAN, places))
    deviation = builder.step("UnaryOp", node, (variance,), {0: _SQRT})
    deviation = builder.step("BinaryOp", node, (deviation,), {0: _ADD, 1: 1, 2: _EPSILON})
    builder.add("BinaryOp", node, (centred, deviation), {node.outputs[0]: dims}, {0: _DIV})


def _channels_first(builder: GraphBuilder, node: Node) -> tuple[int, ...]:
    """The dimensions of an image with any number of axes; several samples are more channels."""
    shape = builder.graph.shape(node.input(0))
    if not 2 <= len(shape) <= 5:
        raise RefusedError(f"its input {format_shape(shape)} has no channels, or too many axes")
    return as_channels(shape)


def _image(builder: GraphBuilder, node: Node) -> tuple[int, ...]:
    """The same as channels, height and width, whatever axes there are."""
    channels, *rest = _channels_first(builder, node)
    return (channels, *rest) if len(rest) == 2 else (channels, 1, math.prod(rest))


def _spread(
    builder: GraphBuilder, node: Node, kind: tuple[int, str, float], shape: tuple[int, ...]
) -> Weight:
    """Scale or bias, one value for each element that is normalized together."""
    import numpy as np

    index, what, default = kind
    if node.input(index):
        values = builder.graph.constant(node.input(index), what)
    else:
        values = np.asarray(default, dtype=np.float32)
    try:
        return Weight(values=np.broadcast_to(values, shape).reshape(-1))
    except ValueError as error:
        raise RefusedError(f"its {what} is not one value an element") from error
