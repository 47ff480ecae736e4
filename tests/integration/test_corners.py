"""Operators of our own in ncnn at their corners, drawn by seed, are as ONNX Runtime has them.

Ties, infinity and what is no number, halves, indices from either end and that repeat, axes of size
1, none and five axes, inputs that are constants or left out, and opsets that differ. What ONNX does
not define (the order of what is no number among numbers) is left out where it is drawn.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from deployx_edge.operator_facts import all_operators, operator_named
from deployx_edge.workflows.operators.cases import Case, Fed
from deployx_edge.workflows.operators.testing import check_operator
from tests.integration.corners import elementwise, selection, windows
from tests.integration.corners.drawing import Draw, Drawn
from tests.sampling import sampled

# Of each operator: the opsets that its models are of, and what draws a case.
CORNERS: dict[str, tuple[Sequence[int], Drawn]] = {
    "arg_max": ((11, 13), selection.extreme),
    "arg_min": ((11, 13), selection.extreme),
    "deform_conv": ((19, 22), windows.deformed("")),
    "equal": ((7, 11, 19), elementwise.compare("equal")),
    "gather": ((11, 13), selection.gather),
    "gather_elements": ((11, 13), selection.gather_elements),
    "gather_nd": ((11, 13), selection.gather_tuples),
    "greater": ((7, 9, 13), elementwise.compare("greater")),
    "greater_or_equal": ((12, 16), elementwise.compare("greater_or_equal")),
    "grid_sample": ((16, 20, 22), windows.sample),
    "grid_sampler": ((17, 19), windows.sample_by_number),
    "hardmax": ((13, 19), selection.hardmax),
    "less": ((7, 9, 13), elementwise.compare("less")),
    "less_or_equal": ((12, 16), elementwise.compare("less_or_equal")),
    "logical_and": ((7, 19), elementwise.logic),
    "logical_not": ((7, 19), elementwise.negation),
    "logical_or": ((7, 19), elementwise.logic),
    "logical_xor": ((7, 19), elementwise.logic),
    "lp_pool": ((11, 18, 22), windows.pool),
    "mmcv_deform_conv2d": ((17, 19), windows.deformed("plain")),
    "mmcv_modulated_deform_conv2d": ((17, 19), windows.deformed("modulated")),
    "mod": ((10, 13), elementwise.remainder),
    "multi_scale_deformable_attention": ((17, 19), windows.attention),
    "non_max_suppression": ((10, 11), windows.suppression),
    "roi_align": ((10, 16), windows.regions),
    "roi_align_rotated": ((17, 19), windows.turned_regions),
    "scatter_elements": ((11, 16, 18), selection.scatter_elements),
    "scatter_nd": ((11, 16, 18), selection.scatter_tuples),
    "top_k": ((10, 11), selection.top),
    "where": ((9, 16), elementwise.choice),
}
# Of each operator and opset; without --all so many, of some of them.
_CASES = 40
_FEWER = 12
_SAMPLED = 6


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "opset" in metafunc.fixturenames:
        pairs = [(name, opset) for name, (opsets, _) in CORNERS.items() for opset in opsets]
        metafunc.parametrize(("name", "opset"), sampled(pairs, metafunc.config, _SAMPLED))


def test_every_operator_that_ncnn_has_is_drawn() -> None:
    here = {facts.name for facts in all_operators().values() if "ncnn" in facts.runtimes}
    assert set(CORNERS) == here


def test_corners(name: str, opset: int, pytestconfig: pytest.Config) -> None:
    facts = replace(operator_named(name), runtimes=("ncnn",))
    numbers = sampled(range(_CASES), pytestconfig, _FEWER)
    outcomes = check_operator(facts, cases=[drawn(name, opset, number) for number in numbers])
    assert len(outcomes) == len(numbers)
    assert [each for each in outcomes if each.verdict != "right"] == []


def drawn(name: str, opset: int, number: int) -> Case:
    made = CORNERS[name][1](Draw(name, opset, number), opset)
    return replace(made, name=f"{opset}-{number}", opset=opset)


def _rows(*shape: int) -> Fed:
    return Fed(values=np.zeros(shape, dtype=np.float32))


_NONE = np.zeros(0, dtype=np.int64)
# What is refused, and in which words: what has no element, and what a model's opset does not know.
REFUSED = (
    ("top_k", Case(name="none", inputs=(_rows(2, 5), np.asarray([0]))), "'case0_y0' .* is empty"),
    ("gather", Case(name="none", inputs=(_rows(2, 5), _NONE)), "'case0_y0' .* is empty"),
    ("equal", Case(name="none", inputs=(_rows(0, 5), _rows(5))), "has an axis of size 0"),
    ("hardmax", Case(name="older", inputs=(_rows(2, 5),), opset=11), "known from opset 13 on"),
    (
        "scatter_nd",
        Case(
            name="large",
            inputs=(
                Fed(values=np.zeros(3, dtype=np.int64)),
                np.asarray([[1]]),
                np.asarray([2**24 + 1]),
            ),
        ),
        "holds 16777217, which floats do not hold exactly",
    ),
)


@pytest.mark.parametrize(("name", "case", "says"), REFUSED, ids=[each[0] for each in REFUSED])
def test_what_cannot_be_is_refused_in_words(name: str, case: Case, says: str) -> None:
    (outcome,) = check_operator(replace(operator_named(name), runtimes=("ncnn",)), cases=[case])
    assert outcome.verdict == "failed"
    assert re.search(says, outcome.detail), outcome.detail
