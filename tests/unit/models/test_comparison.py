from __future__ import annotations

import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from deployx_edge.comparison import (
    LEAST_INPUTS,
    TOLERANCES,
    TensorComparison,
    structured_inputs,
)
from deployx_edge.model import PreProcessing
from tests.unit.comparing import compare_output
from tests.unit.models.bundles import spec

FP32 = TOLERANCES["fp32"]


def described(reference: list[np.ndarray], converted: list[np.ndarray]) -> str:
    comparison = TensorComparison("y")
    for wanted, found in zip(reference, converted, strict=True):
        comparison.add(wanted, found)
    return comparison.describe(comparison.check(FP32), FP32)


def outputs(offset: float = 0.0, gain: float = 1.0, *shape: int) -> list[np.ndarray]:
    """Three outputs: ``offset`` plus values with a deviation of about ``gain``."""
    generator = np.random.default_rng(7)
    return [
        (offset + gain * generator.standard_normal(shape or (1, 8))).astype(np.float32)
        for _ in range(3)
    ]


def test_figures_by_closed_form() -> None:
    reference = [np.full((1, 2), value, np.float32) for value in (-2.0, 0.0, 2.0)]
    converted = [array + np.float32(0.5) for array in reference]
    check = compare_output("y", reference, converted, FP32)
    variation = math.sqrt(8 / 3)
    assert check.variation == pytest.approx(variation)
    assert check.magnitude == pytest.approx(variation)
    assert check.relative_error == pytest.approx(0.5 / variation)
    assert check.max_abs_error == pytest.approx(0.5)
    assert check.snr_db == pytest.approx(20 * math.log10(variation / 0.5))
    assert check.cosine == pytest.approx(1.0)
    assert check.verdict == "differs"


def test_the_cosine_decides_nothing() -> None:
    comparison = TensorComparison("y")
    for wanted, found in zip(outputs(), outputs(), strict=True):
        comparison.add(wanted, found + np.float32(0.001))
    whole, without = comparison.check(FP32), comparison.check(FP32, with_cosine=False)
    assert math.isnan(without.cosine)
    assert replace(without, cosine=whole.cosine) == whole


def test_what_is_computed_to_answer_is_let_go() -> None:
    """Of hundreds of tensors the deviations would be held at once, in 64-bit floats."""
    random = np.random.default_rng(0)
    comparison = TensorComparison("y")
    for _ in range(3):
        array = random.random((1, 4, 128, 128), dtype=np.float32)
        comparison.add(array, array)
    tracemalloc.start()
    comparison.check(FP32)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak > 3 * array.size * 8
    assert held < array.size


def test_identical_outputs() -> None:
    check = compare_output("y", outputs(), outputs(), FP32)
    assert (check.verdict, check.relative_error, check.snr_db) == ("same", 0.0, None)


@pytest.mark.parametrize(
    ("precision", "error", "verdict"),
    [
        ("fp32", 0.9e-3, "same"),
        ("fp32", 1.2e-3, "differs"),
        ("fp16", 1.9e-2, "same"),
        ("fp16", 2.2e-2, "differs"),
        ("bf16", 1.9e-2, "same"),
        ("bf16", 2.2e-2, "rounded"),
        ("bf16", 1.1e-1, "differs"),
        ("int8", 1.9e-2, "same"),
        ("int8", 2.2e-2, "rounded"),
        ("int8", 2.2e-1, "rounded"),  # 13 dB
        ("int8", 3.2e-1, "differs"),
    ],
)
def test_the_limit_is_where_it_is_documented(precision: str, error: float, verdict: str) -> None:
    reference = [np.full((1, 1), value, np.float64) for value in (-1.0, 0.0, 1.0)]
    variation = math.sqrt(2 / 3)
    converted = [array + error * variation for array in reference]
    assert compare_output("y", reference, converted, TOLERANCES[precision]).verdict == verdict


@pytest.mark.parametrize("precision", TOLERANCES)
@pytest.mark.parametrize("seed", range(4))
def test_same_is_said_of_what_half_floats_may_cost_at_most(precision: str, seed: int) -> None:
    """Noise at every ratio from 60 dB to 0 dB: the words come in their order, none too early."""
    random = np.random.default_rng(seed)
    reference = [random.standard_normal((1, 4, 8, 8)) for _ in range(6)]
    noise = [random.standard_normal((1, 4, 8, 8)) for _ in range(6)]
    words = []
    for snr in range(60, -1, -1):
        found = [one + 10 ** (-snr / 20) * two for one, two in zip(reference, noise, strict=True)]
        check = compare_output("y", reference, found, TOLERANCES[precision])
        words.append(check.verdict)
        assert check.verdict != "same" or check.snr_db is None or check.snr_db > 33.5
    order = ["same", "rounded", "differs"]
    assert words == sorted(words, key=order.index)
    assert {"fp32", "fp16"} >= {precision} or "rounded" in words


def test_a_large_offset_does_not_hide_an_error() -> None:
    reference, other = outputs(offset=1000.0), outputs(offset=1000.0, gain=1.02)
    flat = [
        np.concatenate([a.ravel() for a in arrays]).astype(np.float64)
        for arrays in (reference, other)
    ]
    cosine = np.dot(*flat) / np.linalg.norm(flat[0]) / np.linalg.norm(flat[1])
    assert cosine > 0.9999999
    check = compare_output("y", reference, other, FP32)
    assert check.verdict == "differs"
    assert 0.02 < check.relative_error < 0.03


def test_an_output_that_hardly_varies_proves_nothing() -> None:
    same = outputs(offset=1000.0, gain=0.01)
    check = compare_output("y", same, same, FP32)
    assert check.verdict == "unproven"
    assert "proves nothing" in described(same, same)
    constant = [np.ones((1, 4), np.float32)] * 3
    assert compare_output("y", constant, constant, FP32).verdict == "unproven"
    wrong = [np.full((1, 4), 1.1, np.float32)] * 3
    assert compare_output("y", constant, wrong, FP32).verdict == "differs"
    check = compare_output("y", constant, wrong, FP32)
    assert "is off by 1e+09 times its variation" in described(constant, wrong)
    zero = [np.zeros((1, 4), np.float32)] * 3
    assert compare_output("y", zero, zero, FP32).verdict == "unproven"
    assert compare_output("y", zero, wrong, FP32).verdict == "differs"


def test_a_wrong_channel_among_large_ones_is_found() -> None:
    reference = outputs(0.0, 1.0, 1, 4, 6, 6)
    scale = np.asarray([2000.0, 2000.0, 2000.0, 1.0], np.float32).reshape(1, 4, 1, 1)
    wanted = [array * scale for array in reference]
    found = [array.copy() for array in wanted]
    for array in found:
        array[:, 3] *= 1.5
    check = compare_output("y", wanted, found, FP32)
    assert check.relative_error < FP32.relative
    assert 0.4 < check.slice_error < 0.7
    assert check.verdict == "differs"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_differ(bad: float) -> None:
    converted = outputs()
    converted[1][0, 3] = bad
    check = compare_output("y", outputs(), converted, FP32)
    assert check.verdict == "differs"
    assert math.isfinite(check.relative_error)
    assert "NaN or infinite" in described(outputs(), converted)


def test_shapes_may_differ_by_axes_of_one_only() -> None:
    reference = outputs(0.0, 1.0, 1, 4, 6)
    assert compare_output("y", reference, [a[0] for a in reference], FP32).verdict == "same"
    turned = [a[0].T.copy() for a in reference]
    check = compare_output("y", reference, turned, FP32)
    assert check.verdict == "differs"
    assert "has the shape 6x4 instead of 1x4x6" in described(reference, turned)


def test_inputs_are_seeded_and_all_different() -> None:
    specs = (spec(), spec("other", (1, 3, 8, 6), runtime_name="in1"))
    first, second = structured_inputs(specs), structured_inputs(specs)
    assert len(first) == 6 > LEAST_INPUTS
    for one, two in zip(first, second, strict=True):
        assert list(one) == ["image", "other"]
        for name in one:
            assert one[name].dtype == np.float32
            assert one[name].shape == (1, 3, 8, 6)
            assert np.array_equal(one[name], two[name])
            assert np.isfinite(one[name]).all()
    seen = [arrays["image"] for arrays in first]
    for index, array in enumerate(seen):
        assert array.std() > 0.05
        assert not any(np.array_equal(array, other) for other in seen[:index])


def test_some_of_the_inputs_are_those_at_their_places() -> None:
    every, some = structured_inputs((spec(),)), structured_inputs((spec(),), places=(5, 1))
    assert [arrays["image"].tobytes() for arrays in some] == [
        every[place]["image"].tobytes() for place in (5, 1)
    ]


@pytest.mark.parametrize("shape", [(1, 3, 16, 16), (1, 16, 16), (5, 5), (2, 7, 7, 7)])
def test_no_two_axes_of_an_input_look_alike(shape: tuple[int, ...]) -> None:
    """A conversion that swaps two axes of the same size must show."""
    asymmetric = [
        not np.allclose(a["image"], a["image"].swapaxes(-1, -2), atol=1e-2)
        for a in structured_inputs((spec(shape=shape, batch_axis=None),))
    ]
    assert sum(asymmetric) >= 4


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (1, 1, 1, 1), (1, 4097), (3, 1, 2, 1, 5)])
def test_inputs_of_odd_shapes(shape: tuple[int, ...]) -> None:
    for arrays in structured_inputs((spec(shape=shape, batch_axis=None),)):
        assert arrays["image"].shape == shape


def test_inputs_lie_in_the_range_of_the_pre_processing() -> None:
    step = PreProcessing(
        input="image", width=6, height=8, mean=(100.0, 110.0, 120.0), std=(50.0, 60.0, 70.0)
    )
    for arrays in structured_inputs((spec(),), (step,)):
        pixels = arrays["image"] * np.reshape(step.std, (3, 1, 1)) + np.reshape(
            step.mean, (3, 1, 1)
        )
        assert pixels.min() > -0.01
        assert pixels.max() < 255.01
        assert np.allclose(pixels, np.rint(pixels), atol=1e-3)
