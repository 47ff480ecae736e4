"""Reductions over axes, and running sums along one."""

from __future__ import annotations

import math
from collections.abc import Mapping

from deployx_edge.model import MAX_RUNTIME_DIMS, format_shape
from deployx_edge.runtimes.ncnn.native.axes import Dims, group_axes, grouped, place_of, positive
from deployx_edge.runtimes.ncnn.native.convolution import as_channels
from deployx_edge.runtimes.ncnn.native.graph import Node, RefusedError
from deployx_edge.runtimes.ncnn.native.graph_builder import GraphBuilder, Parameter
from deployx_edge.runtimes.ncnn.native.table import writes

# Reduction's operation.
_OPERATIONS = {
    "ReduceSum": 0,
    "ReduceSumSquare": 2,
    "ReduceMean": 3,
    "ReduceMax": 4,
    "ReduceMin": 5,
    "ReduceProd": 6,
    "ReduceL1": 7,
    "ReduceL2": 8,
    "ReduceLogSum": 9,
}
# What UnaryOp does where a single element is reduced; the others leave it as it is.
_OF_ONE = {"ReduceSumSquare": 4, "ReduceL1": 0, "ReduceL2": 0, "ReduceLogSum": 8}
# Pooling's type.
_POOLED = {"ReduceMax": 0, "ReduceMean": 1}
_EXP, _LOG = 7, 8  # UnaryOp
_ADD, _SUB = 0, 1  # BinaryOp


@writes(*_OPERATIONS, "ReduceLogSumExp")
def reduce(builder: GraphBuilder, node: Node) -> None:
    """Reduction; kept axes and dropped ones hold the same elements, so all are kept."""
    graph = builder.graph
    shape = graph.shape(node.input(0))
    given = graph.list_of(node, "axes", 1)
    none = not given and bool(node.integer("noop_with_empty_axes", 0))
    chosen = () if none else given or range(len(shape))
    axes = {positive(axis, len(shape)) for axis in chosen}
    dims, places = counted(shape, axes)
    result = tuple(1 if index in places else size for index, size in enumerate(dims))
    if math.prod(result) != math.prod(graph.shape(node.outputs[0])):
        raise RefusedError(
            f"it reduces {format_shape(shape)} to {format_shape(result)}, its output is "
            f"{format_shape(graph.shape(node.outputs[0]))}"
        )
    if not places:
        _keep(builder, node)
        return
    if _pooled(builder, node, shape, axes):
        return
    bottom = builder.take(node.input(0), dims)
    top = {node.outputs[0]: result}
    if node.operator == "ReduceLogSumExp":
        _log_of_sum(builder, node, bottom, places, top)
        return
    builder.add("Reduction", node, (bottom,), top, along(_OPERATIONS[node.operator], places))


def _pooled(builder: GraphBuilder, node: Node, shape: tuple[int, ...], axes: set[int]) -> bool:
    """Reduce whole images by Pooling, which takes packed channels as Reduction does not."""
    if node.operator not in _POOLED or len(shape) != 4 or axes != {2, 3}:
        return False
    image = as_channels(shape)
    if builder.dims(node.input(0)) != image:
        return False
    bottom = builder.take(node.input(0))
    params: dict[int, Parameter] = {0: _POOLED[node.operator], 4: 1}
    builder.add("Pooling", node, (bottom,), {node.outputs[0]: image[:1]}, params)
    return True


def along(operation: int, places: Dims) -> dict[int, Parameter]:
    """Reduction's parameters: along these dimensions, which stay with a size of 1."""
    # 5 says that the axes are counted as today, without a batch.
    return {0: operation, 1: 0, 3: places, 4: 1, 5: 1}


def counted(shape: tuple[int, ...], axes: set[int]) -> tuple[Dims, Dims]:
    """The dimensions that the tensor is counted by, and those of them that are reduced."""
    runs = merged(shape, axes)
    if len(runs) <= MAX_RUNTIME_DIMS:
        places = tuple(index for index, (_, is_reduced) in enumerate(runs) if is_reduced)
        return tuple(size for size, _ in runs), places
    grouping = group_axes(shape, keep=tuple(axes))
    return grouped(shape, grouping), tuple(place_of(axis, grouping) for axis in sorted(axes))


def _keep(builder: GraphBuilder, node: Node) -> None:
    """Reduce along axes of size 1, or along none."""
    tensor, output = node.input(0), node.outputs[0]
    if node.operator not in _OF_ONE:
        builder.view(output, tensor)
        return
    dims = builder.dims(tensor)
    builder.add(
        "UnaryOp", node, (builder.take(tensor),), {output: dims}, {0: _OF_ONE[node.operator]}
    )


def _log_of_sum(
    builder: GraphBuilder, node: Node, bottom: str, places: Dims, top: Mapping[str, Dims]
) -> None:
    """max + log(sum(exp(x - max))): ncnn's own operation overflows from 89 on."""
    most = builder.step("Reduction", node, (bottom,), along(_OPERATIONS["ReduceMax"], places))
    powers = builder.step("BinaryOp", node, (bottom, most), {0: _SUB})
    powers = builder.step("UnaryOp", node, (powers,), {0: _EXP})
    total = builder.step("Reduction", node, (powers,), along(_OPERATIONS["ReduceSum"], places))
    total = builder.step("UnaryOp", node, (total,), {0: _LOG})
    builder.add("BinaryOp", node, (total, most), top, {0: _ADD})


def merged(shape: tuple[int, ...], axes: set[int]) -> list[tuple[int, bool]]:
    """Neighbouring axes taken together as far as all are reduced, or none is."""
    runs: list[tuple[int, bool]] = []
    for axis, size in enumerate(shape):
        is_reduced = axis in axes
        if size == 1:
            continue
        if runs and runs[-1][1] == is_reduced:
            runs[-1] = (runs[-1][0] * size, is_reduced)
        else:
            runs.append((size, is_reduced))
    return runs or [(1, False)]


@writes("CumSum")
def running_sum(builder: GraphBuilder, node: Node) -> None:
    """CumulativeSum; backwards between two flips, without its own element moved by one."""
    graph = builder.graph
    shape = graph.shape(node.input(0))
    axis = positive(int(graph.constant(node.input(1), "axis").reshape(-1)[0]), len(shape))
    dims = (math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]))
    blob = builder.take(node.input(0), dims)
    backwards = bool(node.integer("reverse", 0))
    if backwards:
        blob = builder.step("Flip", node, (blob,), {0: (1,)})
    blob = builder.step("CumulativeSum", node, (blob,), {0: 1})
    if node.integer("exclusive", 0):
        blob = builder.step("Padding", node, (blob,), {0: 1, 4: 0, 5: 0.0})
        blob = builder.step("Crop", node, (blob,), {9: (0,), 10: (dims[1],), 11: (1,)})
    if backwards:
        blob = builder.step("Flip", node, (blob,), {0: (1,)})
    builder.view_of_blob(node.outputs[0], blob, dims)
