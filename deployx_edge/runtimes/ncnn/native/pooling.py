"""MaxPool, AveragePool and the global ones."""

from __future__ import annotations

import math

from deployx_edge.model import format_shape
from deployx_edge.runtimes.ncnn.native.convolution import Window, as_channels, by_axis
from deployx_edge.runtimes.ncnn.native.graph import Graph, Node, RefusedError
from deployx_edge.runtimes.ncnn.native.graph_builder import GraphBuilder, Parameter
from deployx_edge.runtimes.ncnn.native.reduction import along
from deployx_edge.runtimes.ncnn.native.table import writes

_MAXIMUM, _AVERAGE = 0, 1
_VALID = 1  # pad_mode: the padding is all given, none is made up
_KERNEL, _STRIDE, _BEGIN, _END = (1, 11, 21), (2, 12, 22), (3, 13, 23), (14, 15, 16)
_PADDING_BEGIN, _PADDING_END = (2, 0, 7), (3, 1, 8)  # of the layer Padding
_SUFFIXES = {1: "1D", 2: "", 3: "3D"}
_L1, _L2 = 7, 8  # Reduction


@writes("MaxPool", "AveragePool")
def pooling(builder: GraphBuilder, node: Node) -> None:
    """Pooling of one to three spatial axes."""
    graph = builder.graph
    shape = _image_shape(graph, node)
    if len(node.outputs) > 1 and node.outputs[1] and graph.is_used(node.outputs[1]):
        raise RefusedError("its second output, the places of the maxima, is used")
    window = Window.of(graph, node, node.integers("kernel_shape") or ())
    if any(step != 1 for step in window.dilations):
        raise RefusedError(f"its dilations {window.dilations} are not all 1")
    result = graph.shape(node.outputs[0])
    over = _beyond(window, shape[2:], result[2:])
    image = as_channels(shape)
    bottom = builder.take(node.input(0), image)
    counting = node.operator == "AveragePool" and bool(node.integer("count_include_pad", 0))
    if counting and any(over):
        # The padding counts, what the last window reaches beyond it does not.
        bottom = builder.step("Padding", node, (bottom,), _padding(window))
        rank = len(window.kernel)
        window = Window(window.kernel, window.strides, window.dilations, (0,) * rank, (0,) * rank)
        counting = False
    params: dict[int, Parameter] = {
        0: _MAXIMUM if node.operator == "MaxPool" else _AVERAGE,
        5: _VALID,
        6: int(counting),
    }
    ends = tuple(end + more for end, more in zip(window.ends, over, strict=True))
    params |= by_axis(
        (_KERNEL, window.kernel),
        (_STRIDE, window.strides),
        (_BEGIN, window.begins),
        (_END, ends),
    )
    name = f"Pooling{_SUFFIXES[len(shape) - 2]}"
    builder.add(name, node, (bottom,), {node.outputs[0]: as_channels(result)}, params)


def _beyond(window: Window, sizes: tuple[int, ...], results: tuple[int, ...]) -> list[int]:
    """How far the last window reaches over the padding on each axis (``ceil_mode``)."""
    found = []
    for axis, (size, count) in enumerate(zip(sizes, results, strict=True)):
        start = (count - 1) * window.strides[axis]
        if start >= size + window.begins[axis]:
            raise RefusedError(
                f"its output has {count} elements along an axis of {size}, whose last window "
                "begins after the input; ONNX Runtime makes none there"
            )
        over = start + window.kernel[axis] - (size + window.begins[axis] + window.ends[axis])
        found.append(max(over, 0))
    return found


def _padding(window: Window) -> dict[int, Parameter]:
    """Padding's parameters for zeros around the image."""
    zeros: dict[int, Parameter] = {4: 0, 5: 0.0}
    return zeros | by_axis((_PADDING_BEGIN, window.begins), (_PADDING_END, window.ends))


@writes("GlobalMaxPool", "GlobalAveragePool")
def global_pooling(builder: GraphBuilder, node: Node) -> None:
    """Pooling over all spatial axes: their number does not matter."""
    image = as_channels(_image_shape(builder.graph, node))
    dims = image if len(image) == 3 else (image[0], 1, math.prod(image[1:]))
    kind = _MAXIMUM if node.operator == "GlobalMaxPool" else _AVERAGE
    bottom = builder.take(node.input(0), dims)
    builder.add("Pooling", node, (bottom,), {node.outputs[0]: (image[0],)}, {0: kind, 4: 1})


@writes("GlobalLpPool")
def global_lp_pooling(builder: GraphBuilder, node: Node) -> None:
    """A norm over all spatial axes."""
    image = as_channels(_image_shape(builder.graph, node))
    power = node.integer("p", 2)
    if power not in (1, 2):
        raise RefusedError(f"its p is {power}, neither 1 nor 2")
    bottom = builder.take(node.input(0), (image[0], math.prod(image[1:])))
    top = {node.outputs[0]: (image[0], 1)}
    builder.add("Reduction", node, (bottom,), top, along(_L1 if power == 1 else _L2, (1,)))


def _image_shape(graph: Graph, node: Node) -> tuple[int, ...]:
    shape = graph.shape(node.input(0))
    if not 3 <= len(shape) <= 5:
        raise RefusedError(f"its input {format_shape(shape)} has not one to three spatial axes")
    return shape
