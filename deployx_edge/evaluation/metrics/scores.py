"""How good outputs are: pure functions of arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deployx_edge.errors import UsageError
from deployx_edge.model import format_shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What a sample whose scores are not numbers was predicted to be.
NO_CLASS = -1


@dataclass(frozen=True, kw_only=True)
class ClassAccuracy:
    """How many samples of one class there were, and how many were found."""

    index: int
    correct: int
    count: int

    @property
    def accuracy(self) -> float | None:
        """The class's recall; None where it has no samples."""
        return self.correct / self.count if self.count else None


def top_k_hits(scores: NDArray[Any], labels: Sequence[int], k: int) -> NDArray[np.bool_]:
    """Whether each sample's class is among the ``k`` with the highest scores.

    ``scores`` are (samples, classes). Of equal scores the lower index is first, as in
    ``preprocessing.classify``; a sample with a NaN among its scores is not a hit. Top-5 is the
    measure of O. Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, 2015.
    """
    values, truth = _scored(scores, labels)
    if not 1 <= k <= values.shape[1]:
        raise UsageError(f"There is no top {k} of {values.shape[1]} classes.")
    own = values[np.arange(len(truth)), truth][:, None]
    earlier = np.arange(values.shape[1])[None, :] < truth[:, None]
    rank = ((values > own) | ((values == own) & earlier)).sum(axis=1)
    hits: NDArray[np.bool_] = (rank < k) & ~np.isnan(values).any(axis=1)
    return hits


def predicted_classes(scores: NDArray[Any]) -> NDArray[np.int64]:
    """Each sample's class with the highest score; of equal ones the lowest, NO_CLASS for NaN."""
    values = _matrix(scores)
    best: NDArray[np.int64] = values.argmax(axis=1).astype(np.int64)
    best[np.isnan(values).any(axis=1)] = NO_CLASS
    return best


def per_class_accuracy(
    truth: Sequence[int], predicted: Sequence[int], classes: int
) -> tuple[ClassAccuracy, ...]:
    """Recall and counts by class: correct samples of the class / samples of the class."""
    rows, columns = _indices(truth, 0, classes), _indices(predicted, NO_CLASS, classes)
    _same_length(rows, columns)
    counts = np.bincount(rows, minlength=classes)
    correct = np.bincount(rows[rows == columns], minlength=classes)
    return tuple(
        ClassAccuracy(index=index, correct=int(correct[index]), count=int(counts[index]))
        for index in range(classes)
    )


def agreement(first: Sequence[int], second: Sequence[int]) -> float:
    """The share of samples of which two models say the same; NO_CLASS agrees with nothing."""
    one, other = np.asarray(first), np.asarray(second)
    _same_length(one, other)
    return _mean((one == other) & (one != NO_CLASS))


def mean_squared_error(found: NDArray[Any], wanted: NDArray[Any]) -> float:
    """Σ (found − wanted)² / n over all elements, in the square of their unit."""
    return _mean(np.square(_error(found, wanted)))


def mean_absolute_error(found: NDArray[Any], wanted: NDArray[Any]) -> float:
    """Σ |found − wanted| / n over all elements, in their unit."""
    return _mean(np.abs(_error(found, wanted)))


def decibels(squared_error: float, peak: float) -> float:
    """PSNR = 10 log₁₀(peak² / squared_error); infinite for no error, NaN for NaN.

    ``peak`` is the largest value that a signal can have: 1 or 255 for images (Q. Huynh-Thu
    and M. Ghanbari, Electronics Letters 44 (2008) 800-801).
    """
    if not (peak > 0.0 and math.isfinite(peak)):
        raise UsageError(f"The peak of PSNR is {peak}; it is the largest value there can be.")
    if squared_error == 0.0:
        return math.inf
    return 20.0 * math.log10(peak) - 10.0 * math.log10(squared_error)


def _matrix(scores: NDArray[Any]) -> NDArray[np.float64]:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 2 or not values.shape[1]:
        raise UsageError(f"Scores are samples by classes, not {format_shape(values.shape)}.")
    return values


def _scored(
    scores: NDArray[Any], labels: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    values = _matrix(scores)
    truth = _indices(labels, 0, values.shape[1])
    _same_length(values, truth)
    return values, truth


def _indices(words: Sequence[int], least: int, classes: int) -> NDArray[np.int64]:
    indices = np.asarray(words, dtype=np.int64).reshape(-1)
    wrong = indices[(indices < least) | (indices >= classes)]
    if wrong.size:
        raise UsageError(
            f"There is no class {wrong[0]}: the model scores {classes}, 0 to {classes - 1}."
        )
    return indices


def _error(found: NDArray[Any], wanted: NDArray[Any]) -> NDArray[np.float64]:
    if found.shape != wanted.shape:
        raise UsageError(
            f"An output of {format_shape(found.shape)} cannot be held against a target of "
            f"{format_shape(wanted.shape)}."
        )
    error: NDArray[np.float64] = np.asarray(found, np.float64) - np.asarray(wanted, np.float64)
    return error


def _same_length(first: NDArray[Any], second: NDArray[Any]) -> None:
    if len(first) != len(second):
        raise UsageError(f"There are {len(first)} results for {len(second)} samples.")


def _mean(values: NDArray[Any]) -> float:
    if not values.size:
        raise UsageError("There are no samples to take a mean of.")
    return float(values.mean(dtype=np.float64))
