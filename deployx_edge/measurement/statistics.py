"""Statistics of raw samples, as pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from deployx_edge.errors import UsageError
from deployx_edge.measurement.values import BenchResult


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


def medians_of_runs(samples: Sequence[int], lengths: Sequence[int]) -> list[float]:
    """The median of each run's samples; ``lengths`` empty for a single run."""
    medians, start = [], 0
    for length in lengths or (len(samples),):
        medians.append(float(median(samples[start : start + length])))
        start += length
    return medians


def samples_per_second(result: BenchResult) -> float | None:
    """How many samples a second the runs take in; None under emulation."""
    if result.device.board.emulated:
        return None
    return 1e9 * result.batch / summarise(result.bench.samples_ns).mean
