"""Operators that work element by element, with the operands broadcast."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deployx_edge.runtimes.ncnn.native.axes import (
    Dims,
    Grouping,
    aligned,
    broadcast_grouping,
    grouped,
)
from deployx_edge.runtimes.ncnn.native.graph import Node, RefusedError
from deployx_edge.runtimes.ncnn.native.graph_builder import GraphBuilder, Parameter
from deployx_edge.runtimes.ncnn.native.table import writes

if TYPE_CHECKING:
    from numpy.typing import NDArray

# BinaryOp's op_type, and the one with the operands exchanged.
_BINARY = {
    "Add": (0, 0),
    "Sub": (1, 7),
    "Mul": (2, 2),
    "Div": (3, 8),
    "Max": (4, 4),
    "Min": (5, 5),
    "Pow": (6, 9),
}
# UnaryOp's op_type.
_UNARY = {
    "Abs": 0,
    "Neg": 1,
    "Floor": 2,
    "Ceil": 3,
    "Sqrt": 5,
    "Exp": 7,
    "Log": 8,
    "Sin": 9,
    "Cos": 10,
    "Tan": 11,
    "Asin": 12,
    "Acos": 13,
    "Atan": 14,
    "Reciprocal": 15,
    "Round": 18,
    "Sign": 20,
    "Sinh": 22,
    "Asinh": 23,
    "Cosh": 24,
    "Acosh": 25,
    "Atanh": 26,
}
_SQUARE, _SQRT, _RECIPROCAL = 4, 5, 15
_ADD, _MUL, _MAX, _MIN, _FROM = 0, 2, 4, 5, 7
_HIGHEST_POWER = 32  # by products; more would be more layers than it is worth


@writes("Add", "Sub", "Mul", "Div", "Pow")
def binary(builder: GraphBuilder, node: Node) -> None:
    """BinaryOp of two operands, or of one and a number."""
    _binary(builder, node, node.input(0), node.input(1))


@writes("Max", "Min", "Sum", "Mean")
def variadic(builder: GraphBuilder, node: Node) -> None:
    """BinaryOps one after the other; a single operand is handed on."""
    operator = {"Sum": "Add", "Mean": "Add"}.get(node.operator, node.operator)
    names = [name for name in node.inputs if name]
    if len(names) == 1:
        builder.view(node.outputs[0], names[0])
        return
    if len(names) == 2 and node.operator != "Mean":
        _binary(builder, node, names[0], names[1], operator)
        return
    shape = builder.graph.shape(node.outputs[0])
    grouping = broadcast_grouping(shape, [builder.graph.shape(name) for name in names])
    dims = grouped(shape, grouping)
    blobs = [
        builder.take(name, grouped(aligned(builder.graph.shape(name), len(shape)), grouping))
        for name in names
    ]
    kind = _BINARY[operator][0]
    total = blobs[0]
    for blob in blobs[1:-1]:
        total = builder.step("BinaryOp", node, (total, blob), {0: kind})
    pair = (total, blobs[-1])
    if node.operator != "Mean":
        builder.add("BinaryOp", node, pair, {node.outputs[0]: dims}, {0: kind})
        return
    total = builder.step("BinaryOp", node, pair, {0: kind})
    share = 1.0 / len(names)
    builder.add("BinaryOp", node, (total,), {node.outputs[0]: dims}, {0: _MUL, 1: 1, 2: share})


@writes(*_UNARY)
def unary(builder: GraphBuilder, node: Node) -> None:
    """UnaryOp."""
    _unary(builder, node, _UNARY[node.operator])


@writes("Where")
def where(builder: GraphBuilder, node: Node) -> None:
    """By a constant condition: each side times its share of it, and their sum."""
    import numpy as np

    graph = builder.graph
    shape = graph.shape(node.outputs[0])
    condition = np.asarray(graph.constant(node.input(0), "condition"), dtype=np.bool_)
    sides = ((node.input(1), condition), (node.input(2), ~condition))
    for tensor, share in sides:
        if share.all() and tensor not in graph.constants and graph.shape(tensor) == shape:
            builder.view(node.outputs[0], tensor)
            return
    shapes = [graph.shape(name) for name in node.inputs]
    grouping = broadcast_grouping(shape, shapes)
    dims = grouped(shape, grouping)
    fixed = np.zeros((), dtype=np.float32)
    parts = []
    for tensor, share in sides:
        if tensor in graph.constants:
            # Not a product: a constant is often infinite where it masks.
            fixed = fixed + np.where(share, graph.constants[tensor], np.float32(0.0))
        elif share.any():
            bottom = builder.take(
                tensor, grouped(aligned(graph.shape(tensor), len(shape)), grouping)
            )
            factor = _memory(builder, node, share, shape, grouping)
            parts.append(builder.step("BinaryOp", node, (bottom, factor), {0: _MUL}))
    if fixed.any() or not parts:
        parts.append(_memory(builder, node, fixed, shape, grouping))
    if len(parts) == 1:
        parts.append(builder.memory(node, np.zeros(dims, dtype=np.float32)))
    builder.add("BinaryOp", node, parts, {node.outputs[0]: dims}, {0: _ADD})


def _memory(
    builder: GraphBuilder,
    node: Node,
    values: NDArray[Any],
    shape: Sequence[int],
    grouping: Grouping,
) -> str:
    """Constant values that broadcast to the shape, as a blob counted by the grouping."""
    import numpy as np

    full = aligned(values.shape, len(shape))
    # A group is had whole or not at all; axes in no group are 1.
    sizes = [max(full[axis] for axis in group) > 1 for group in grouping]
    wanted = list(full)
    for group, whole in zip(grouping, sizes, strict=True):
        for axis in group:
            wanted[axis] = shape[axis] if whole else 1
    spread = np.broadcast_to(np.asarray(values, dtype=np.float32).reshape(full), wanted)
    return builder.memory(node, np.ascontiguousarray(spread).reshape(grouped(wanted, grouping)))


@writes("Trilu")
def trilu(builder: GraphBuilder, node: Node) -> None:
    """A product with a triangle of ones."""
    import numpy as np

    graph = builder.graph
    shape = graph.shape(node.input(0))
    shift = int(graph.constant(node.input(1), "k").reshape(-1)[0]) if node.input(1) else 0
    ones = np.ones(shape[-2:], dtype=np.float32)
    triangle = np.triu(ones, shift) if node.integer("upper", 1) else np.tril(ones, shift)
    dims = (math.prod(shape[:-2]), *shape[-2:])
    bottoms = (builder.take(node.input(0), dims), builder.memory(node, triangle[np.newaxis]))
    builder.add("BinaryOp", node, bottoms, {node.outputs[0]: dims}, {0: _MUL})


@writes("Erf")
def erf(builder: GraphBuilder, node: Node) -> None:
    """ncnn has the error function as a layer."""
    tensor = node.input(0)
    dims = builder.dims(tensor)
    builder.add("Erf", node, (builder.take(tensor),), {node.outputs[0]: dims})


def _binary(builder: GraphBuilder, node: Node, first: str, second: str, operator: str = "") -> None:
    forward, backward = _BINARY[operator or node.operator]
    output = node.outputs[0]
    shape = builder.graph.shape(output)
    for tensor, other, kind in ((second, first, forward), (first, second, backward)):
        number = _number(builder, tensor)
        if number is not None and math.prod(builder.graph.shape(other)) == math.prod(shape):
            _with_number(builder, node, other, kind, number)
            return
    if node.operator == "Pow":
        _refuse_powers(builder, node)
    if builder.graph.shape(first) == builder.graph.shape(second):
        dims = builder.dims(second) if first in builder.graph.constants else builder.dims(first)
        bottoms = (builder.take(first, dims), builder.take(second, dims))
    else:
        shapes = [builder.graph.shape(first), builder.graph.shape(second)]
        grouping = broadcast_grouping(shape, shapes)
        dims = grouped(shape, grouping)
        bottoms = (
            builder.take(first, grouped(aligned(shapes[0], len(shape)), grouping)),
            builder.take(second, grouped(aligned(shapes[1], len(shape)), grouping)),
        )
    if node.operator == "Pow" and first not in builder.graph.constants:
        _power(builder, node, bottoms[0], bottoms[1:], dims, {0: forward})
        return
    builder.add("BinaryOp", node, bottoms, {output: dims}, {0: forward})


def _power(
    builder: GraphBuilder,
    node: Node,
    base: str,
    exponents: Sequence[str],
    dims: Dims,
    params: Mapping[int, Parameter],
) -> None:
    """BinaryOp's power, and 0 where the base is 0, whose logarithm ncnn would take.

    There 1 is put in place of the base, and 0 in place of its power.
    """
    above = builder.step("Threshold", node, (base,), {0: 0.0})
    elsewhere = builder.step("BinaryOp", node, (above,), {0: _FROM, 1: 1, 2: 1.0})
    lifted = builder.step("BinaryOp", node, (base, elsewhere), {0: _MAX})
    powers = builder.step("BinaryOp", node, (lifted, *exponents), params)
    builder.add("BinaryOp", node, (powers, above), {node.outputs[0]: dims}, {0: _MUL})


def _refuse_powers(builder: GraphBuilder, node: Node) -> None:
    """Whole exponents that differ: negative numbers have such powers, in ncnn they have none."""
    exponents = builder.graph.constants.get(node.input(1))
    if exponents is not None and (exponents == exponents.round()).any():
        raise RefusedError("its exponents are not all the same, and some are whole numbers")
    bases = builder.graph.constants.get(node.input(0))
    if bases is not None and (bases <= 0).any():
        raise RefusedError("it raises numbers that are not positive to computed powers")


def _with_number(builder: GraphBuilder, node: Node, tensor: str, kind: int, number: float) -> None:
    if (kind, number) in ((_MAX, -math.inf), (_MIN, math.inf)):
        builder.view(node.outputs[0], tensor)
        return
    if node.operator == "Pow" and kind == _BINARY["Pow"][0]:
        if number == 0.5:
            _unary(builder, node, _SQRT)
            return
        if number.is_integer():
            _whole_power(builder, node, int(number))
            return
        dims = builder.dims(tensor)
        _power(builder, node, builder.take(tensor), (), dims, {0: kind, 1: 1, 2: number})
        return
    if node.operator == "Pow" and number <= 0.0:
        raise RefusedError(f"it raises {number:g} to a computed power")
    dims = builder.dims(tensor)
    params = {0: kind, 1: 1, 2: number}
    builder.add("BinaryOp", node, (builder.take(tensor),), {node.outputs[0]: dims}, params)


def _whole_power(builder: GraphBuilder, node: Node, exponent: int) -> None:
    """By products: ncnn's own power takes the logarithm, which negative numbers do not have."""
    if abs(exponent) > _HIGHEST_POWER:
        raise RefusedError(f"it raises to the power {exponent}, beyond {_HIGHEST_POWER}")
    tensor, output = node.input(0), node.outputs[0]
    dims = builder.dims(tensor)
    square = builder.take(tensor)
    if exponent == 0:
        nothing = builder.step("BinaryOp", node, (square,), {0: _MUL, 1: 1, 2: 0.0})
        builder.add("BinaryOp", node, (nothing,), {output: dims}, {0: _ADD, 1: 1, 2: 1.0})
        return
    total, left = "", abs(exponent)
    while left:
        if left % 2:
            total = builder.step("BinaryOp", node, (total, square), {0: _MUL}) if total else square
        left //= 2
        if left:
            square = builder.step("UnaryOp", node, (square,), {0: _SQUARE})
    if exponent < 0:
        builder.add("UnaryOp", node, (total,), {output: dims}, {0: _RECIPROCAL})
        return
    builder.view_of_blob(output, total, dims)


def _unary(builder: GraphBuilder, node: Node, kind: int) -> None:
    tensor = node.input(0)
    dims = builder.dims(tensor)
    builder.add("UnaryOp", node, (builder.take(tensor),), {node.outputs[0]: dims}, {0: kind})


def _number(builder: GraphBuilder, tensor: str) -> float | None:
    """The value of a constant whose elements are all the same."""
    values = builder.graph.constants.get(tensor)
    if values is None or not values.size or (values != values.reshape(-1)[0]).any():
        return None
    return float(values.reshape(-1)[0])
