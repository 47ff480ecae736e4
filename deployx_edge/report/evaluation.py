"""Accuracy on boards beside the reference, as tables and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from deployx_edge.evaluation.metrics.wilson import Interval
    from deployx_edge.evaluation.results import Accuracy, Evaluation

_SHOWN = 10
PLACE_HEADINGS = (
    *("place", "precision", "metric", "value", "95 %", "minus reference", "95 %"),
    *("agreement", "samples/s"),
)


def evaluation_document(evaluation: Evaluation) -> dict[str, Any]:
    """All of it; shares are 0 … 1."""
    return {"kind": "evaluation", **asdict(evaluation)}


def evaluation_report(evaluation: Evaluation) -> Group:
    """A row each place and metric, then classes, samples that changed and what was left out."""
    title = f"{evaluation.model} on {evaluation.samples} samples of {evaluation.dataset}"
    table = Table(title=title)
    for heading in PLACE_HEADINGS:
        left = heading in ("place", "precision")
        table.add_column(heading, justify="left" if left else "right", overflow="fold")
    reference = (evaluation.reference,) if evaluation.reference else ()
    for place in (*reference, *evaluation.places):
        for cells in place_rows(place):
            table.add_row(*cells)
    for failure in evaluation.failures:
        table.add_row(failure.place, Text(failure.error, style="red"), "failed")
    parts: list[Table | Text] = [table]
    for place in evaluation.places:
        if len(place.per_class) > 1:
            parts.append(_classes(place, evaluation.reference))
        if any(entry.truth != entry.found for entry in place.confusion):
            parts.append(_confused(place))
        if place.changed:
            parts.append(_changed(place))
    parts += [Text(note) for note in evaluation.notes]
    parts += [Text(f"Left out: {item.name}: {item.reason}") for item in evaluation.skipped[:_SHOWN]]
    return Group(*parts)


def shown_rate(rate: float | None) -> str:
    """Samples a second, "" where they say nothing."""
    return "" if rate is None else f"{rate:.1f}"


def place_rows(place: Accuracy) -> list[tuple[str, ...]]:
    """A place's rows, one a metric, in the order of ``PLACE_HEADINGS``."""
    differences = {item.metric: item for item in place.differences}
    last = (
        "" if place.agreement is None else f"{place.agreement:.2%}",
        shown_rate(place.samples_per_second),
    )
    if not place.figures:
        return [(place.place, place.precision, *[""] * 5, *last)]
    rows: list[tuple[str, ...]] = []
    for figure in place.figures:
        difference = differences.get(figure.metric)
        rows.append(
            (
                place.place,
                place.precision,
                figure.metric,
                shown_value(figure.value, figure.unit),
                shown_interval(figure.interval),
                "" if difference is None else shown_value(difference.value, figure.unit, sign="+"),
                "" if difference is None else shown_interval(difference.interval),
                *last,
            )
        )
    return rows


def _classes(place: Accuracy, reference: Accuracy | None) -> Table:
    """The classes with the lowest values, beside the reference's."""
    metric = place.per_class[0].metric
    beside = {entry.name: entry.value for entry in reference.per_class} if reference else {}
    table = Table(title=f"{metric} by class, {place.place}")
    table.add_column("class")
    for heading in (metric, "reference", "count"):
        table.add_column(heading, justify="right")
    lowest = sorted(place.per_class, key=lambda entry: entry.value)
    for entry in lowest[:_SHOWN]:
        wanted = f"{beside[entry.name]:.2%}" if entry.name in beside else ""
        table.add_row(entry.name, f"{entry.value:.2%}", wanted, str(entry.count))
    if len(lowest) > _SHOWN:
        table.add_row(f"and {len(lowest) - _SHOWN} better ones", "", "", "")
    return table


def _confused(place: Accuracy) -> Table:
    """The pairs of classes that are confused most often."""
    table = Table(title=f"confused most often, {place.place}")
    for heading in ("class", "taken for"):
        table.add_column(heading)
    table.add_column("count", justify="right")
    wrong = [entry for entry in place.confusion if entry.truth != entry.found]
    for entry in sorted(wrong, key=lambda entry: -entry.count)[:_SHOWN]:
        table.add_row(entry.truth, entry.found, str(entry.count))
    return table


def _changed(place: Accuracy) -> Table:
    table = Table(title=f"{len(place.changed)} samples differ from the reference, {place.place}")
    for heading in ("sample", "truth", "reference", place.place):
        table.add_column(heading)
    table.add_column("agreement", justify="right")
    for item in place.changed[:_SHOWN]:
        table.add_row(item.name, item.truth, item.reference, item.found, f"{item.agreement:.2%}")
    if len(place.changed) > _SHOWN:
        table.add_row(f"and {len(place.changed) - _SHOWN} more", "", "", "", "")
    return table


def shown_value(value: float, unit: str, *, sign: str = "") -> str:
    """A figure as people read it: shares in percent."""
    if unit == "%":
        return format(value, f"{sign}.2%")
    return f"{format(value, f'{sign}.5g')} {unit}".strip()


def shown_interval(interval: Interval | None) -> str:
    """Both ends in percent; nothing where there is none."""
    return "" if interval is None else f"{interval.low:.2%} … {interval.high:.2%}"
