import math

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployx_edge.errors import UsageError
from deployx_edge.measurement.statistics import percentile, ratio_of_medians, summarise


def test_one_to_a_hundred_in_closed_form():
    result = summarise(list(range(100, 0, -1)))
    assert result.count == 100
    assert result.mean == 50.5
    assert result.minimum == 1
    assert result.p50 == 50.5
    assert result.p90 == pytest.approx(90.1)
    assert result.p99 == pytest.approx(99.01)
    # The variance of 1..n with n − 1 in the denominator is n (n + 1) / 12.
    assert result.stdev == pytest.approx(math.sqrt(100 * 101 / 12))


def test_a_single_sample_has_no_spread():
    result = summarise([7])
    assert (result.mean, result.stdev, result.minimum, result.p50, result.p99) == (7, 0, 7, 7, 7)


def test_no_sample_is_refused():
    with pytest.raises(UsageError):
        summarise([])


@settings(derandomize=True)
@given(st.lists(st.integers(0, 10**10), min_size=1, max_size=50), st.floats(0, 1))
def test_percentile_is_numpys(values, fraction):
    expected = numpy.quantile(numpy.array(values, dtype=float), fraction)
    assert percentile(sorted(values), fraction) == pytest.approx(float(expected), rel=1e-9)


def test_twice_as_long_is_a_ratio_of_two_and_told_apart():
    old = [1000 + (i * 37) % 11 for i in range(100)]
    ratio = ratio_of_medians([2 * value for value in old], old)
    assert ratio.value == 2.0
    assert ratio.low <= 2.0 <= ratio.high
    assert ratio.differs


def test_the_same_samples_are_not_told_apart():
    samples = [1000 + (i * 37) % 101 for i in range(100)]
    ratio = ratio_of_medians(samples, samples)
    assert ratio.value == 1.0
    assert not ratio.differs


def test_slow_drift_widens_the_interval():
    """Neighbours that resemble each other carry less evidence than shuffled ones."""
    drifting = [1000 + i for i in range(200)]
    shuffled = [1000 + (i * 77) % 200 for i in range(200)]
    wide = ratio_of_medians(drifting, drifting)
    narrow = ratio_of_medians(shuffled, shuffled)
    assert wide.high - wide.low > 1.3 * (narrow.high - narrow.low)
