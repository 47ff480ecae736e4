"""Intersection over union of masks, class by class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from deployx_edge.errors import UsageError
from deployx_edge.evaluation.results import ClassFigure
from deployx_edge.evaluation.values import Answer, Target
from deployx_edge.model import format_shape
from deployx_edge.processing.geometry import IGNORED

if TYPE_CHECKING:
    from numpy.typing import NDArray


class MeanIntersection:
    """``miou``: pixels of both / pixels of either, all samples together, mean over the classes.

    The mean is over the classes that occur (M. Everingham et al., IJCV 88 (2010) 303-338, section
    4.4). Pixels that nobody annotated, and those that the model was not shown, do not count.
    """

    name = "miou"
    unit = "%"
    higher_is_better = True
    draws = 500

    def __init__(self, classes: int, names: Sequence[str] = ()) -> None:
        self.classes = classes
        self._names = names
        self._confusion = np.zeros((classes, classes), dtype=np.int64)
        # Each sample's pixels of both and of either, class by class: what a bootstrap needs.
        self._both: list[NDArray[np.int32]] = []
        self._either: list[NDArray[np.int32]] = []

    @property
    def count(self) -> int:
        """How many samples were taken in."""
        return len(self._both)

    @property
    def running(self) -> str:
        """The figure so far."""
        return f"miou {self.value:.4g}"

    @property
    def value(self) -> float:
        """0 … 1."""
        if not self.count:
            raise UsageError("No sample was evaluated.")
        both = np.diag(self._confusion)
        either = self._confusion.sum(axis=0) + self._confusion.sum(axis=1) - both
        return _mean_ratio(both, either)

    @property
    def confusion(self) -> NDArray[np.int64]:
        """Counts of pixels: row by their class, column by what was predicted."""
        return self._confusion

    @property
    def per_class(self) -> tuple[ClassFigure, ...]:
        """The share of each class that occurs, and how many pixels are of it."""
        both = np.diag(self._confusion)
        truth = self._confusion.sum(axis=1)
        either = self._confusion.sum(axis=0) + truth - both
        return tuple(
            ClassFigure(
                name=self._names[index] if index < len(self._names) else str(index),
                metric=self.name,
                value=float(both[index] / either[index]),
                count=int(truth[index]),
            )
            for index in range(self.classes)
            if either[index]
        )

    @property
    def per_sample(self) -> tuple[float, ...]:
        """Sample by sample, the mean over the classes that occur in it; 1 where nothing counts."""
        pairs = zip(self._both, self._either, strict=True)
        return tuple(_mean_ratio(both, either) if either.any() else 1.0 for both, either in pairs)

    def resampled(self, weights: NDArray[np.int64]) -> float:
        """The figure with each sample counted so many times."""
        return _mean_ratio(weights @ np.stack(self._both), weights @ np.stack(self._either))

    def update(self, answer: Answer, target: Target) -> None:
        """Take in one sample; UsageError for one without a mask, or with an unknown class."""
        if target.mask is None:
            raise UsageError("miou needs the mask of every sample, and these have none.")
        if answer.mask is None:
            raise UsageError("miou needs the class of each pixel, and the model gives none.")
        if answer.mask.shape != target.mask.shape:
            raise UsageError(
                f"A mask of {format_shape(answer.mask.shape)} cannot be held against one of "
                f"{format_shape(target.mask.shape)}."
            )
        counts = (target.mask != IGNORED) & (answer.mask != IGNORED)
        truth, found = target.mask[counts].astype(np.int64), answer.mask[counts].astype(np.int64)
        for what, pixels in (("A mask of the data set", truth), ("The model", found)):
            if pixels.size and int(pixels.max()) >= self.classes:
                raise UsageError(
                    f"{what} has a pixel of class {int(pixels.max())}; there are {self.classes} "
                    f"classes, 0 to {self.classes - 1}."
                )
        size = self.classes
        matrix = np.bincount(truth * size + found, minlength=size * size).reshape(size, size)
        both = np.diag(matrix)
        self._confusion += matrix
        self._both.append(both.astype(np.int32))
        self._either.append((matrix.sum(axis=0) + matrix.sum(axis=1) - both).astype(np.int32))


def _mean_ratio(both: NDArray[np.integer], either: NDArray[np.integer]) -> float:
    occurs = either > 0
    if not occurs.any():
        return float("nan")
    return float((both[occurs] / either[occurs]).mean())
