"""How sure a share of correct samples is, and the difference of two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from deployx_edge.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A figure with the bounds of its confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class PairedCounts:
    """How often each of two models was right on the same samples."""

    both: int
    first_only: int
    second_only: int
    neither: int

    @property
    def count(self) -> int:
        """All samples."""
        return self.both + self.first_only + self.second_only + self.neither


def wilson_interval(successes: int, count: int, *, confidence: float = 0.95) -> Interval:
    """The score interval of a proportion p = successes / count.

    (p + z²/2n ± z √(p (1 − p) / n + z²/4n²)) / (1 + z²/n), with z the normal quantile of
    (1 + confidence) / 2: E. B. Wilson, Journal of the American Statistical Association 22
    (1927) 209-212. It stays within 0 … 1 and has a width at p = 0 and p = 1 too.
    """
    if not 0 <= successes <= count or count < 1:
        raise UsageError(f"{successes} of {count} samples is not a proportion.")
    z = _quantile(confidence)
    share = successes / count
    middle = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    # Exactly 0 and 1 at the ends, where rounding would leave a trace.
    low = 0.0 if successes == 0 else max(0.0, (middle - half) / scale)
    high = 1.0 if successes == count else min(1.0, (middle + half) / scale)
    return Interval(value=share, low=low, high=high)


def pair(first: Sequence[bool], second: Sequence[bool]) -> PairedCounts:
    """The counts of two lists that say, sample by sample, whether a model was right."""
    if len(first) != len(second):
        raise UsageError(
            f"Only results on the same samples can be paired; there are {len(first)} and "
            f"{len(second)}."
        )
    pairs = [(bool(one), bool(other)) for one, other in zip(first, second, strict=True)]
    return PairedCounts(
        both=pairs.count((True, True)),
        first_only=pairs.count((True, False)),
        second_only=pairs.count((False, True)),
        neither=pairs.count((False, False)),
    )


def paired_difference(counts: PairedCounts, *, confidence: float = 0.95) -> Interval:
    """The first model's proportion minus the second's, on the same samples.

    Method 10 of R. G. Newcombe, Statistics in Medicine 17 (1998) 2635-2650: with Wilson's
    bounds l and u of both proportions p,

        low  = d − √((p₁ − l₁)² − 2 φ (p₁ − l₁)(u₂ − p₂) + (u₂ − p₂)²)
        high = d + √((p₂ − l₂)² − 2 φ (p₂ − l₂)(u₁ − p₁) + (u₁ − p₁)²)

    φ is the table's correlation, with n/2 taken off its numerator where that is positive
    (down to 0), and 0 where a margin is empty.
    """
    n = counts.count
    first = wilson_interval(counts.both + counts.first_only, n, confidence=confidence)
    second = wilson_interval(counts.both + counts.second_only, n, confidence=confidence)
    phi = _correlation(counts)
    difference = (counts.first_only - counts.second_only) / n
    below = _combined(first.value - first.low, second.high - second.value, phi)
    above = _combined(second.value - second.low, first.high - first.value, phi)
    return Interval(
        value=difference, low=max(-1.0, difference - below), high=min(1.0, difference + above)
    )


def _correlation(counts: PairedCounts) -> float:
    margins = (
        (counts.both + counts.first_only)
        * (counts.second_only + counts.neither)
        * (counts.both + counts.second_only)
        * (counts.first_only + counts.neither)
    )
    if margins == 0:
        return 0.0
    product: float = counts.both * counts.neither - counts.first_only * counts.second_only
    if product > 0:
        product = max(product - counts.count / 2, 0.0)
    return product / math.sqrt(margins)


def _combined(one: float, other: float, phi: float) -> float:
    return math.sqrt(max(0.0, one * one - 2 * phi * one * other + other * other))


def _quantile(confidence: float) -> float:
    if not 0.0 < confidence < 1.0:
        raise UsageError(f"A confidence of {confidence} is not between 0 and 1.")
    return NormalDist().inv_cdf((1 + confidence) / 2)
