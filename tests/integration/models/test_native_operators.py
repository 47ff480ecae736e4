"""What others need operators of their own for, and ncnn's converter writes without one.

The names are those of MMDeploy's operators for ncnn: Expand, Gather, Shape, ConstantOfShape and
TensorSlice by ncnn's own layers or as constants, TopK by an operator of ours.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from tests.integration.models.onnx_models import save
from tests.integration.models.operator_runner import check
from tests.integration.models.operators.case import Case, Step, ints, several, single
from tests.sampling import sampled

_SHAPES = ((13,), (1, 7), (3, 5), (1, 5, 7), (2, 3, 5), (1, 3, 5, 7), (2, 3, 1, 5), (1, 2, 3, 4, 5))


def expands() -> Iterator[Case]:
    for source, target in (
        ((1,), (13,)),
        ((1, 7), (5, 7)),
        ((5, 1), (5, 7)),
        ((1, 1, 7), (1, 5, 1)),  # each has what the other lacks
        ((3, 1, 5), (2, 3, 4, 5)),
        ((1, 3, 1, 1), (1, 3, 5, 7)),
        ((7,), (1, 3, 1)),
        ((2, 3, 1, 5), (1,)),
        ((1, 2, 1, 4, 1), (1, 1, 3, 1, 5)),
    ):
        name = f"Expand/{'x'.join(map(str, source))}-{'x'.join(map(str, target))}"
        yield single(name, "Expand", source, ints(*target))


def gathers() -> Iterator[Case]:
    for shape in _SHAPES:
        for axis, size in enumerate(shape):
            last = size - 1
            for form, indices in (
                ("first", np.asarray(0)),
                ("last", np.asarray(-1)),
                ("reversed", np.arange(size)[::-1].copy()),
                ("uneven", np.asarray([last, 0, -1, -size, last // 2])),
                ("grid", np.asarray([[0, last], [last, 0]])),
            ):
                if len(shape) + indices.ndim > 6 or (len(shape) == 1 and not indices.ndim):
                    continue
                name = f"Gather/{'x'.join(map(str, shape))}-{axis}-{form}"
                yield single(name, "Gather", shape, indices.astype(np.int64), axis=axis)


def slices() -> Iterator[Case]:
    large = 2**62
    for shape in _SHAPES:
        for axis, size in enumerate(shape):
            for form, start, end, step in (
                ("all", 0, large, 1),
                ("from-one", min(1, size - 1), large, 1),
                ("but-last", 0, max(size - 1, 1), 1),
                ("from-end", -1, large, 1),
                ("reversed", -1, -large, -1),
                ("every-second", 0, size, 2),
                ("every-third-back", large, -large, -3),
            ):
                name = f"Slice/{'x'.join(map(str, shape))}-{axis}-{form}"
                bounds = (ints(start), ints(end), ints(axis - len(shape)), ints(step))
                yield single(name, "Slice", shape, *bounds)


def tops() -> Iterator[Case]:
    for shape in _SHAPES:
        for axis, largest in itertools.product(range(len(shape)), (0, 1)):
            for count in sorted({1, (shape[axis] + 1) // 2, shape[axis]}):
                steps: list[Step] = [
                    ("TopK", ["x", "k"], ["y", "i"], {"axis": axis, "largest": largest}),
                    ("Cast", ["i"], ["z"], {"to": 1}),
                ]
                name = f"TopK/{'x'.join(map(str, shape))}-{axis}-{largest}-{count}"
                yield several(name, steps, {"x": shape}, ["y", "z"], {"k": ints(count)})


def shapes() -> Iterator[Case]:
    """Sizes that a model asks itself for, and fills."""
    for shape in _SHAPES:
        text = "x".join(map(str, shape))
        cuts: list[tuple[str, dict[str, int]]] = [("whole", {}), ("last", {"start": -1})]
        if len(shape) > 1:
            cuts.append(("but-last", {"end": -1}))
        for form, cut in cuts:
            filled: list[Step] = [
                ("Shape", ["x"], ["s"], dict(cut)),
                ("ConstantOfShape", ["s"], ["c"], {"value": _one(np.float32(-2.5))}),
                ("ReduceSum", ["c"], ["n"], {"keepdims": 0}),
                ("Add", ["x", "n"], ["y"], {}),
            ]
            yield several(f"ConstantOfShape/{text}-{form}", filled, {"x": shape}, ["y"])
        sizes: list[Step] = [
            ("Shape", ["x"], ["s"], {}),
            ("ReduceProd", ["s"], ["n"], {"keepdims": 1}),
            ("Reshape", ["x", "n"], ["y"], {}),
        ]
        yield several(f"Shape/{text}", sizes, {"x": shape}, ["y"])


def _one(value: np.generic) -> object:
    from onnx import numpy_helper

    return numpy_helper.from_array(np.asarray([value]))


def every_case() -> Sequence[Case]:
    return [*expands(), *gathers(), *slices(), *tops(), *shapes()]


OPERATORS = ("Expand", "Gather", "Slice", "TopK", "ConstantOfShape", "Shape")


@pytest.mark.parametrize("operator", OPERATORS)
def test_all_of_it_is_right(tmp_path: Path, operator: str, pytestconfig: pytest.Config) -> None:
    cases = [case for case in every_case() if case.family == operator]
    assert len(cases) >= 8
    # An operator of our own takes a worker for each.
    for case in sampled(cases, pytestconfig, 6 if operator == "TopK" else 40):
        outcome = check(case, tmp_path)
        assert outcome.verdict == "right", (case.name, outcome.detail)


@pytest.mark.parametrize("operator", OPERATORS)
def test_only_the_largest_values_take_an_operator_of_our_own(tmp_path: Path, operator: str) -> None:
    case = [case for case in every_case() if case.family == operator][-1]
    path = save(case.model, tmp_path / "m.onnx")
    bundle = make_bundle(path, tmp_path / "bundle", BundleOptions(verify=False))
    assert bundle.operators == (("top_k",) if operator == "TopK" else ())
