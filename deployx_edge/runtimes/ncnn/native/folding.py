"""Col2Im: an image put together of the columns that its windows have become."""

from __future__ import annotations

import math

from deployx_edge.model import format_shape
from deployx_edge.runtimes.ncnn.native.convolution import as_channels, by_axis
from deployx_edge.runtimes.ncnn.native.graph import Node, RefusedError
from deployx_edge.runtimes.ncnn.native.graph_builder import GraphBuilder, Parameter
from deployx_edge.runtimes.ncnn.native.table import writes

# Fold's ids by axis: width, height.
_KERNEL, _DILATION, _STRIDE = (1, 11), (2, 12), (3, 13)
_PAD_BEGIN, _PAD_END, _SIZE = (4, 14), (15, 16), (20, 21)


@writes("Col2Im")
def fold(builder: GraphBuilder, node: Node) -> None:
    """Fold, of images; several samples are more channels."""
    graph = builder.graph
    sizes = graph.list_of(node, "image_shape", 1) or ()
    kernel = graph.list_of(node, "block_shape", 2) or ()
    if len(sizes) != 2:
        raise RefusedError(f"it puts {format_shape(sizes)} together, which is not an image")
    pads = node.integers("pads") or (0, 0, 0, 0)
    params: dict[int, Parameter] = by_axis(
        (_KERNEL, kernel),
        (_DILATION, node.integers("dilations") or (1, 1)),
        (_STRIDE, node.integers("strides") or (1, 1)),
        (_PAD_BEGIN, pads[:2]),
        (_PAD_END, pads[2:]),
        (_SIZE, sizes),
    )
    shape = graph.shape(node.input(0))
    columns = (math.prod(shape[:-1]), shape[-1])
    top = {node.outputs[0]: as_channels(graph.shape(node.outputs[0]))}
    builder.add("Fold", node, (builder.take(node.input(0), columns),), top, params)
