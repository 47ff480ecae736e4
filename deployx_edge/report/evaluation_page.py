"""An evaluation as one static page that loads nothing: figures, confusion, images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from deployx_edge.report.drawing import colour_of
from deployx_edge.report.evaluation import shown_interval, shown_rate, shown_value

if TYPE_CHECKING:
    from deployx_edge.evaluation.results import Accuracy, Confusion, Evaluation

_MOST_CLASSES = 40  # in the image of the confusion matrix
_MOST_ROWS = 200
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 78em; padding: 0 1em;
       color: #1b1b1b; background: #fff; }
table { border-collapse: collapse; margin: .6em 0 1.6em; }
th, td { padding: .25em .8em; border-bottom: 1px solid #ddd; text-align: right; }
th:first-child, td:first-child { text-align: left; }
figure { margin: 0 0 1.6em; } figcaption { margin-bottom: .3em; }
.row { display: flex; flex-wrap: wrap; gap: .8em; }
.row div { font-size: 13px; } img { display: block; max-width: 100%; }
.note { color: #555; } .legend span { padding: .1em .6em; margin-right: .4em; }
"""


@dataclass(frozen=True, kw_only=True)
class ImageRow:
    """One sample: why it is shown, and images with what each of them is, as data addresses."""

    name: str
    reason: str
    images: tuple[tuple[str, str], ...]


def evaluation_page(
    evaluation: Evaluation, rows: Sequence[ImageRow], legend: Sequence[str] = ()
) -> str:
    """The whole page as HTML; ``legend`` are the classes whose colours the images have."""
    title = f"{evaluation.model} on {evaluation.dataset}"
    places = [place for place in (evaluation.reference, *evaluation.places) if place is not None]
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p class=note>{evaluation.samples} samples ({escape(evaluation.kind)}), "
        f"{len(evaluation.skipped)} left out. Model {evaluation.bundle_sha256[:16]}, data "
        f"{evaluation.dataset_sha256[:16]}.</p>",
        _figures(places),
        *(_classes(place) for place in places if place.per_class),
        *(_matrix(place) for place in places if place.confusion),
        *(_changed(place) for place in evaluation.places if place.changed),
        _images(rows, legend),
        _notes(evaluation),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>\n"
        + "\n".join(filter(None, parts))
        + "\n</body></html>\n"
    )


def _figures(places: Sequence[Accuracy]) -> str:
    rows = []
    for place in places:
        differences = {item.metric: item for item in place.differences}
        for figure in place.figures:
            difference = differences.get(figure.metric)
            rows.append(
                (
                    place.place,
                    place.precision,
                    figure.metric,
                    shown_value(figure.value, figure.unit),
                    shown_interval(figure.interval),
                    shown_value(difference.value, figure.unit, sign="+") if difference else "",
                    shown_interval(difference.interval) if difference else "",
                    "" if place.agreement is None else f"{place.agreement:.2%}",
                    shown_rate(place.samples_per_second),
                )
            )
    heads = ("place", "precision", "metric", "value", "95 %", "minus reference", "95 %")
    return "<h2>Figures</h2>" + _table((*heads, "agreement", "samples/s"), rows)


def _classes(place: Accuracy) -> str:
    rows = [(entry.name, f"{entry.value:.2%}", str(entry.count)) for entry in place.per_class]
    heads = ("class", place.per_class[0].metric, "count")
    return f"<h2>Classes: {escape(place.place)}</h2>" + _table(heads, rows)


def _matrix(place: Accuracy) -> str:
    """An image of the matrix where it is small enough, and the pairs most often confused."""
    wrong = sorted(
        (entry for entry in place.confusion if entry.truth != entry.found),
        key=lambda entry: -entry.count,
    )
    rows = [(entry.truth, entry.found, str(entry.count)) for entry in wrong[:20]]
    text = f"<h2>Confusion: {escape(place.place)}</h2>" + _drawn_matrix(place.confusion)
    return text + (_table(("class", "taken for", "count"), rows) if rows else "")


def _drawn_matrix(confusion: Sequence[Confusion]) -> str:
    names = list(dict.fromkeys([e.truth for e in confusion] + [e.found for e in confusion]))
    if len(names) > _MOST_CLASSES:
        return f"<p class=note>{len(names)} classes are too many to draw.</p>"
    cell, left, top = 26, 130, 110
    totals: dict[str, int] = {}
    for entry in confusion:
        totals[entry.truth] = totals.get(entry.truth, 0) + entry.count
    shapes = []
    for index, name in enumerate(names):
        middle = index * cell + cell / 2
        word = escape(name[:18])
        shapes.append(
            f'<text x="{left - 6}" y="{top + middle + 4}" text-anchor="end">{word}</text>'
        )
        x = left + middle + 4
        shapes.append(f'<text transform="translate({x},{top - 6}) rotate(-60)">{word}</text>')
    for entry in confusion:
        share = entry.count / totals[entry.truth]
        x, y = left + names.index(entry.found) * cell, top + names.index(entry.truth) * cell
        hue = 145 if entry.truth == entry.found else 10
        told = escape(f"{entry.truth} taken for {entry.found}: {entry.count} ({share:.2%})")
        shapes.append(
            f'<rect x="{x}" y="{y}" width="{cell}" height="{cell}" '
            f'fill="hsl({hue} 70% {100 - 55 * share**0.5:.0f}%)"><title>{told}</title></rect>'
        )
        if entry.count < 10_000:
            shapes.append(
                f'<text x="{x + cell / 2}" y="{y + cell / 2 + 4}" text-anchor="middle">'
                f"{entry.count}</text>"
            )
    side = len(names) * cell
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + side + 40}" '
        f'height="{top + side + 6}" font-size="11" font-family="system-ui, sans-serif">'
        f'<rect x="{left}" y="{top}" width="{side}" height="{side}" fill="none" stroke="#bbb"/>'
        + "".join(shapes)
        + '</svg><p class="note">Rows are what is right, columns what was found.</p>'
    )


def _changed(place: Accuracy) -> str:
    rows = [
        (item.name, item.truth, item.reference, item.found, f"{item.agreement:.2%}")
        for item in place.changed[:_MOST_ROWS]
    ]
    heads = ("sample", "truth", "reference", place.place, "agreement")
    return f"<h2>Changed samples: {escape(place.place)}</h2>" + _table(heads, rows)


def _images(rows: Sequence[ImageRow], legend: Sequence[str]) -> str:
    if not rows:
        return ""
    figures = []
    for row in rows:
        cells = "".join(
            f'<div><img src="{address}" alt="{escape(what)}">{escape(what)}</div>'
            for what, address in row.images
        )
        figures.append(
            f"<figure><figcaption><b>{escape(row.name)}</b> {escape(row.reason)}</figcaption>"
            f'<div class="row">{cells}</div></figure>'
        )
    colours = "".join(
        f'<span style="background: rgb{colour_of(index)}">{escape(name)}</span>'
        for index, name in enumerate(legend[:_MOST_CLASSES])
    )
    return f'<h2>Images</h2><p class="legend">{colours}</p>' + "\n".join(figures)


def _notes(evaluation: Evaluation) -> str:
    notes = [f"{escape(item.place)} failed: {escape(item.error)}" for item in evaluation.failures]
    notes += [escape(note) for note in evaluation.notes]
    notes += [
        f"Left out: {escape(item.name)}: {escape(item.reason)}"
        for item in evaluation.skipped[:_MOST_ROWS]
    ]
    return "".join(f"<p class=note>{note}</p>" for note in notes)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(word)}</th>" for word in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(word)}</td>" for word in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
