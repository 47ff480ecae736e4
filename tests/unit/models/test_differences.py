"""Sums that are taken one input at a time are those of all inputs at once."""

from __future__ import annotations

import math

import numpy as np
import pytest

from deployx_edge.differences import (
    BEYOND,
    Differences,
    WholeValues,
    kept_elements,
    kept_shape,
    ratio,
)


def added(kept: int, wanted: list[np.ndarray], found: list[np.ndarray]) -> Differences:
    sums = Differences(kept=kept)
    for first, second in zip(wanted, found, strict=True):
        sums.add(first, second)
    return sums


def pairs(shape: tuple[int, ...], error: float) -> tuple[list[np.ndarray], list[np.ndarray]]:
    random = np.random.default_rng([7, *shape])
    wanted = [random.standard_normal(shape).astype(np.float32) + 3 for _ in range(3)]
    return wanted, [a + np.float32(error) * random.standard_normal(shape) for a in wanted]


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (1, 4, 60, 60)])
def test_what_is_known_of_other_inputs_tells_how_a_tensor_varies(shape: tuple[int, ...]) -> None:
    wanted, found = pairs(shape, 0.01)
    both, one = added(500, wanted[:2], found[:2]), added(500, wanted[1:2], found[1:2])
    assert one.variation == 0.0
    kept = kept_elements(wanted[0], 500)
    assert kept_shape(wanted[0], 500) == kept.shape
    one.know(kept)
    assert one.variation == pytest.approx(both.variation)
    assert one.slice_variations() == pytest.approx(both.slice_variations())
    error = np.abs(np.asarray(found[1], np.float64) - wanted[1]).max()
    assert one.largest_error == pytest.approx(error, rel=1e-4)


@pytest.mark.parametrize("shape", [(), (5,), (1, 9), (2, 3, 4), (1, 4, 6, 6), (3, 1, 700, 801)])
def test_figures_by_their_definitions(shape: tuple[int, ...]) -> None:
    wanted, found = pairs(shape, 0.01)
    sums = added(2**30, wanted, found)
    every = np.stack(wanted).astype(np.float64)
    error = np.stack(found).astype(np.float64) - every
    centred = every - every.mean(axis=0)
    assert sums.error == pytest.approx(math.sqrt((error**2).mean()), rel=1e-4)
    assert sums.magnitude == pytest.approx(math.sqrt((every**2).mean()), rel=1e-5)
    assert sums.variation == pytest.approx(math.sqrt((centred**2).mean()), rel=1e-5)
    assert sums.largest_error == pytest.approx(np.abs(error).max(), rel=1e-4)
    if len(shape) >= 2:
        axes = tuple(axis for axis in range(error.ndim) if axis != 2)
        rms = np.sqrt((error**2).mean(axis=axes))
        assert sums.slice_errors() == pytest.approx(rms, rel=1e-4)


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (3, 1, 700, 801)])
@pytest.mark.parametrize("kept", [7, 2**14])
def test_what_comes_piece_by_piece_gives_the_same_figures(
    shape: tuple[int, ...], kept: int
) -> None:
    """The buffer that pieces come in is used again."""

    class Pieces(WholeValues):
        buffer = np.zeros(2**18, np.float32)

        def next(self, count: int) -> np.ndarray:
            self.buffer[:count] = super().next(count)
            return self.buffer[:count]

    wanted, found = pairs(shape, 0.01)
    found = [array.astype(np.float32) for array in found]
    pieces, whole = Differences(kept=kept), added(kept, wanted, found)
    for first, second in zip(wanted, found, strict=True):
        pieces.add(first, Pieces(second))
    assert pieces.error == whole.error
    assert pieces.cosine == whole.cosine
    assert pieces.slice_error(0.0) == whole.slice_error(0.0)


@pytest.mark.parametrize("kept", [2**8, 2**12])
def test_what_is_kept_of_a_large_tensor_tells_its_variation(kept: int) -> None:
    wanted, found = pairs((1, 8, 128, 128), 0.01)
    few, whole = added(kept, wanted, found), added(2**30, wanted, found)
    assert few.error == whole.error  # errors are of every element, whatever is kept
    assert few.variation == pytest.approx(whole.variation, rel=0.15)
    assert few.slice_variations() == pytest.approx(whole.slice_variations(), rel=0.6)
    assert few.cosine == pytest.approx(whole.cosine, abs=1e-3)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_the_reference_has_that_is_not_finite_must_be_the_same(value: float) -> None:
    wanted, found = pairs((1, 4, 5), 0.0)
    for array in (*wanted, *found):
        array[0, 1, 2] = value
    same = added(2**20, wanted, found)
    assert same.is_finite
    assert same.error == 0.0
    assert math.isfinite(same.magnitude)
    found[1][0, 1, 2] = 0.0
    assert not added(2**20, wanted, found).is_finite


def test_what_only_the_other_side_has_that_is_not_finite_shows() -> None:
    wanted, found = pairs((1, 4, 5), 0.0)
    found[2][0, 3, 3] = math.inf
    assert not added(2**20, wanted, found).is_finite


def test_large_values_do_not_overflow() -> None:
    wanted = [np.full((1, 2, 3), value, np.float32) for value in (1e30, 2e30, 4e30)]
    sums = added(2**20, wanted, [array * np.float32(1.5) for array in wanted])
    assert sums.is_finite
    assert sums.error == pytest.approx(0.5 * math.sqrt(7.0) * 1e30, rel=1e-5)


@pytest.mark.parametrize(
    ("error", "scale", "expected"), [(0.0, 0.0, 0.0), (1.0, 2.0, 0.5), (1.0, 0.0, BEYOND)]
)
def test_a_ratio_is_finite(error: float, scale: float, expected: float) -> None:
    assert ratio(error, scale) == expected
