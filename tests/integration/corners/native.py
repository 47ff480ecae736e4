"""Operators of ONNX's own that ncnn's layers serve, at the corners where these may differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deployx_edge.operator_file import OperatorFacts, PortFact
from deployx_edge.workflows.operators.cases import Case, Fed
from tests.integration.corners.drawing import Draw

_LETTERS = "abcde"
_MOST_AXES = 4  # of ncnn, and at a model's borders
_WHOLE_EXTREMES = 12  # the first opset of Max and Min of whole numbers
_FEW = 0.3


def native_facts(operator: str) -> OperatorFacts:
    """As of a folder without a reference, so that ONNX Runtime says what is right."""
    port = PortFact(name="x", type="T", optional=False)
    return OperatorFacts(
        folder=Path(operator),
        names=(("", operator),),
        opset=1,
        runtimes=("ncnn",),
        source="",
        inputs=(port,),
        outputs=(port,),
        attributes=(),
    )


def expand(d: Draw, opset: int) -> Case:
    """To a shape that may have fewer axes, or 1 where the input has more."""
    shape, wanted = d.broadcast(2)[::-1] if d.maybe() else d.broadcast(2)
    if len(wanted) > _MOST_AXES:  # such an input comes in flat, and the output goes out so
        shape = (1,) * (len(wanted) - len(shape)) + shape
    values = d.one_of(d.floats, d.wholes, d.truths)(shape)
    return Case(name="", inputs=(Fed(values=values), np.asarray(wanted, dtype=np.int64)))


def rounded(d: Draw, opset: int) -> Case:
    """Halves go to the even one, and what is rounded to 0 keeps its sign."""
    return Case(name="", inputs=(Fed(values=d.floats(d.shape())),))


def extremes(d: Draw, opset: int) -> Case:
    """Of one to three operands, without NaN: ncnn gives one operand or the other there."""
    shapes = d.broadcast(d.whole(1, 3))
    if len(shapes[0]) > _MOST_AXES:  # ncnn broadcasts along four axes
        shapes = shapes[:1] * len(shapes)
    if opset >= _WHOLE_EXTREMES and d.random.random() < _FEW:
        operands = d.given(*map(d.wholes, shapes))
    else:
        operands = d.given(*[d.floats(shape, numbers=True) for shape in shapes])
    return Case(name="", inputs=operands if d.maybe() else operands[::-1])


def einsum(d: Draw, opset: int) -> Case:
    """Indices that repeat within an operand, that one operand alone has, and none in the result."""
    sizes = {letter: d.one_of(1, 2, 3, 4) for letter in _LETTERS}
    terms = [
        "".join(d.one_of(*_LETTERS[: d.whole(2, 5)]) for _ in range(d.whole(1, 4)))
        for _ in range(d.whole(1, 3))
    ]
    letters = sorted(set("".join(terms)))
    d.random.shuffle(letters)
    equation = ",".join(terms)
    if d.random.random() < 0.8:  # else what occurs once, in the order of the alphabet
        equation += "->" + "".join(letters[: d.whole(0, len(letters))])
    shapes = [tuple(sizes[letter] for letter in term) for term in terms]
    arrays = [d.random.standard_normal(shape).astype(np.float32) for shape in shapes]
    return Case(name="", inputs=d.given(*arrays), attributes={"equation": equation})
