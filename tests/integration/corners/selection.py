"""What chooses elements, puts some in their place, or tells where they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from deployx_edge.workflows.operators.cases import Case, Fed
from tests.integration.corners.drawing import Draw

_SCATTERS = {11: ("",), 13: ("",), 16: ("none", "add", "mul")}
_ALL_SCATTERS = ("none", "add", "mul", "min", "max")


def extreme(d: Draw, opset: int) -> Case:
    shape = d.shape(1)
    attributes: dict[str, Any] = {"axis": d.axis(len(shape)), "keepdims": d.whole(0, 1)}
    if opset >= 12:
        attributes["select_last_index"] = d.whole(0, 1)
    values = d.floats(shape, numbers=True)
    return Case(name="", inputs=(Fed(values=values),), attributes=attributes)


def hardmax(d: Draw, opset: int) -> Case:
    shape = d.shape(1)
    values = Fed(values=d.floats(shape, numbers=True))
    return Case(name="", inputs=(values,), attributes={"axis": d.axis(len(shape))})


def top(d: Draw, opset: int) -> Case:
    shape = d.shape(1)
    axis = d.axis(len(shape))
    attributes: dict[str, Any] = {"axis": axis}
    if opset >= 11:
        attributes["largest"] = d.whole(0, 1)
    count = np.asarray([d.whole(1, shape[axis])], dtype=np.int64)
    values = Fed(values=d.floats(shape, numbers=True))
    return Case(name="", inputs=(values, count), attributes=attributes)


def gather(d: Draw, opset: int) -> Case:
    shape = d.shape(1)
    axis = d.axis(len(shape))
    chosen = d.shape(0, 5 - len(shape))
    inputs = Fed(values=d.values(shape)), d.indices(chosen, shape[axis])
    return Case(name="", inputs=inputs, attributes={"axis": axis})


def gather_elements(d: Draw, opset: int) -> Case:
    shape = d.shape(1)
    axis = d.axis(len(shape))
    chosen = _within(d, shape, axis)
    inputs = Fed(values=d.values(shape)), d.indices(chosen, shape[axis])
    return Case(name="", inputs=inputs, attributes={"axis": axis})


def gather_tuples(d: Draw, opset: int) -> Case:
    shape = d.shape(1)
    samples = d.whole(0, len(shape) - 1) if opset >= 12 and d.maybe() else 0
    depth = d.whole(1, len(shape) - samples)
    chosen = (*shape[:samples], *d.shape(0 if samples < len(shape) else 1, 2))
    if len(shape) < 5 < len(chosen) + len(shape) - samples - depth + 1:
        chosen = chosen[: samples + 1]
    if len(chosen) == samples:  # the tuples themselves are an axis more than the samples have
        chosen = (*chosen, d.whole(1, 3))
    inputs = Fed(values=d.values(shape)), _tuples(d, chosen, shape[samples : samples + depth])
    attributes: dict[str, Any] = {"batch_dims": samples} if samples else {}
    return Case(name="", inputs=inputs, attributes=attributes)


def scatter_elements(d: Draw, opset: int) -> Case:
    """Also with indices that repeat: the last of them stays, or all are reduced in their order."""
    shape = d.shape(1)
    axis = d.axis(len(shape))
    chosen = _within(d, shape, axis)
    reduction = d.one_of(*_SCATTERS.get(opset, _ALL_SCATTERS))
    make = d.floats if reduction else d.one_of(d.floats, d.wholes, d.truths)
    indices = d.indices(chosen, shape[axis])
    inputs = Fed(values=make(shape)), indices, Fed(values=make(chosen))
    attributes: dict[str, Any] = {"axis": axis}
    if reduction:
        attributes["reduction"] = reduction
    return Case(name="", inputs=inputs, attributes=attributes)


def scatter_tuples(d: Draw, opset: int) -> Case:
    shape = d.shape(1)
    depth = d.whole(1, len(shape))
    chosen = d.shape(0, 2)
    reduction = d.one_of(*_SCATTERS.get(opset, _ALL_SCATTERS))
    make = d.floats if reduction else d.one_of(d.floats, d.wholes, d.truths)
    updates = (*chosen, *shape[depth:])
    inputs = Fed(values=make(shape)), _tuples(d, chosen, shape[:depth]), Fed(values=make(updates))
    attributes: dict[str, Any] = {"reduction": reduction} if reduction else {}
    return Case(name="", inputs=inputs, attributes=attributes)


def _within(d: Draw, shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    """A shape that indices along the axis may have: elsewhere none larger than the data's."""
    sizes = [d.whole(1, size) for size in shape]
    sizes[axis] = d.whole(1, 7)
    return tuple(sizes)


def _tuples(d: Draw, chosen: tuple[int, ...], sizes: tuple[int, ...]) -> Any:
    values = np.stack([d.wholes(chosen, -size, size - 1) for size in sizes], axis=-1)
    return d.computed(values, -np.asarray(sizes), np.asarray(sizes) - 1)
