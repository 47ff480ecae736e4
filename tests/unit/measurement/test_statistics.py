import math

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployx_edge.errors import UsageError
from deployx_edge.measurement.statistics import medians_of_runs, percentile, summarise


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


@pytest.mark.parametrize("lengths", [(), (6,), (1, 5), (2, 2, 2)])
def test_each_run_has_a_median_of_its_own(lengths):
    samples = [1, 2, 10, 20, 100, 300]
    expected = {(): [15], (6,): [15], (1, 5): [1, 20], (2, 2, 2): [1.5, 15, 200]}
    assert medians_of_runs(samples, lengths) == expected[lengths]
