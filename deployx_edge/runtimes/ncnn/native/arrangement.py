"""Operators that only move elements: reshape, transpose, concatenate, cut, pad, repeat."""

from __future__ import annotations

import math
from collections.abc import Sequence

from deployx_edge.model import format_shape
from deployx_edge.runtimes.ncnn.native.axes import (
    Grouping,
    aligned,
    group_axes,
    grouped,
    natural_dims,
    place_of,
    positive,
)
from deployx_edge.runtimes.ncnn.native.graph import Node, RefusedError
from deployx_edge.runtimes.ncnn.native.graph_builder import GraphBuilder, Parameter, sizes_of
from deployx_edge.runtimes.ncnn.native.kinds import TRUTH, WHOLE
from deployx_edge.runtimes.ncnn.native.permutation import (
    MAX_BLOCKS,
    moves_to,
    moving_blocks,
    permute_order,
)
from deployx_edge.runtimes.ncnn.native.table import writes

_PAD_MODES = {"constant": 0, "edge": 1, "reflect": 2}
_ABS, _TRUNCATION, _SIGN = 0, 19, 20  # of UnaryOp
_FLOATS = (1, 10, 11, 16)  # TensorProto.FLOAT, FLOAT16, DOUBLE, BFLOAT16


@writes("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout")
def view(builder: GraphBuilder, node: Node) -> None:
    """The same elements in the same order: no layer."""
    builder.graph.shape(node.outputs[0])
    builder.view(node.outputs[0], node.input(0))


@writes("Cast")
def cast(builder: GraphBuilder, node: Node) -> None:
    """Whole numbers are cut off floats, truth values are whether a number is not 0; from whole
    numbers, and between floats, nothing happens."""
    graph = builder.graph
    source, made = graph.kinds.get(node.input(0), ""), graph.kinds.get(node.outputs[0], "")
    if made == TRUTH and source != TRUTH:
        signs = builder.step("UnaryOp", node, (builder.take(node.input(0)),), {0: _SIGN})
        dims = builder.dims(node.input(0))
        builder.add("UnaryOp", node, (signs,), {node.outputs[0]: dims}, {0: _ABS})
        return
    if made == WHOLE and not source:
        bottom = builder.take(node.input(0))
        dims = builder.dims(node.input(0))
        builder.add("UnaryOp", node, (bottom,), {node.outputs[0]: dims}, {0: _TRUNCATION})
        return
    if not made and node.integer("to", 1) not in _FLOATS:
        raise RefusedError("it makes values that are neither floats nor whole numbers")
    builder.view(node.outputs[0], node.input(0))


@writes("Transpose")
def transpose(builder: GraphBuilder, node: Node) -> None:
    """Permute, after neighbours that move together are taken as one axis."""
    shape = builder.graph.shape(node.input(0))
    order = node.integers("perm") or tuple(reversed(range(len(shape))))
    blocks = moving_blocks(shape, order)
    if blocks == sorted(blocks):
        builder.view(node.outputs[0], node.input(0))
        return
    if len(blocks) > MAX_BLOCKS:
        raise RefusedError(
            f"it permutes {format_shape(shape)} by {order}: {len(blocks)} axes move apart"
        )
    source = sorted(blocks)
    sizes = [math.prod(shape[axis] for axis in block) for block in source]
    dims = builder.dims(node.input(0))
    if _exchanges_groups(blocks) and len(dims) == 3 and dims[0] == sizes[0] * sizes[1]:
        # An image whose channels are counted by groups: it stays one, with packed channels.
        blob = builder.take(node.input(0))
        builder.add("ShuffleChannel", node, (blob,), {node.outputs[0]: dims}, {0: sizes[0]})
        return
    moves = moves_to(tuple(source.index(block) for block in blocks))
    blob = ""
    for index, (lengths, turned) in enumerate(moves):
        runs = _runs_of(sizes, lengths)
        dims = tuple(math.prod(run) for run in runs)
        blob = (
            builder.take(node.input(0), dims) if index == 0 else builder.reshape(node, blob, dims)
        )
        sizes = [size for place in turned for size in runs[place]]
        result = tuple(dims[place] for place in turned)
        params: dict[int, Parameter] = {0: permute_order(turned)}
        if index < len(moves) - 1:
            blob = builder.step("Permute", node, (blob,), params)
        else:
            builder.add("Permute", node, (blob,), {node.outputs[0]: result}, params)


def _exchanges_groups(blocks: Sequence[tuple[int, ...]]) -> bool:
    """Whether the first two of three blocks change places."""
    return len(blocks) == 3 and blocks[1] < blocks[0] < blocks[2]


def _runs_of(sizes: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
    """The sizes cut into runs of these lengths."""
    runs, start = [], 0
    for length in lengths:
        runs.append(list(sizes[start : start + length]))
        start += length
    return runs


@writes("Concat")
def concat(builder: GraphBuilder, node: Node) -> None:
    """Concat."""
    graph = builder.graph
    names = [name for name in node.inputs if math.prod(graph.shape(name))]
    if len(names) == 1:
        builder.view(node.outputs[0], names[0])
        return
    shape = graph.shape(node.outputs[0])
    axis = positive(node.integer("axis", 1), len(shape))
    grouping = group_axes(shape, keep=(axis,))
    bottoms = [builder.take_grouped(name, grouping) for name in names]
    top = {node.outputs[0]: grouped(shape, grouping)}
    builder.add("Concat", node, bottoms, top, {0: place_of(axis, grouping)})


@writes("Split")
def split(builder: GraphBuilder, node: Node) -> None:
    """Slice into parts of given sizes."""
    graph = builder.graph
    shape = graph.shape(node.input(0))
    axis = positive(node.integer("axis", 0), len(shape))
    if len(node.outputs) == 1:
        builder.view(node.outputs[0], node.input(0))
        return
    grouping = group_axes(shape, keep=(axis,))
    sizes = [graph.shape(name)[axis] for name in node.outputs]
    if sum(sizes) != shape[axis]:
        raise RefusedError(f"its parts {sizes} are not the whole of {shape[axis]}")
    tops = {name: grouped(graph.shape(name), grouping) for name in node.outputs}
    bottom = builder.take_grouped(node.input(0), grouping)
    builder.add("Slice", node, (bottom,), tops, {0: sizes, 1: place_of(axis, grouping)})


@writes("Slice")
def slice_(builder: GraphBuilder, node: Node) -> None:
    """Crop; a step is taken by counting the axis as two."""
    graph = builder.graph
    shape = graph.shape(node.input(0))
    starts = graph.list_of(node, "starts", 1)
    ends = graph.list_of(node, "ends", 2)
    axes = graph.list_of(node, "axes", 3)
    steps = graph.list_of(node, "steps", 4)
    if starts is None or ends is None:
        raise RefusedError("it has no starts or ends")
    chosen = axes or tuple(range(len(starts)))
    cuts: dict[int, range] = {}
    for index, axis in enumerate(chosen):
        place = positive(axis, len(shape))
        step = steps[index] if steps else 1
        cuts[place] = range(*slice(starts[index], ends[index], step).indices(shape[place]))
    cut(builder, node, node.input(0), cuts)


def cut(builder: GraphBuilder, node: Node, tensor: str, cuts: dict[int, range]) -> None:
    """Make the node's output of the elements that ``cuts`` choose along some axes."""
    graph = builder.graph
    shape = list(graph.shape(tensor))
    real = {axis: place for axis, place in cuts.items() if place != range(shape[axis])}
    if any(len(place) == 0 for place in real.values()):
        raise RefusedError("its result is empty")
    if not real:
        builder.view(node.outputs[0], tensor)
        return
    if any(place.step != 1 for place in real.values()):
        _cut_with_steps(builder, node, tensor, real)
        return
    grouping = group_axes(shape, keep=tuple(real))
    dims = list(grouped(shape, grouping))
    places = {place_of(axis, grouping): chosen for axis, chosen in real.items()}
    bottom = builder.take(tensor, tuple(dims))
    for place, chosen in places.items():
        dims[place] = len(chosen)
    builder.add("Crop", node, (bottom,), {node.outputs[0]: tuple(dims)}, crop_to(places))


def _cut_with_steps(builder: GraphBuilder, node: Node, tensor: str, cuts: dict[int, range]) -> None:
    """One axis after the other: cut to whole steps, count as (steps, step), take the first.

    A negative step is the same backwards, with its elements flipped.
    """
    shape = list(builder.graph.shape(tensor))
    blob = builder.take(tensor)
    for axis, given in cuts.items():
        before, size, behind = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])
        chosen = given if given.step > 0 else given[::-1]
        step, count = chosen.step, len(chosen)
        blob = builder.reshape(node, blob, (before, size, behind))
        span = step * count
        if chosen.start + span > size:
            missing = chosen.start + span - size
            blob = builder.step("Padding", node, (blob,), {1: missing, 4: 0, 5: 0.0})
            size += missing
        if chosen.start > 0 or span < size:
            part = range(chosen.start, chosen.start + span)
            blob = builder.step("Crop", node, (blob,), crop_to({1: part}))
        if step > 1:
            blob = builder.reshape(node, blob, (before, count, step, behind))
            blob = builder.step("Crop", node, (blob,), crop_to({2: range(1)}))
            blob = builder.reshape(node, blob, (before, count, behind))
        if given.step < 0:
            blob = builder.step("Flip", node, (blob,), {0: (1,)})
        shape[axis] = count
    dims = natural_dims(shape)
    builder.add("Reshape", node, (blob,), {node.outputs[0]: dims}, sizes_of(dims))


def crop_to(places: dict[int, range]) -> dict[int, Parameter]:
    """Crop's parameters: the part to keep of some dimensions."""
    return {
        9: [chosen.start for chosen in places.values()],
        10: [chosen.stop for chosen in places.values()],
        11: list(places),
    }


@writes("Pad")
def pad(builder: GraphBuilder, node: Node) -> None:
    """Padding along up to three axes at once, else along one after the other."""
    graph = builder.graph
    shape = graph.shape(node.input(0))
    amounts = graph.list_of(node, "pads", 1)
    mode = node.text("mode", "constant")
    if amounts is None:
        raise RefusedError("it does not say how much it pads")
    axes = graph.list_of(node, "axes", 3) or tuple(range(len(shape)))
    half = len(amounts) // 2
    pads = {
        positive(axis, len(shape)): (amounts[index], amounts[half + index])
        for index, axis in enumerate(axes)
    }
    pads = {axis: amount for axis, amount in pads.items() if amount != (0, 0)}
    value = 0.0
    if node.input(2):
        value = float(graph.constant(node.input(2), "value").reshape(-1)[0])
    value = node.number("value", value)
    if not pads:
        builder.view(node.outputs[0], node.input(0))
        return
    grouping = _pad_grouping(shape, tuple(pads))
    negative = min(min(amount) for amount in pads.values()) < 0
    if grouping is None or negative or not _pads_at_once(mode, grouping, tuple(pads)):
        _pad_in_turns(builder, node, pads, mode, value)
        return
    dims = grouped(shape, grouping)
    params: dict[int, Parameter] = {4: _PAD_MODES[mode], 5: value}
    result = list(dims)
    for axis, (before, behind) in pads.items():
        place = place_of(axis, grouping)
        keys = ((2, 3), (0, 1), (7, 8))[len(dims) - 1 - place]
        params[keys[0]], params[keys[1]] = before, behind
        result[place] += before + behind
    bottom = builder.take(node.input(0), dims)
    builder.add("Padding", node, (bottom,), {node.outputs[0]: tuple(result)}, params)


def _pads_at_once(mode: str, grouping: Grouping, axes: tuple[int, ...]) -> bool:
    """Whether ncnn has the mode, and pads channels in it: that it does by constants only."""
    channels = len(grouping) == 3 and any(place_of(axis, grouping) == 0 for axis in axes)
    return mode in _PAD_MODES and (mode == "constant" or not channels)


def _pad_in_turns(
    builder: GraphBuilder, node: Node, pads: dict[int, tuple[int, int]], mode: str, value: float
) -> None:
    """Each axis as the height of an image; negative amounts cut first."""
    shape = list(builder.graph.shape(node.input(0)))
    blob = builder.take(node.input(0))
    for axis, amount in pads.items():
        blob = builder.reshape(
            node, blob, (math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]))
        )
        begin, end = max(-amount[0], 0), shape[axis] - max(-amount[1], 0)
        if begin >= end:
            raise RefusedError("it cuts off a whole axis")
        if (begin, end) != (0, shape[axis]):
            blob = builder.step("Crop", node, (blob,), crop_to({1: range(begin, end)}))
        before, behind = max(amount[0], 0), max(amount[1], 0)
        blob = _padded_height(builder, node, blob, end - begin, (before, behind), mode, value)
        shape[axis] = before + end - begin + behind
    dims = natural_dims(shape)
    builder.view_of_blob(node.outputs[0], builder.reshape(node, blob, dims), dims)


def _padded_height(
    builder: GraphBuilder,
    node: Node,
    blob: str,
    size: int,
    amount: tuple[int, int],
    mode: str,
    value: float,
) -> str:
    """The blob of three dimensions, its middle one padded."""
    if amount == (0, 0):
        return blob
    before, behind = amount
    if mode in _PAD_MODES:
        params: dict[int, Parameter] = {0: before, 1: behind, 4: _PAD_MODES[mode], 5: value}
        return builder.step("Padding", node, (blob,), params)
    if mode != "wrap" or max(amount) > size:
        raise RefusedError(f"its mode is '{mode}', by {max(amount)} elements of {size}")
    parts = [blob]
    if before:
        head = range(size - before, size)
        parts.insert(0, builder.step("Crop", node, (blob,), crop_to({1: head})))
    if behind:
        parts.append(builder.step("Crop", node, (blob,), crop_to({1: range(behind)})))
    return builder.step("Concat", node, parts, {0: 1})


def _pad_grouping(shape: Sequence[int], axes: tuple[int, ...]) -> Grouping | None:
    """All padded axes among the last three dimensions of three (or of fewer); None if not."""
    first = min(axes)
    head = tuple(axis for axis in range(first) if shape[axis] != 1)
    tail: list[tuple[int, ...]] = [
        (axis,) for axis in range(first, len(shape)) if shape[axis] != 1 or axis in axes
    ]
    index = 0
    while len(tail) + bool(head) > 3 and index < len(tail) - 1:
        if tail[index][0] not in axes and tail[index + 1][0] not in axes:
            tail[index : index + 2] = [tail[index] + tail[index + 1]]
        else:
            index += 1
    groups = ([head] if head else []) + tail
    return tuple(groups) if len(groups) <= 3 else None


@writes("Tile", "Expand")
def tile(builder: GraphBuilder, node: Node) -> None:
    """Tile along each axis that grows."""
    graph = builder.graph
    shape, result = graph.shape(node.input(0)), graph.shape(node.outputs[0])
    full = aligned(shape, len(result))
    if full == tuple(result):
        builder.view(node.outputs[0], node.input(0))
        return
    try:
        grouping = _tile_grouping(result, full)
    except RefusedError:  # more than four dimensions matter, but not all at once
        _tile_in_turns(builder, node, full, result)
        return
    dims, wanted = grouped(full, grouping), grouped(result, grouping)
    bottom = builder.take(node.input(0), dims)
    repeats = [size // old for size, old in zip(wanted, dims, strict=True)]
    builder.add("Tile", node, (bottom,), {node.outputs[0]: wanted}, {2: repeats})


def _tile_in_turns(
    builder: GraphBuilder, node: Node, full: tuple[int, ...], result: tuple[int, ...]
) -> None:
    shape = list(full)
    blob = builder.take(node.input(0))
    for axis, size in enumerate(result):
        if size == shape[axis]:
            continue
        around = (math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]))
        blob = builder.reshape(node, blob, around)
        blob = builder.step("Tile", node, (blob,), {2: (1, size // shape[axis], 1)})
        shape[axis] = size
    dims = natural_dims(result)
    builder.view_of_blob(node.outputs[0], builder.reshape(node, blob, dims), dims)


def _tile_grouping(result: Sequence[int], full: Sequence[int]) -> Grouping:
    grown = tuple(axis for axis, size in enumerate(result) if size != full[axis])
    return group_axes([max(a, b) for a, b in zip(result, full, strict=True)], keep=grown)


@writes("DepthToSpace")
def depth_to_space(builder: GraphBuilder, node: Node) -> None:
    """PixelShuffle, by columns or depth first."""
    shape, result = _image(builder, node)
    mode = {"DCR": 1, "CRD": 0}[node.text("mode", "DCR")]
    bottom = builder.take(node.input(0), shape[1:])
    params: dict[int, Parameter] = {0: node.integer("blocksize", 1), 1: mode}
    builder.add("PixelShuffle", node, (bottom,), {node.outputs[0]: result[1:]}, params)


@writes("SpaceToDepth")
def space_to_depth(builder: GraphBuilder, node: Node) -> None:
    """Reorg, depth first."""
    shape, result = _image(builder, node)
    bottom = builder.take(node.input(0), shape[1:])
    params: dict[int, Parameter] = {0: node.integer("blocksize", 1), 1: 1}
    builder.add("Reorg", node, (bottom,), {node.outputs[0]: result[1:]}, params)


def _image(builder: GraphBuilder, node: Node) -> tuple[tuple[int, ...], tuple[int, ...]]:
    shape = builder.graph.shape(node.input(0))
    if len(shape) != 4 or shape[0] != 1:
        raise RefusedError(f"its input {format_shape(shape)} is not one image")
    return shape, builder.graph.shape(node.outputs[0])
