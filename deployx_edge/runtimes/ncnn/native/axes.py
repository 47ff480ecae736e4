"""How the axes of ONNX tensors become the at most four dimensions of an ncnn blob.

A blob always holds its tensor's elements in ONNX's order, slowest axis first; only how
they are counted differs. So a *grouping* says it all: a list of groups of neighbouring
axes, each of which becomes one dimension. Axes of size 1 are in no group where they are
not needed.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from deployx_edge.model import MAX_RUNTIME_DIMS, format_shape
from deployx_edge.runtimes.ncnn.native.graph import RefusedError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Dims = tuple[int, ...]
Grouping = tuple[tuple[int, ...], ...]


def natural_dims(shape: Sequence[int]) -> Dims:
    """The dimensions that a tensor has by itself: without a leading axis of size 1.

    A tensor of more axes than ncnn has is counted by fewer, its first ones taken together.
    """
    dims = tuple(shape[1:]) if len(shape) > 1 and shape[0] == 1 else tuple(shape)
    if len(dims) > MAX_RUNTIME_DIMS:
        dims = tuple(size for size in dims if size != 1)
    if len(dims) > MAX_RUNTIME_DIMS:
        cut = len(dims) - MAX_RUNTIME_DIMS + 1
        dims = (math.prod(dims[:cut]), *dims[cut:])
    return dims or (1,)


def group_axes(shape: Sequence[int], keep: Collection[int]) -> Grouping:
    """A grouping in which every axis of ``keep`` is a dimension of its own.

    A leading axis of size 1 is left out, so that images keep the three dimensions that
    ncnn is fast with; others are left out or taken together only where that is needed.
    """
    axes = [axis for axis in range(len(shape)) if axis > 0 or shape[0] != 1 or axis in keep]
    groups: list[tuple[int, ...]] = [(axis,) for axis in axes]
    if len(groups) > MAX_RUNTIME_DIMS:
        groups = [(axis,) for axis in axes if shape[axis] != 1 or axis in keep]
    while len(groups) > MAX_RUNTIME_DIMS:
        place = next(
            (
                index
                for index in range(len(groups) - 1)
                if groups[index][0] not in keep and groups[index + 1][0] not in keep
            ),
            None,
        )
        if place is None:
            raise RefusedError(
                f"its tensor {format_shape(shape)} has more than the {MAX_RUNTIME_DIMS} "
                "dimensions of ncnn that matter here"
            )
        groups[place : place + 2] = [groups[place] + groups[place + 1]]
    return tuple(groups) or ((),)


def grouped(shape: Sequence[int], grouping: Grouping) -> Dims:
    """The dimensions of a tensor of that shape, counted by the grouping."""
    return tuple(math.prod(shape[axis] for axis in group) for group in grouping)


def place_of(axis: int, grouping: Grouping) -> int:
    """The dimension that the axis, which must be kept, has become."""
    return grouping.index((axis,))


def aligned(shape: Sequence[int], rank: int) -> tuple[int, ...]:
    """The shape with axes of size 1 put before it, or taken off there, as broadcasting sees it."""
    surplus = max(0, len(shape) - rank)
    if any(size != 1 for size in shape[:surplus]):
        raise RefusedError(f"its operand {format_shape(shape)} has more axes than its result")
    return (*[1] * (rank - len(shape)), *shape[surplus:])


def spread(values: NDArray[Any], shape: Sequence[int]) -> NDArray[Any]:
    """Constant values broadcast to the shape; refuses where they do not."""
    import numpy as np

    try:
        return np.broadcast_to(values.reshape(aligned(values.shape, len(shape))), shape)
    except ValueError as error:
        raise RefusedError(
            f"its constant {format_shape(values.shape)} does not broadcast to {format_shape(shape)}"
        ) from error


def broadcast_grouping(shape: Sequence[int], operands: Sequence[Sequence[int]]) -> Grouping:
    """A grouping of the result's ``shape`` that ``operands``, aligned to it, can share.

    Axes are taken together only where each operand has them whole or none of them.
    """
    rank = len(shape)
    sizes = [aligned(operand, rank) for operand in operands]
    for size in sizes:
        if any(one not in (1, whole) for one, whole in zip(size, shape, strict=True)):
            raise RefusedError(
                f"its operand {format_shape(size)} does not broadcast to {format_shape(shape)}"
            )
    axes = [axis for axis in range(rank) if axis > 0 or shape[0] != 1]
    groups: list[tuple[int, ...]] = [(axis,) for axis in axes]
    if len(groups) > MAX_RUNTIME_DIMS:
        groups = [(axis,) for axis in axes if shape[axis] != 1]

    def spread(axis: int) -> tuple[bool, ...]:
        return tuple(operand[axis] == shape[axis] for operand in sizes)

    index = 0
    while len(groups) > MAX_RUNTIME_DIMS and index < len(groups) - 1:
        if spread(groups[index][0]) == spread(groups[index + 1][0]):
            groups[index : index + 2] = [groups[index] + groups[index + 1]]
        else:
            index += 1
    if len(groups) > MAX_RUNTIME_DIMS:
        raise RefusedError(
            f"its operands {', '.join(format_shape(operand) for operand in operands)} broadcast "
            f"along more than the {MAX_RUNTIME_DIMS} dimensions of ncnn"
        )
    return tuple(groups) or ((),)


def positive(axis: int, rank: int) -> int:
    """The axis counted from the front."""
    return axis + rank if axis < 0 else axis
