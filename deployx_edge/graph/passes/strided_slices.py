"""Slices that take every second row and column, put together again.

    x ─┬─ Slice ::2, ::2 ───┐
       ├─ Slice 1::2, ::2 ──┤
       ├─ Slice ::2, 1::2 ──┤
       └─ Slice 1::2, 1::2 ─ Concat ─ y      ⇒      x ─ Reshape ─ Transpose ─ Reshape ─ y

It is what YOLO calls a focus and Swin a merging of patches. Any steps along any axes, and any
order of the parts that counts the axes one after the other. Left alone: parts that leave
something out, overlap, or come in another order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations, product
from typing import TYPE_CHECKING

from deployx_edge.graph.links import Shapes, attribute
from deployx_edge.graph.passes.matching import Fused, PatternGraph, fuse

if TYPE_CHECKING:
    import onnx

Cuts = Mapping[int, range]

# More axes than that would not be moved by a runtime as one.
_MOST_AXES = 6


@dataclass(frozen=True, kw_only=True)
class _Grid:
    """The steps by axis, and the axes in the order in which the parts count them."""

    source: str
    steps: Mapping[int, int]
    order: tuple[int, ...]


def join_strided_slices(model: onnx.ModelProto, shapes: Shapes) -> int:
    """Put a Transpose in the place of slices that are joined again."""
    return fuse(model, shapes, _match)


def _match(graph: PatternGraph, node: onnx.NodeProto) -> Fused | None:
    if node.op_type != "Concat" or len(node.input) < 2:
        return None
    parts = [dict(_sources(graph, name)) for name in node.input]
    for source in parts[0]:
        if all(source in part for part in parts):
            shape = graph.shape(source)
            grid = None
            if shape is not None and shape:
                grid = _grid(source, shape, [part[source] for part in parts])
            if grid is not None and shape is not None:
                return _moved(graph, node, grid, shape)
    return None


def _sources(graph: PatternGraph, tensor: str) -> Iterator[tuple[str, Cuts]]:
    """What the tensor is cut from by one Slice or several, the nearest first."""
    cuts: dict[int, range] = {}
    while True:
        node = graph.maker(tensor, "Slice")
        found = None if node is None else _cuts(graph, node)
        if node is None or found is None or found.keys() & cuts.keys():
            return
        cuts |= found
        tensor = node.input[0]
        yield tensor, dict(cuts)


def _cuts(graph: PatternGraph, node: onnx.NodeProto) -> dict[int, range] | None:
    """The elements that a Slice takes along its axes."""
    shape = graph.shape(node.input[0])
    starts, ends = graph.integers(node, "starts", 1), graph.integers(node, "ends", 2)
    if shape is None or starts is None or ends is None:
        return None
    axes, steps = graph.integers(node, "axes", 3), graph.integers(node, "steps", 4)
    if (axes is None and _has_input(node, 3)) or (steps is None and _has_input(node, 4)):
        return None
    axes = axes or tuple(range(len(starts)))
    steps = steps or (1,) * len(starts)
    places = [axis % len(shape) for axis in axes]
    return {
        axis: range(*slice(start, end, step).indices(shape[axis]))
        for axis, start, end, step in zip(places, starts, ends, steps, strict=True)
    }


def _has_input(node: onnx.NodeProto, index: int) -> bool:
    return len(node.input) > index and bool(node.input[index])


def _grid(source: str, shape: tuple[int, ...], parts: list[Cuts]) -> _Grid | None:
    steps: dict[int, int] = {}
    offsets: list[dict[int, int]] = []
    for part in parts:
        real = {axis: cut for axis, cut in part.items() if cut != range(shape[axis])}
        for axis, cut in real.items():
            step = steps.setdefault(axis, cut.step)
            if step < 2 or shape[axis] % step or cut.start >= step:
                return None
            if cut != range(cut.start, shape[axis], step):
                return None
        offsets.append({axis: cut.start for axis, cut in real.items()})
    if any(offset.keys() != steps.keys() for offset in offsets):
        return None
    if len(shape) + len(steps) > _MOST_AXES:
        return None
    for order in permutations(steps):
        counted = product(*(range(steps[axis]) for axis in order))
        if [tuple(offset[axis] for axis in order) for offset in offsets] == list(counted):
            return _Grid(source=source, steps=steps, order=order)
    return None


def _moved(graph: PatternGraph, node: onnx.NodeProto, grid: _Grid, shape: tuple[int, ...]) -> Fused:
    """Each axis counted as (size ÷ step, step), and the steps put before the joined axis."""
    import numpy as np
    from onnx import helper

    joined = attribute(node, "axis") % len(shape)
    counted: list[int] = []
    places: dict[int, int] = {}
    for axis, size in enumerate(shape):
        places[axis] = len(counted)
        step = grid.steps.get(axis, 1)
        counted.extend([size // step, step] if step > 1 else [size])
    order: list[int] = []
    for axis in range(len(shape)):
        if axis == joined:
            order.extend(places[other] + 1 for other in grid.order)
        order.append(places[axis])
    result = [size // grid.steps.get(axis, 1) for axis, size in enumerate(shape)]
    result[joined] *= math.prod(grid.steps.values())
    name = node.name or node.output[0]
    split, moved = graph.new_name(f"{name}/split"), graph.new_name(f"{name}/moved")
    graph.shapes[split] = tuple(counted)
    graph.shapes[moved] = tuple(counted[place] for place in order)
    inner = graph.constant_for(node, "counted", np.asarray(counted, dtype=np.int64))
    outer = graph.constant_for(node, "shape", np.asarray(result, dtype=np.int64))
    return Fused(
        operator="Reshape",
        inputs=(moved, outer),
        sources=(grid.source,),
        before=(
            helper.make_node("Reshape", [grid.source, inner], [split], name=split),
            helper.make_node("Transpose", [split], [moved], name=moved, perm=order),
        ),
    )
