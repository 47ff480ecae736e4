"""Accuracy on boards beside the reference, as tables and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from deployx_edge.evaluation.proportions import Interval
    from deployx_edge.evaluation.results import Accuracy, Evaluation

_SHOWN = 10


def evaluation_document(evaluation: Evaluation) -> dict[str, Any]:
    """All of it; shares are 0 … 1."""
    return {"kind": "evaluation", **asdict(evaluation)}


def evaluation_report(evaluation: Evaluation) -> Group:
    """A row each place and metric, then the samples that changed and what was left out."""
    title = f"{evaluation.model} on {evaluation.samples} samples of {evaluation.dataset}"
    table = Table(title=title)
    for heading in ("place", "precision", "metric", "value", "95 %", "minus reference", "95 %"):
        table.add_column(heading, justify="left" if heading in ("place", "precision") else "right")
    table.add_column("agreement", justify="right")
    table.add_column("samples/s", justify="right")
    reference = (evaluation.reference,) if evaluation.reference else ()
    for place in (*reference, *evaluation.places):
        _add_place(table, place)
    parts: list[Table | Text] = [table]
    for place in evaluation.places:
        if place.changed:
            parts.append(_changed(place))
    parts += [Text(note) for note in evaluation.notes]
    parts += [Text(f"Left out: {item.name}: {item.reason}") for item in evaluation.skipped[:_SHOWN]]
    return Group(*parts)


def _add_place(table: Table, place: Accuracy) -> None:
    differences = {item.metric: item for item in place.differences}
    for figure in place.figures:
        difference = differences.get(figure.metric)
        table.add_row(
            place.place,
            place.precision,
            figure.metric,
            _value(figure.value, figure.unit),
            _interval(figure.interval),
            "" if difference is None else _value(difference.value, figure.unit, sign="+"),
            "" if difference is None else _interval(difference.interval),
            "" if place.agreement is None else f"{place.agreement:.2%}",
            f"{place.samples_per_second:.1f}",
        )


def _changed(place: Accuracy) -> Table:
    table = Table(title=f"{place.place}: {len(place.changed)} samples of another class")
    for heading in ("sample", "truth", "reference", place.place):
        table.add_column(heading)
    for item in place.changed[:_SHOWN]:
        table.add_row(item.name, item.truth, item.reference, item.found)
    if len(place.changed) > _SHOWN:
        table.add_row(f"and {len(place.changed) - _SHOWN} more", "", "", "")
    return table


def _value(value: float, unit: str, *, sign: str = "") -> str:
    if unit == "%":
        return format(value, f"{sign}.2%")
    return f"{format(value, f'{sign}.5g')} {unit}".strip()


def _interval(interval: Interval | None) -> str:
    return "" if interval is None else f"{interval.low:.2%} … {interval.high:.2%}"
