"""GridSample: an image looked at in places that are computed."""

from __future__ import annotations

from deployx_edge.model import format_shape
from deployx_edge.runtimes.ncnn.native.graph import Graph, Node, RefusedError
from deployx_edge.runtimes.ncnn.native.graph_builder import GraphBuilder
from deployx_edge.runtimes.ncnn.native.table import writes

# Opset 20 has renamed the modes.
_MODES = {"bilinear": 1, "linear": 1, "nearest": 2, "bicubic": 3, "cubic": 3}
_NEAREST, _BICUBIC = 2, 3
_PADDINGS = {"zeros": 1, "border": 2, "reflection": 3}
_FARTHEST_REFLECTED = 3.0  # a grid's coordinate that ncnn still reflects as ONNX does: once
_TIE = 1e-4  # pixels; nearer to the middle of two, rounding decides


@writes("GridSample")
def grid_sample(builder: GraphBuilder, node: Node) -> None:
    """GridSample of one image or volume."""
    graph = builder.graph
    shape, grid = graph.shape(node.input(0)), graph.shape(node.input(1))
    if len(shape) not in (4, 5) or shape[0] != 1:
        raise RefusedError(f"its input {format_shape(shape)} is not one image")
    mode = _MODES[node.text("mode", "bilinear")]
    padding = node.text("padding_mode", "zeros")
    if len(shape) == 5 and mode == _BICUBIC:
        raise RefusedError("it interpolates volumes by cubics")
    _check_grid(graph, node, mode, padding)
    align = node.integer("align_corners", 0)
    bottoms = (builder.take(node.input(0), shape[1:]), builder.take(node.input(1), grid[1:]))
    top = {node.outputs[0]: graph.shape(node.outputs[0])[1:]}
    builder.add("GridSample", node, bottoms, top, {0: mode, 1: _PADDINGS[padding], 2: align})


def _check_grid(graph: Graph, node: Node, mode: int, padding: str) -> None:
    """Refuse what ncnn does otherwise: repeated reflection, and ties of the nearest pixel."""
    import numpy as np

    grid = graph.constants.get(node.input(1))
    if padding == "reflection" and (
        grid is None or float(np.abs(grid).max()) > _FARTHEST_REFLECTED
    ):
        raise RefusedError("it may reflect more than once, ncnn reflects once")
    if mode == _NEAREST and grid is None:
        raise RefusedError("which pixel is nearest to a computed place may be a tie")
    if grid is None:
        return
    sizes = graph.shape(node.input(0))[2:]
    align = node.integer("align_corners", 0)
    for axis, size in enumerate(reversed(sizes)):
        place = (grid[..., axis] + 1.0) / 2.0
        place = place * (size - 1) if align else place * size - 0.5
        first = np.floor(place)
        if mode == _NEAREST and (np.abs(place - first - 0.5) < _TIE).any():
            raise RefusedError("it looks exactly between two pixels, of which ncnn takes the other")
        # Cubics read a pixel more before a place, and two behind it.
        most = size - 1 if align else size
        is_far = first.min() - 1 < -most or first.max() + 2 > size - 1 + most
        if mode == _BICUBIC and padding == "reflection" and is_far:
            raise RefusedError("its cubics reflect more than once, ncnn reflects once")
