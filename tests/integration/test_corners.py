"""Operators in ncnn at their corners, drawn by seed, are as ONNX Runtime has them.

Ties, infinity and what is no number, halves, indices from either end and that repeat, axes of size
1, none and five axes, inputs that are constants or left out, and opsets that differ; and some that
ncnn's own layers serve. What ONNX does not define (the order of what is no number among numbers) is
left out where it is drawn.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deployx_edge.operator_facts import all_operators, operator_named
from deployx_edge.workflows.operators.cases import Case, Fed
from deployx_edge.workflows.operators.testing import check_operator
from tests.integration.corners import elementwise, native, selection, windows
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
# The same of operators that ncnn's own layers serve, by their names in models.
NATIVE: dict[str, tuple[Sequence[int], Drawn]] = {
    "Einsum": ((12,), native.einsum),
    "Expand": ((8, 13), native.expand),
    "Max": ((8, 13), native.extremes),
    "Min": ((8, 13), native.extremes),
    "Round": ((11,), native.rounded),
}
_ALL = {**CORNERS, **NATIVE}
# Of each operator and opset; without --all so many, of some of them.
_CASES = 40
_FEWER = 12
_SAMPLED = 6


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "opset" in metafunc.fixturenames:
        pairs = [(name, opset) for name, (opsets, _) in _ALL.items() for opset in opsets]
        metafunc.parametrize(("name", "opset"), sampled(pairs, metafunc.config, _SAMPLED))


def test_every_operator_that_ncnn_has_is_drawn() -> None:
    here = {facts.name for facts in all_operators().values() if "ncnn" in facts.runtimes}
    assert set(CORNERS) == here


def test_corners(name: str, opset: int, pytestconfig: pytest.Config) -> None:
    named = native.native_facts(name) if name in NATIVE else operator_named(name)
    facts = replace(named, runtimes=("ncnn",))
    numbers = sampled(range(_CASES), pytestconfig, _FEWER)
    outcomes = check_operator(facts, cases=[drawn(name, opset, number) for number in numbers])
    assert len(outcomes) == len(numbers)
    assert [each for each in outcomes if each.verdict != "right"] == []


def drawn(name: str, opset: int, number: int) -> Case:
    made = _ALL[name][1](Draw(name, opset, number), opset)
    return replace(made, name=f"{opset}-{number}", opset=opset)


_NO_NUMBER_IS_LAST = """
import numpy as np


def reference(x, k, axis, largest, sorted):
    last = -np.inf if largest else np.inf
    keys = np.where(np.isnan(x), last, x)
    order = np.argsort(-keys if largest else keys, axis=axis, kind="stable")
    chosen = np.take(order, np.arange(int(k[0])), axis=axis)
    return np.take_along_axis(x, chosen, axis=axis), chosen
"""


def test_top_k_takes_what_is_no_number_last(tmp_path: Path) -> None:
    """And it stays no number. ONNX does not say; ONNX Runtime's order follows from how it sorts."""
    folder = tmp_path / "top_k"
    folder.mkdir()
    (folder / "reference.py").write_text(_NO_NUMBER_IS_LAST, encoding="utf-8")
    facts = replace(operator_named("top_k"), folder=folder, runtimes=("ncnn",))
    cases = []
    for number in range(_FEWER):
        d = Draw("top_k", "nan", number)
        values = d.floats((3, d.whole(1, 40)))
        values[d.random.random(values.shape) < 0.3] = np.nan
        count = np.asarray([d.whole(1, values.shape[1])])
        attributes = {"axis": 1, "largest": number % 2}
        case = Case(name=str(number), inputs=(Fed(values=values), count), attributes=attributes)
        cases.append(case)
    outcomes = check_operator(facts, cases=cases)
    assert len(outcomes) == _FEWER
    assert [each for each in outcomes if each.verdict != "right"] == []


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
