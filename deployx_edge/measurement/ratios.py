"""How many times longer one thing takes than another, from repeated runs of both.

The unit of evidence is a run: a worker process with its warm-up and its samples. Samples of one
run share the process, its memory and the load of the moment, so that any number of them says
nothing about the next run. Both intervals are exact and assume no distribution: that of the
signed ranks (Wilcoxon 1945) for runs in pairs, that of the rank sum (Mann and Whitney 1947) for
runs that were made apart, each inverted into an interval as by Hodges and Lehmann (1963).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import median

# Of a hundred comparisons of equals one is allowed to claim a difference.
CONFIDENCE = 0.99


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """New over old, with the bounds of the interval that holds it with ``CONFIDENCE``."""

    value: float
    low: float
    high: float

    @property
    def differs(self) -> bool:
        """Whether the interval leaves out 1: the two are told apart by these runs."""
        return not self.low <= 1.0 <= self.high

    @property
    def within(self) -> float:
        """How far from 1 the ratio may be at most, as a share."""
        return max(self.high - 1.0, 1.0 - self.low)


def paired_ratio(
    new: Sequence[float], old: Sequence[float], confidence: float = CONFIDENCE
) -> Ratio | None:
    """From runs that were made in turn, ``new[i]`` beside ``old[i]``; None for too few rounds."""
    logs = [math.log(a / b) for a, b in zip(new, old, strict=True)]
    averages = sorted((a + b) / 2 for i, a in enumerate(logs) for b in logs[i:])
    return _interval(averages, _signed_rank_bound(len(logs), confidence))


def typical(runs: Sequence[float], confidence: float = CONFIDENCE) -> Ratio | None:
    """The middle of repeated runs, in their own unit, with its interval; None for too few."""
    return paired_ratio(runs, [1.0] * len(runs), confidence) if all(runs) else None


def rounds_needed(confidence: float) -> int:
    """The fewest rounds that have an interval of that confidence."""
    return math.ceil(1.0 - math.log2(1.0 - confidence))


def unpaired_ratio(new: Sequence[float], old: Sequence[float]) -> Ratio | None:
    """From runs that were made apart; None for too few of them."""
    differences = sorted(math.log(a / b) for a in new for b in old)
    return _interval(differences, _rank_sum_bound(len(new), len(old)))


def _interval(ordered: Sequence[float], bound: int | None) -> Ratio | None:
    """The ``bound`` lowest and highest of the estimates lie outside."""
    if bound is None:
        return None
    return Ratio(
        value=math.exp(median(ordered)),
        low=math.exp(ordered[bound]),
        high=math.exp(ordered[-1 - bound]),
    )


def _signed_rank_bound(rounds: int, confidence: float) -> int | None:
    """The largest c with P(W ≤ c) ≤ (1 − confidence) / 2 of the signed rank statistic."""
    return _bound(_signed_rank_counts(rounds), confidence)


def _rank_sum_bound(new: int, old: int) -> int | None:
    """The same of the rank sum statistic."""
    return _bound(_rank_sum_counts(new, old))


def _bound(counts: Sequence[int], confidence: float = CONFIDENCE) -> int | None:
    allowed = (1.0 - confidence) / 2 * sum(counts)
    total = 0
    for value, count in enumerate(counts):
        total += count
        if total > allowed:
            return value - 1 if value else None
    return None


@lru_cache(maxsize=64)
def _signed_rank_counts(rounds: int) -> tuple[int, ...]:
    """In how many ways signs give each sum of ranks: the coefficients of ∏ (1 + x^i)."""
    counts = [1]
    for rank in range(1, rounds + 1):
        shifted = [0] * rank + counts
        counts = [a + b for a, b in zip(counts + [0] * rank, shifted, strict=True)]
    return tuple(counts)


@lru_cache(maxsize=64)
def _rank_sum_counts(new: int, old: int) -> tuple[int, ...]:
    """In how many ways each number of (new, old) pairs has the new one higher: the
    coefficients of the Gaussian binomial."""
    counts = [1] + [0] * (new * old)
    for i in range(1, new + 1):
        _multiply(counts, old + i)
        _divide(counts, i)
    return tuple(counts)


def _multiply(counts: list[int], power: int) -> None:
    """By 1 − x^power, in place."""
    for k in range(len(counts) - 1, power - 1, -1):
        counts[k] -= counts[k - power]


def _divide(counts: list[int], power: int) -> None:
    """By 1 − x^power, in place."""
    for k in range(power, len(counts)):
        counts[k] += counts[k - power]
