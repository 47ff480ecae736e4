"""Gather and GatherND: elements that are chosen by constant indices.

Computed ones are for the operators of our own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from deployx_edge.model import format_shape
from deployx_edge.runtimes.ncnn.native.arrangement import crop_to, cut
from deployx_edge.runtimes.ncnn.native.axes import group_axes, grouped, place_of, positive
from deployx_edge.runtimes.ncnn.native.graph import FinalRefusalError, Node, RefusedError
from deployx_edge.runtimes.ncnn.native.graph_builder import GraphBuilder
from deployx_edge.runtimes.ncnn.native.table import writes

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_PARTS = 16  # a part is a layer; beyond that the operators of our own are less work


@writes("Gather")
def gather(builder: GraphBuilder, node: Node) -> None:
    """Constant indices that count up evenly are a Crop; others are cut and put together."""
    graph = builder.graph
    shape = graph.shape(node.input(0))
    axis = positive(node.integer("axis", 0), len(shape))
    if node.input(0) in graph.constants:
        raise RefusedError("it looks up a table by computed indices, which must be integers")
    indices = graph.constant(node.input(1), "indices").reshape(-1)
    chosen = [positive(int(index), shape[axis]) for index in indices]
    if any(not 0 <= index < shape[axis] for index in chosen):
        raise FinalRefusalError(f"its indices lead out of an axis of {shape[axis]}")
    step = chosen[1] - chosen[0] if len(chosen) > 1 else 1
    even = step != 0 and all(b - a == step for a, b in pairwise(chosen))
    if even:
        end = chosen[-1] + (1 if step > 0 else -1)
        cut(builder, node, node.input(0), {axis: range(chosen[0], end, step)})
        return
    runs = _runs(chosen)
    _refuse_many(runs)
    grouping = group_axes(shape, keep=(axis,))
    place = place_of(axis, grouping)
    dims = list(grouped(shape, grouping))
    bottom = builder.take(node.input(0), tuple(dims))
    parts = [
        builder.step("Crop", node, (bottom,), crop_to({place: range(first, last + 1)}))
        for first, last in runs
    ]
    dims[place] = len(chosen)
    builder.add("Concat", node, parts, {node.outputs[0]: tuple(dims)}, {0: place})


@writes("GatherND")
def gather_by_tuples(builder: GraphBuilder, node: Node) -> None:
    """Constant tuples of indices: along one axis after the other where they span a grid."""
    import numpy as np

    graph = builder.graph
    if node.integer("batch_dims", 0):
        raise RefusedError("its first axes count samples (batch_dims)")
    shape = graph.shape(node.input(0))
    tuples = graph.constant(node.input(1), "indices")
    if not tuples.size:
        raise FinalRefusalError("its indices are empty")
    depth = tuples.shape[-1]
    sizes = np.asarray(shape[:depth])
    tuples = np.where(tuples < 0, tuples + sizes, tuples)
    if (tuples < 0).any() or (tuples >= sizes).any():
        raise FinalRefusalError(f"its indices lead out of {format_shape(shape[:depth])}")
    chosen = _by_axis(tuples)
    if chosen is None:
        flat = np.ravel_multi_index(tuple(np.moveaxis(tuples, -1, 0)), tuple(sizes))
        chosen = {depth - 1: [int(index) for index in flat.reshape(-1)]}
        shape = (*[1] * (depth - 1), math.prod(shape[:depth]), *shape[depth:])
    for indices in chosen.values():
        _refuse_many(_runs(indices))
    _gather_in_turns(builder, node, chosen, shape)


def _by_axis(tuples: NDArray[Any]) -> dict[int, list[int]] | None:
    """The indices of each axis, where the tuples are all those of a grid, in its order."""
    import numpy as np

    rank, depth = tuples.ndim - 1, tuples.shape[-1]
    chosen: dict[int, list[int]] = {}
    start = 0
    for place in range(depth):
        values = tuples[..., place]
        varies = [axis for axis in range(rank) if (values != values.take([0], axis)).any()]
        if varies and varies[0] < start:
            return None
        # Axes along which nothing varies belong to whoever comes last.
        end = rank if place == depth - 1 else (varies[-1] + 1 if varies else start)
        first = tuple(slice(None) if start <= axis < end else 0 for axis in range(rank))
        chosen[place] = [int(index) for index in np.ravel(values[first])]
        start = end
    return chosen


def _gather_in_turns(
    builder: GraphBuilder,
    node: Node,
    chosen: dict[int, list[int]],
    shape: Sequence[int] | None = None,
) -> None:
    """Choose along each axis as the height of an image."""
    sizes = list(shape or builder.graph.shape(node.input(0)))
    blob = ""
    for axis, indices in chosen.items():
        around = (math.prod(sizes[:axis]), sizes[axis], math.prod(sizes[axis + 1 :]))
        blob = builder.reshape(node, blob, around) if blob else builder.take(node.input(0), around)
        blob = _chosen(builder, node, blob, indices)
        sizes[axis] = len(indices)
    last = max(chosen)
    dims = (math.prod(sizes[:last]), sizes[last], math.prod(sizes[last + 1 :]))
    builder.view_of_blob(node.outputs[0], blob, dims)


def _chosen(builder: GraphBuilder, node: Node, blob: str, indices: Sequence[int]) -> str:
    """Some of the middle dimension of three: parts put together."""
    runs = _runs(indices)
    parts = [
        builder.step("Crop", node, (blob,), crop_to({1: range(first, last + 1)}))
        for first, last in runs
    ]
    return parts[0] if len(parts) == 1 else builder.step("Concat", node, parts, {0: 1})


def _refuse_many(runs: Sequence[tuple[int, int]]) -> None:
    # A product with zeros and ones would do, but for infinity and NaN, which it spreads.
    if len(runs) > _MOST_PARTS:
        raise RefusedError(f"its indices are {len(runs)} runs, more than {_MOST_PARTS}")


def _runs(indices: Sequence[int]) -> list[tuple[int, int]]:
    """Runs of indices that count up by one, as (first, last)."""
    runs: list[tuple[int, int]] = []
    for index in indices:
        if runs and index == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], index)
        else:
            runs.append((index, index))
    return runs
