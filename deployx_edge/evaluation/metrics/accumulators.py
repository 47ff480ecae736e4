"""Metrics that take in one sample after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from deployx_edge.errors import UsageError
from deployx_edge.evaluation.metrics.scores import (
    decibels,
    mean_squared_error,
    predicted_classes,
    top_k_hits,
)
from deployx_edge.evaluation.metrics.ssim import structural_similarity
from deployx_edge.evaluation.values import Answer, Target
from deployx_edge.model import same_but_for_ones

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Outputs = Mapping[str, NDArray[Any]]


class TopK:
    """The share of samples whose class is among the ``k`` with the highest scores."""

    unit = "%"
    higher_is_better = True

    def __init__(self, k: int, *, output: str, classes: int) -> None:
        if not 1 <= k < classes:
            raise UsageError(
                f"top{k} of {classes} classes says nothing: output '{output}' has {classes} "
                f"score{'s' * (classes != 1)} a sample.",
                remedy=f"Take top1 to top{classes - 1}." if classes > 1 else "Take mse or mae.",
            )
        self.k = k
        self.output = output
        self.classes = classes
        self._right = 0
        self._hits: list[bool] = []
        self._truth: list[int] = []
        self._predicted: list[int] = []

    @property
    def name(self) -> str:
        """``top1`` for k = 1."""
        return f"top{self.k}"

    @property
    def count(self) -> int:
        """How many samples were taken in."""
        return len(self._hits)

    @property
    def value(self) -> float:
        """The share of hits, 0 … 1."""
        return _ratio(self._right, self.count)

    @property
    def running(self) -> str:
        """The figure so far."""
        return f"{self.name} {self.value:.4g}"

    @property
    def hits(self) -> tuple[bool, ...]:
        """Sample by sample, whether it was right."""
        return tuple(self._hits)

    @property
    def truth(self) -> tuple[int, ...]:
        """Sample by sample, its class."""
        return tuple(self._truth)

    @property
    def predicted(self) -> tuple[int, ...]:
        """Sample by sample, the class with the highest score; −1 where a score is NaN."""
        return tuple(self._predicted)

    def update(self, answer: Answer, target: Target) -> None:
        """Take in one sample."""
        if target.label is None:
            raise UsageError(
                f"{self.name} needs the class of every sample, and these have none.",
                remedy="Give labels, or take mse, mae or psnr.",
            )
        scores = _output(answer.outputs, self.output).reshape(1, -1)
        if scores.shape[1] != self.classes:
            raise UsageError(
                f"Output '{self.output}' gave {scores.shape[1]} scores for {self.classes} classes."
            )
        hit = bool(top_k_hits(scores, [target.label], self.k)[0])
        self._right += hit
        self._hits.append(hit)
        self._truth.append(target.label)
        self._predicted.append(int(predicted_classes(scores)[0]))


class MeanError:
    """The mean of an output's errors over all elements of all samples.

    ``measure`` gives the mean over one sample's elements: ``scores.mean_squared_error`` or
    ``scores.mean_absolute_error``.
    """

    unit = ""
    higher_is_better = False

    def __init__(
        self,
        name: str,
        measure: Callable[[NDArray[Any], NDArray[Any]], float],
        *,
        output: str,
    ) -> None:
        self.name = name
        self.output = output
        self._measure = measure
        self._errors: list[float] = []
        self._sizes: list[int] = []
        self._total, self._elements = 0.0, 0

    @property
    def count(self) -> int:
        """How many samples were taken in."""
        return len(self._errors)

    @property
    def value(self) -> float:
        """The mean; NaN where an output held NaN."""
        total = math.fsum(e * size for e, size in zip(self._errors, self._sizes, strict=True))
        return _ratio(total, sum(self._sizes))

    @property
    def running(self) -> str:
        """The figure so far, summed up plainly."""
        return f"{self.name} {_ratio(self._total, self._elements):.4g}"

    @property
    def per_sample(self) -> tuple[float, ...]:
        """Sample by sample, its own mean."""
        return tuple(self._errors)

    def update(self, answer: Answer, target: Target) -> None:
        """Take in one sample."""
        if self.output not in target.arrays:
            raise UsageError(
                f"{self.name} needs what output '{self.output}' should be, for every sample.",
                remedy=f"Give an .npz file with an array 'target:{self.output}', or take top1.",
            )
        found, wanted = _output(answer.outputs, self.output), target.arrays[self.output]
        if same_but_for_ones(found.shape, wanted.shape):
            wanted = wanted.reshape(found.shape)
        error = self._measure(found, wanted)
        self._errors.append(error)
        self._sizes.append(found.size)
        self._total += error * found.size
        self._elements += found.size


class StructuralSimilarity:
    """SSIM (``similarity.structural_similarity``), the mean over the samples."""

    name = "ssim"
    unit = ""
    higher_is_better = True

    def __init__(self, peak: float, *, output: str) -> None:
        self.peak = peak

        def measure(found: NDArray[Any], wanted: NDArray[Any]) -> float:
            return structural_similarity(found, wanted, peak)

        self._values = MeanError(self.name, measure, output=output)

    @property
    def output(self) -> str:
        """Of which output it is."""
        return self._values.output

    @property
    def count(self) -> int:
        """How many samples were taken in."""
        return self._values.count

    @property
    def value(self) -> float:
        """−1 … 1."""
        return _ratio(math.fsum(self.per_sample), self.count)

    @property
    def running(self) -> str:
        """The figure so far."""
        return self._values.running

    @property
    def per_sample(self) -> tuple[float, ...]:
        """Sample by sample, its own."""
        return self._values.per_sample

    def update(self, answer: Answer, target: Target) -> None:
        """Take in one sample."""
        self._values.update(answer, target)


class PeakSignalToNoise:
    """PSNR of all samples together: 10 log₁₀(peak² / MSE), in decibels.

    The MSE is that of all elements of all samples (as in torchmetrics), not the mean of each
    sample's decibels, which one sample without any error would make infinite.
    """

    name = "psnr"
    unit = "dB"
    higher_is_better = True

    def __init__(self, peak: float, *, output: str) -> None:
        decibels(1.0, peak)  # refuses a peak that is none
        self.peak = peak
        self.output = output
        self._squares = MeanError(self.name, mean_squared_error, output=output)

    @property
    def count(self) -> int:
        """How many samples were taken in."""
        return self._squares.count

    @property
    def value(self) -> float:
        """Decibels; infinite where nothing differs."""
        return decibels(self._squares.value, self.peak)

    @property
    def running(self) -> str:
        """The squared error so far."""
        return self._squares.running

    @property
    def per_sample(self) -> tuple[float, ...]:
        """Sample by sample, its own decibels."""
        return tuple(decibels(error, self.peak) for error in self._squares.per_sample)

    def update(self, answer: Answer, target: Target) -> None:
        """Take in one sample."""
        self._squares.update(answer, target)


def _output(outputs: Outputs, name: str) -> NDArray[Any]:
    if name not in outputs:
        raise UsageError(f"The model gave no output '{name}', only {', '.join(outputs)}.")
    return outputs[name]


def _ratio(total: float, count: int) -> float:
    if not count:
        raise UsageError("No sample was evaluated.")
    return total / count
