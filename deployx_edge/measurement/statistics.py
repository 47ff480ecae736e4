"""Statistics of raw samples, as pure functions."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from deployx_edge.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Of samples in nanoseconds; every figure but ``count`` is in nanoseconds too."""

    count: int
    mean: float
    stdev: float
    minimum: float
    p50: float
    p90: float
    p99: float


def percentile(ordered: Sequence[float], fraction: float) -> float:
    """The percentile of already sorted values, interpolated linearly between ranks.

    The definition is number 7 of Hyndman and Fan (1996), numpy's default.
    """
    position = (len(ordered) - 1) * fraction
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def summarise(samples: Sequence[float]) -> Statistics:
    """Mean, sample standard deviation (n − 1; 0 for one sample), minimum and percentiles."""
    if not samples:
        raise UsageError("Statistics need at least one sample, none was measured.")
    ordered = sorted(samples)
    mean = math.fsum(ordered) / len(ordered)
    squares = math.fsum((value - mean) ** 2 for value in ordered)
    return Statistics(
        count=len(ordered),
        mean=mean,
        stdev=math.sqrt(squares / (len(ordered) - 1)) if len(ordered) > 1 else 0.0,
        minimum=ordered[0],
        p50=percentile(ordered, 0.50),
        p90=percentile(ordered, 0.90),
        p99=percentile(ordered, 0.99),
    )


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """New over old, by medians, with the bounds of its 95 % confidence interval."""

    value: float
    low: float
    high: float

    @property
    def differs(self) -> bool:
        """Whether the interval leaves out 1: the two are told apart by these samples."""
        return not self.low <= 1.0 <= self.high


def ratio_of_medians(
    new: Sequence[float], old: Sequence[float], *, resamples: int = 1000, seed: int = 0
) -> Ratio:
    """How many times longer ``new`` takes than ``old``.

    The interval comes from a moving-block bootstrap (Künsch 1989) with blocks of
    n^(1/3): neighbouring runs on a board share its clock and its heat, and a plain
    bootstrap would call their noise a difference.
    """
    if not new or not old:
        raise UsageError("A comparison needs samples on both sides.")
    generator = random.Random(seed)
    ratios = sorted(
        _block_median(new, generator) / _block_median(old, generator) for _ in range(resamples)
    )
    return Ratio(
        value=median(new) / median(old),
        low=percentile(ratios, 0.025),
        high=percentile(ratios, 0.975),
    )


def _block_median(samples: Sequence[float], generator: random.Random) -> float:
    length = max(1, round(len(samples) ** (1 / 3)))
    starts = len(samples) - length + 1
    drawn: list[float] = []
    while len(drawn) < len(samples):
        start = generator.randrange(starts)
        drawn.extend(samples[start : start + length])
    return median(drawn[: len(samples)])
