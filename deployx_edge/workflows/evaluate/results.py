"""From outputs to results: metrics fed sample by sample, and what differs between places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy

from deployx_edge.bundle import Bundle
from deployx_edge.comparison import is_finite
from deployx_edge.evaluation.data.datasets import Dataset
from deployx_edge.evaluation.metrics.accumulators import TopK
from deployx_edge.evaluation.metrics.average_precision import AveragePrecision
from deployx_edge.evaluation.metrics.bootstrap import Resampled, bootstrap_interval
from deployx_edge.evaluation.metrics.iou import MeanIntersection
from deployx_edge.evaluation.metrics.metrics import Metric
from deployx_edge.evaluation.metrics.scores import NO_CLASS, per_class_accuracy
from deployx_edge.evaluation.metrics.wilson import pair, paired_difference, wilson_interval
from deployx_edge.evaluation.results import (
    Accuracy,
    Changed,
    ClassFigure,
    Confusion,
    Difference,
    Figure,
)
from deployx_edge.evaluation.values import Sample
from deployx_edge.measurement.fallback import precision_that_ran
from deployx_edge.workflows.evaluate.files import OutputSaver
from deployx_edge.workflows.evaluate.predictions import (
    SURE,
    Arrays,
    Meaning,
    PredictionStore,
    agreement,
    best_class,
    detections_of,
    quality,
)
from deployx_edge.workflows.evaluate.runners import Ran

# Of boxes and pixels nearly every sample differs a little somewhere.
_MOST_CHANGED = 100


class Tally:
    """What one place reached so far: metrics, and what it says of each sample."""

    def __init__(
        self, metrics: Sequence[Metric], meaning: Meaning, path: Path, saver: OutputSaver | None
    ) -> None:
        self.metrics = tuple(metrics)
        self.meaning = meaning
        self.store = PredictionStore(path, meaning)
        # Sample by sample, how right it was, 0 … 1.
        self.qualities: list[float] = []
        # The samples with NaN or infinity in an output, by their number.
        self.broken: set[int] = set()
        self._saver = saver

    @property
    def count(self) -> int:
        """How many samples were taken in."""
        return len(self.store)

    @property
    def running(self) -> str:
        """The first metric so far; nothing where there is none."""
        return self.metrics[0].running if self.metrics else ""

    def take(self, sample: Sample, outputs: Arrays) -> None:
        """Take in the next sample."""
        if not is_finite(outputs.values()):
            self.broken.add(self.count)
        answer = self.meaning.answer(sample, outputs)
        for metric in self.metrics:
            metric.update(answer, sample.target)
        if self._saver is not None:
            self._saver.save(sample.name, outputs)
        kept = self.store.append(answer)
        self.qualities.append(quality(self.meaning.task, answer, kept, sample.target))

    def finish(self) -> None:
        """Everything was taken in."""
        if self._saver is not None:
            self._saver.finish()

    def discard(self) -> None:
        """It did not come to its end: nothing is left of it."""
        if self._saver is not None:
            self._saver.discard()


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a tally is of, how fast it was, and a warning where layers fell back."""

    name: str
    precision: str
    tally: Tally
    rate: float | None
    resumed: int = 0
    warning: str | None = None


def precision_of(bundle: Bundle, asked: str, ran: Ran) -> str:
    """What a bundle ran in as the board told, else that of its weights, else what was asked for."""
    if told := precision_that_ran(ran.precisions):
        return told
    return bundle.precision if bundle.precision != "fp32" else asked


def accuracy_of(place: Place, reference: Place | None, data: Dataset, seed: int) -> Accuracy:
    """The figures of a place, with what sets it apart from the reference."""
    tally = place.tally
    first = tally.metrics[0] if tally.metrics else None
    found = Accuracy(
        place=place.name,
        precision=place.precision,
        figures=tuple(_figure(metric, tally.meaning, seed) for metric in tally.metrics),
        samples_per_second=place.rate,
        resumed=place.resumed,
        fell_back=place.warning,
        per_class=_per_class(first, tally.meaning),
        confusion=_confusion(first, tally.meaning),
    )
    broken = tally.broken - (reference.tally.broken if reference is not None else set())
    found = replace(found, not_finite=len(broken))
    if reference is None:
        return found
    pairs = zip(tally.metrics, reference.tally.metrics, strict=True)
    found = replace(found, differences=tuple(_difference(*both, seed) for both in pairs))
    if tally.meaning.task == "arrays":
        return found
    shares = [
        agreement(tally.meaning.task, tally.store.read(index), reference.tally.store.read(index))
        for index in range(tally.count)
    ]
    return replace(
        found,
        agreement=sum(shares) / max(len(shares), 1),
        changed=_changed(shares, tally, reference.tally, data),
    )


def _figure(metric: Metric, meaning: Meaning, seed: int) -> Figure:
    interval = None
    if isinstance(metric, TopK):
        interval = wilson_interval(sum(metric.hits), metric.count)
    elif isinstance(metric, Resampled):
        interval = bootstrap_interval(metric, seed=seed)
    return Figure(
        metric=metric.name,
        unit=metric.unit,
        higher_is_better=metric.higher_is_better,
        value=metric.value,
        interval=interval,
        least_score=meaning.curve_score if isinstance(metric, AveragePrecision) else None,
    )


def _difference(found: Metric, wanted: Metric, seed: int) -> Difference:
    interval = None
    if isinstance(found, TopK) and isinstance(wanted, TopK):
        interval = paired_difference(pair(found.hits, wanted.hits))
    elif isinstance(found, Resampled) and isinstance(wanted, Resampled):
        interval = bootstrap_interval(found, wanted, seed=seed)
    return Difference(metric=found.name, value=found.value - wanted.value, interval=interval)


def _per_class(metric: Metric | None, meaning: Meaning) -> tuple[ClassFigure, ...]:
    if not isinstance(metric, TopK):
        return tuple(getattr(metric, "per_class", ()))
    entries = per_class_accuracy(metric.truth, metric.predicted, metric.classes)
    return tuple(
        ClassFigure(
            name=meaning.word(entry.index), metric="top1", value=entry.accuracy, count=entry.count
        )
        for entry in entries
        if entry.accuracy is not None
    )


def _confusion(metric: Metric | None, meaning: Meaning) -> tuple[Confusion, ...]:
    """All pairs of classes that occur, by truth and then by what was found."""
    counts: dict[tuple[int, int], int] = {}
    if isinstance(metric, TopK):
        for both in zip(metric.truth, metric.predicted, strict=True):
            counts[both] = counts.get(both, 0) + 1
    elif isinstance(metric, MeanIntersection):
        rows, columns = numpy.nonzero(metric.confusion)
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            counts[(row, column)] = int(metric.confusion[row, column])
    return tuple(
        Confusion(
            truth=meaning.word(truth),
            found="none" if found == NO_CLASS else meaning.word(found),
            count=counts[(truth, found)],
        )
        for truth, found in sorted(counts)
    )


def _changed(
    shares: Sequence[float], tally: Tally, reference: Tally, data: Dataset
) -> tuple[Changed, ...]:
    names = data.read_names
    indices = [index for index, share in enumerate(shares) if share < 1.0]
    if tally.meaning.task != "classification":
        indices = sorted(indices, key=lambda index: shares[index])[:_MOST_CHANGED]
    truth = next((m.truth for m in tally.metrics if isinstance(m, TopK)), ())
    return tuple(
        Changed(
            name=names[index],
            truth=tally.meaning.word(truth[index]) if index < len(truth) else "",
            reference=_said(reference, index),
            found=_said(tally, index),
            agreement=shares[index],
        )
        for index in indices
    )


def _said(tally: Tally, index: int) -> str:
    """What a place says of a sample, in a word."""
    if tally.meaning.task == "classification":
        return tally.meaning.word(best_class(tally.store.read(index)))
    if tally.meaning.task == "detection":
        boxes = len(detections_of(tally.store.read(index)).above(SURE))
        return f"{boxes} box{'es' * (boxes != 1)}"
    return f"{tally.qualities[index]:.2%} right"
