"""How sure a figure is that is not a share of samples, and the difference of two: by resampling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from deployx_edge.evaluation.metrics.wilson import Interval

if TYPE_CHECKING:
    from numpy.typing import NDArray


@runtime_checkable
class Resampled(Protocol):
    """A metric of 0 … 1 that can count each sample any number of times."""

    @property
    def value(self) -> float:
        """The figure, each sample counted once."""
        ...

    @property
    def count(self) -> int:
        """How many samples there are."""
        ...

    @property
    def draws(self) -> int:
        """How many resamplings are worth their time; 0 for none."""
        ...

    def resampled(self, weights: NDArray[np.int64]) -> float:
        """The figure with each sample counted so many times."""
        ...


def bootstrap_interval(
    found: Resampled, wanted: Resampled | None = None, *, seed: int = 0, confidence: float = 0.95
) -> Interval | None:
    """The interval of a figure, or of ``found`` minus ``wanted`` on the same samples.

    Samples are drawn with replacement, the same ones for both. The ends are percentiles of what
    the draws give (B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap, 1993, chapter
    13), moved by what the draws' mean is beside the figure (chapter 10): an average precision of
    samples that occur twice is a little too good. None for a single sample, and where drawing
    takes too long.
    """
    draws = found.draws if wanted is None else min(found.draws, wanted.draws)
    if found.count < 2 or not draws:
        return None
    generator = np.random.default_rng(seed)
    values = []
    for _ in range(draws):
        chosen = generator.integers(0, found.count, found.count)
        weights = np.bincount(chosen, minlength=found.count)
        value = found.resampled(weights)
        values.append(value if wanted is None else value - wanted.resampled(weights))
    known = [value for value in values if np.isfinite(value)]
    if not known:
        return None
    tail = 50.0 * (1.0 - confidence)
    middle = found.value - (0.0 if wanted is None else wanted.value)
    low, high = np.percentile(known, [tail, 100.0 - tail]) + middle - np.mean(known)
    least = 0.0 if wanted is None else -1.0
    return Interval(value=middle, low=max(least, float(low)), high=min(1.0, float(high)))
