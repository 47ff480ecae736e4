"""Sums and products that a tensor is made of, and numbers as far as float32 keeps them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deployx_edge.graph.passes.matching import PatternGraph

_TOLERANCE = 1e-6


@dataclass(frozen=True, kw_only=True)
class Product:
    """``factor`` times all ``tensors``, divided by all ``divisors``."""

    factor: float
    tensors: tuple[str, ...] = ()
    divisors: tuple[str, ...] = ()

    def __mul__(self, other: Product) -> Product:
        return Product(
            factor=self.factor * other.factor,
            tensors=self.tensors + other.tensors,
            divisors=self.divisors + other.divisors,
        )

    def inverse(self) -> Product:
        """REQUIRES: the factor is not 0."""
        return Product(factor=1.0 / self.factor, tensors=self.divisors, divisors=self.tensors)


@dataclass(frozen=True, kw_only=True)
class Line:
    """``slope`` times the tensor, plus ``offset``."""

    slope: float
    offset: float
    tensor: str

    def of(self, inner: Line) -> Line:
        """The same line, of what the tensor itself is a line of."""
        return Line(
            slope=self.slope * inner.slope,
            offset=self.offset + self.slope * inner.offset,
            tensor=inner.tensor,
        )


def as_product(graph: PatternGraph, tensor: str) -> Product:
    """The tensor as a product, as far as what it is made of is read by it alone."""
    node = graph.maker(tensor, "Mul", "Div", "Reciprocal", "Neg")
    if node is None:
        return Product(factor=1.0, tensors=(tensor,))
    parts = [_part(graph, name) for name in node.input]
    if node.op_type == "Mul":
        return parts[0] * parts[1]
    if node.op_type == "Neg":
        return Product(factor=-1.0) * parts[0]
    if parts[-1].factor == 0.0:
        return Product(factor=1.0, tensors=(tensor,))
    return parts[-1].inverse() if node.op_type == "Reciprocal" else parts[0] * parts[1].inverse()


def _part(graph: PatternGraph, tensor: str) -> Product:
    number = graph.number(tensor)
    if number is not None:
        return Product(factor=number)
    if graph.is_private(tensor):
        return as_product(graph, tensor)
    return Product(factor=1.0, tensors=(tensor,))


def as_line(graph: PatternGraph, tensor: str) -> Line:
    """The tensor as what numbers were multiplied with and added to."""
    found = Line(slope=1.0, offset=0.0, tensor=tensor)
    while True:
        step = _step(graph, found.tensor)
        if step is None:
            return found
        found = found.of(step)
        if not graph.is_private(found.tensor):
            return found


def _step(graph: PatternGraph, tensor: str) -> Line | None:
    node = graph.maker(tensor, "Add", "Sub", "Mul", "Div", "Neg")
    if node is None:
        return None
    first, last = node.input[0], node.input[-1]
    if node.op_type == "Neg":
        return Line(slope=-1.0, offset=0.0, tensor=first)
    left, right = graph.number(first), graph.number(last)
    if right is not None:
        steps = {"Add": (1.0, right), "Sub": (1.0, -right), "Mul": (right, 0.0)}
        if right:
            steps["Div"] = (1.0 / right, 0.0)
        found, rest = steps.get(node.op_type), first
    elif left is not None:
        turned = {"Add": (1.0, left), "Sub": (-1.0, left), "Mul": (left, 0.0)}
        found, rest = turned.get(node.op_type), last
    else:
        return None
    return None if found is None else Line(slope=found[0], offset=found[1], tensor=rest)


def as_polynomial(graph: PatternGraph, tensor: str, variable: str) -> dict[int, float] | None:
    """The coefficients by powers of the variable; None where the tensor is something else."""
    number = graph.number(tensor)
    if tensor == variable or number is not None:
        return {1: 1.0} if number is None else {0: number}
    node = graph.maker(tensor, "Add", "Sub", "Mul", "Div", "Pow", "Neg")
    if node is None:
        return None
    if node.op_type in ("Div", "Pow"):
        is_power = node.op_type == "Pow"
        number = graph.exponent(node) if is_power else graph.number(node.input[1])
        base = as_polynomial(graph, node.input[0], variable) if number else None
        if base is None or number is None:
            return None
        if is_power:
            return _multiplied([base] * int(number)) if number in (1.0, 2.0, 3.0) else None
        return {power: value / number for power, value in base.items()}
    known = []
    for name in node.input:
        term = as_polynomial(graph, name, variable)
        if term is None:
            return None
        known.append(term)
    if node.op_type == "Mul":
        return _multiplied(known)
    sign = 1.0 if node.op_type == "Add" else -1.0
    if node.op_type == "Neg":
        known.insert(0, {})
    powers = {*known[0], *known[1]}
    return {p: known[0].get(p, 0.0) + sign * known[1].get(p, 0.0) for p in powers}


def same(found: float, wanted: float) -> bool:
    """Whether two numbers are the same in float32, but for some steps of rounding."""
    return math.isclose(found, wanted, rel_tol=_TOLERANCE, abs_tol=0.0)


def same_polynomial(found: Mapping[int, float] | None, wanted: Mapping[int, float]) -> bool:
    """Whether a polynomial has these coefficients, and no others."""
    if found is None:
        return False
    left = {power: value for power, value in found.items() if value != 0.0}
    return left.keys() == wanted.keys() and all(same(left[p], wanted[p]) for p in wanted)


def _multiplied(factors: Sequence[Mapping[int, float]]) -> dict[int, float]:
    total: dict[int, float] = {0: 1.0}
    for factor in factors:
        result: dict[int, float] = {}
        for power, value in total.items():
            for other, times in factor.items():
                result[power + other] = result.get(power + other, 0.0) + value * times
        total = result
    return total
