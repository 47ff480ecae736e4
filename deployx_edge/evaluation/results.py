"""What an evaluation found: figures, and what sets a place apart from the reference."""

from __future__ import annotations

from dataclasses import dataclass

from deployx_edge.evaluation.proportions import Interval
from deployx_edge.evaluation.values import Skipped


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A metric's value; ``interval`` (95 %, Wilson) where it is a share of samples."""

    metric: str
    unit: str
    higher_is_better: bool | None
    value: float
    interval: Interval | None


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A figure minus the reference's; ``interval`` (95 %, paired) where both are shares."""

    metric: str
    value: float
    interval: Interval | None


@dataclass(frozen=True, kw_only=True)
class Changed:
    """A sample of which board and reference say different classes."""

    name: str
    truth: str
    reference: str
    found: str


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """What one place reached: a board, this computer, or the reference (no differences).

    ``samples_per_second`` are from the first answer to the last; ``resumed`` samples were known
    from an interrupted run. ``agreement`` is the share of samples for which it says the
    reference's class.
    """

    place: str
    precision: str
    figures: tuple[Figure, ...]
    samples_per_second: float
    resumed: int = 0
    differences: tuple[Difference, ...] = ()
    agreement: float | None = None
    changed: tuple[Changed, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All places on the same samples; ``reference`` is None where no source was given."""

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
