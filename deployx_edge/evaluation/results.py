"""What an evaluation found: figures, and what sets a place apart from the reference."""

from __future__ import annotations

from dataclasses import dataclass

from deployx_edge.evaluation.metrics.wilson import Interval
from deployx_edge.evaluation.values import Skipped
from deployx_edge.measurement.candidates import Score


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A metric's value; ``interval`` (95 %): Wilson's for shares of samples, or bootstrapped.

    ``least_score`` is that of the boxes it is of, whatever the post-processing keeps; None for
    what is not a figure of boxes.
    """

    metric: str
    unit: str
    higher_is_better: bool | None
    value: float
    interval: Interval | None
    least_score: float | None = None


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A figure minus the reference's, on the same samples.

    ``interval`` (95 %): Newcombe's for shares of samples, else bootstrapped; both are paired.
    """

    metric: str
    value: float
    interval: Interval | None


@dataclass(frozen=True, kw_only=True)
class ClassFigure:
    """A metric's value for one class; ``count`` samples, things or pixels are of it."""

    name: str
    metric: str
    value: float
    count: int


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """So many samples (or pixels) of the class ``truth`` were taken for ``found``."""

    truth: str
    found: str
    count: int


@dataclass(frozen=True, kw_only=True)
class Changed:
    """A sample of which a place says something else than the reference.

    In a classification ``truth``, ``reference`` and ``found`` are classes; in a detection the
    numbers of boxes, in a segmentation ``truth`` is empty and the others are shares of the
    pixels. ``agreement`` is 0 … 1: of the boxes, or of the pixels.
    """

    name: str
    truth: str
    reference: str
    found: str
    agreement: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """What one place reached: a board, this computer, or the reference (no differences).

    ``samples_per_second`` are from the first answer to the last, None where a simulator gave them;
    ``resumed`` samples were known from an interrupted run. ``agreement`` is the mean over the
    samples of how far it says what
    the reference says: the same class or not, the share of boxes that have a counterpart, the
    share of pixels of the same class. ``changed`` are the samples that differ, least alike first
    where that is not a yes or no. ``per_class`` is the first metric's; ``confusion`` holds all
    pairs of classes that occur. ``not_finite`` samples have NaN or infinity in an output, and none
    in the reference's. ``fell_back`` is a sentence where layers did not run in the precision, or
    where, it was asked for.
    """

    place: str
    precision: str
    figures: tuple[Figure, ...]
    samples_per_second: float | None
    resumed: int = 0
    not_finite: int = 0
    fell_back: str | None = None
    differences: tuple[Difference, ...] = ()
    agreement: float | None = None
    changed: tuple[Changed, ...] = ()
    per_class: tuple[ClassFigure, ...] = ()
    confusion: tuple[Confusion, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FailedPlace:
    """One of several boards that could not be evaluated on, with the error's exit code."""

    place: str
    error: str
    exit_code: int


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All places on the same samples; ``reference`` is None where no source was given.

    ``failures`` are the boards that failed while others went on.
    """

    model: str
    bundle_sha256: str
    dataset: str
    kind: str
    dataset_sha256: str
    samples: int
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]
    reference: Accuracy | None
    places: tuple[Accuracy, ...]
    failures: tuple[FailedPlace, ...] = ()


def score_of(figure: Figure) -> Score:
    """A figure of an evaluation as a row has it."""
    interval = figure.interval
    return Score(
        metric=figure.metric,
        unit=figure.unit,
        value=figure.value,
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
        higher_is_better=figure.higher_is_better,
    )
