"""The intervals hold what they promise, and find what is there."""

import itertools
import math
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployx_edge.measurement import ratios
from deployx_edge.measurement.ratios import paired_ratio, unpaired_ratio

RUNS = st.lists(st.floats(1.0, 1e9), min_size=8, max_size=14)


def drawn(generator, count, spread):
    return [1e6 * math.exp(generator.gauss(0, spread)) for _ in range(count)]


@pytest.mark.parametrize("rounds", range(1, 11))
def test_signed_ranks_are_counted_as_by_hand(rounds):
    signs = itertools.product((0, 1), repeat=rounds)
    sums = Counter(sum(r for r, sign in enumerate(s, 1) if sign) for s in signs)
    counts = ratios._signed_rank_counts(rounds)
    assert list(counts) == [sums[value] for value in range(len(counts))]


@pytest.mark.parametrize("new", range(1, 6))
@pytest.mark.parametrize("old", range(1, 6))
def test_rank_sums_are_counted_as_by_hand(new, old):
    everyone = set(range(new + old))
    picks = itertools.combinations(everyone, new)
    wins = Counter(sum(a > b for a in p for b in everyone - set(p)) for p in picks)
    counts = ratios._rank_sum_counts(new, old)
    assert list(counts) == [wins[value] for value in range(new * old + 1)]


@pytest.mark.parametrize("spread", [0.02, 0.5])
@pytest.mark.parametrize(("ratio", "count"), [(paired_ratio, 10), (unpaired_ratio, 5)])
def test_equals_are_told_apart_once_in_a_hundred(ratio, count, spread):
    generator = random.Random(count)
    wrong = sum(
        ratio(drawn(generator, count, spread), drawn(generator, count, spread)).differs
        for _ in range(2000)
    )
    assert wrong <= 40  # 20 expected at most


def test_a_drift_that_both_share_hides_no_difference():
    """The machine becomes three times slower meanwhile; 10 % lie between the two all the same."""
    generator = random.Random(0)
    drift = [math.exp(0.1 * i) for i in range(12)]
    old = [value * scale for value, scale in zip(drawn(generator, 12, 0.02), drift, strict=True)]
    new = [1.1 * v * s for v, s in zip(drawn(generator, 12, 0.02), drift, strict=True)]
    found = paired_ratio(new, old)
    assert found.differs and 1.05 < found.low < 1.1 < found.high < 1.15
    assert not unpaired_ratio(new, old).differs


@pytest.mark.parametrize("count", [1, 2, 7])
def test_few_rounds_say_nothing(count):
    assert paired_ratio([2.0] * count, [1.0] * count) is None


@pytest.mark.parametrize(("new", "old"), [(1, 1), (1, 100), (100, 1), (3, 5), (4, 4)])
def test_few_runs_say_nothing(new, old):
    assert unpaired_ratio([2.0] * new, [1.0] * old) is None


@settings(derandomize=True)
@given(RUNS, st.floats(0.1, 10.0))
def test_a_known_factor_is_inside_and_swapping_turns_it_round(runs, factor):
    slower = [factor * value for value in runs]
    for ratio in (paired_ratio, unpaired_ratio):
        found, swapped = ratio(slower, runs), ratio(runs, slower)
        assert found.low <= factor * (1 + 1e-9) and found.high >= factor * (1 - 1e-9)
        assert found.low == pytest.approx(1 / swapped.high)
        assert found.value == pytest.approx(1 / swapped.value)
    assert paired_ratio(slower, runs).value == pytest.approx(factor)
