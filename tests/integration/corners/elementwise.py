"""Comparisons, logic, choices and remainders: what broadcasts, and values that are no numbers."""

from __future__ import annotations

from typing import Any

from deployx_edge.workflows.operators.cases import Case, Fed
from tests.integration.corners.drawing import Draw, Drawn

_FIRST_OF_FLOATS = {"equal": 11, "greater": 7, "less": 7}
_FIRST_OF_WHOLES = {"greater": 9, "less": 9}


def compare(operator: str) -> Drawn:
    def draw(d: Draw, opset: int) -> Case:
        shapes = d.broadcast(2)
        kinds = []
        if opset >= _FIRST_OF_FLOATS.get(operator, 0):
            kinds += [d.floats, d.floats]
        if opset >= _FIRST_OF_WHOLES.get(operator, 0):
            kinds.append(d.wholes)
        if operator == "equal":
            kinds.append(d.truths)
        make = d.one_of(*kinds)
        return Case(name="", inputs=_swapped(d, *[make(shape) for shape in shapes]))

    return draw


def logic(d: Draw, opset: int) -> Case:
    first, second = d.broadcast(2)
    return Case(name="", inputs=_swapped(d, d.truths(first), d.truths(second)))


def negation(d: Draw, opset: int) -> Case:
    return Case(name="", inputs=(Fed(values=d.truths(d.shape())),))


def choice(d: Draw, opset: int) -> Case:
    shapes = d.broadcast(3)
    d.random.shuffle(shapes)
    make = d.one_of(d.floats, d.floats, d.wholes)  # ONNX Runtime chooses no truth values
    chooser, *others = shapes
    return Case(name="", inputs=d.given(d.truths(chooser), *[make(each) for each in others]))


def remainder(d: Draw, opset: int) -> Case:
    first, second = d.broadcast(2)
    if d.maybe():
        operands = d.floats(first), d.floats(second)
        return Case(name="", inputs=_swapped(d, *operands), attributes={"fmod": 1})
    sign = d.one_of(1, -1)
    divisors = d.computed(sign * d.wholes(second, 1, 9), min(sign, 9 * sign), max(sign, 9 * sign))
    attributes: dict[str, Any] = {"fmod": d.whole(0, 1)}
    return Case(name="", inputs=(Fed(values=d.wholes(first)), divisors), attributes=attributes)


def _swapped(d: Draw, first: Any, second: Any) -> tuple[Any, ...]:
    """With one of them a constant or none, in either order."""
    operands = d.given(first, second)
    return operands if d.maybe() else operands[::-1]
