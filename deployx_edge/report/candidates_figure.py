"""Latency against error, drawn: a figure of what a table of runtimes says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deployx_edge.measurement.candidates import CandidateRow, place_of
from deployx_edge.measurement.ratios import CONFIDENCE, typical
from deployx_edge.measurement.statistics import summarise
from deployx_edge.report.candidates import CandidateTable
from deployx_edge.report.figures import write_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FIGURES = (".png", ".svg", ".pdf")
# A marker and a colour for each runtime.
_MARKERS = "osD^vPX*"
# Where a row has no error, or none that a logarithm can show.
_LEAST = 1e-8


def draw_candidates(table: CandidateTable, path: Path) -> None:
    """A panel for each place, as unlike rows share none: latency with its interval to the right,
    error upwards. Rows whose error says nothing stand above the others, hollow."""
    from matplotlib.figure import Figure

    places: dict[object, list[CandidateRow]] = {}
    for row in table.rows:
        if row.result is not None:
            places.setdefault(place_of(row.result), []).append(row)
    figure = Figure(figsize=(8, 1 + 4 * max(1, len(places))), layout="constrained")
    figure.suptitle(f"{table.model}: latency against error")
    for index, rows in enumerate(places.values()):
        _panel(figure.add_subplot(len(places), 1, index + 1), rows)
    write_figure(figure, path)


def _panel(axes: Axes, rows: Sequence[CandidateRow]) -> None:
    first = rows[0].result
    assert first is not None
    known = [row.error.relative for row in rows if row.error is not None]
    nowhere = max([*known, _LEAST]) * 10
    runtimes = list(dict.fromkeys(row.runtime for row in rows))
    ends: list[float] = []
    for row in rows:
        assert row.result is not None
        middle = summarise(row.result.bench.samples_ns).p50 / 1e6
        interval = typical(row.latencies)
        if row.error is None:
            nowhere *= 3.0  # a line of its own, so that its name can be read
        error = nowhere if row.error is None else max(row.error.relative, _LEAST)
        bars = None
        ends.append(middle)
        if interval is not None:
            low, high = interval.low / 1e6, interval.high / 1e6
            ends += [low, high]
            bars = [[max(0.0, middle - low)], [max(0.0, high - middle)]]
        index = runtimes.index(row.runtime)
        axes.errorbar(
            [middle],
            [error],
            xerr=bars,
            fmt=_MARKERS[index % len(_MARKERS)],
            color=f"C{index}",
            mfc="none" if row.error is None else f"C{index}",
            capsize=3,
        )
        words = row.label if row.error is not None else f"{row.label} (no error)"
        axes.annotate(words, (middle, error), textcoords="offset points", xytext=(6, 6))
    axes.set_yscale("log")
    axes.set_xscale("log")
    axes.set_xlim(min(ends) / 1.5, max(ends) * 3.0)  # room for the names on the right
    board = first.device.board
    emulated = ", emulated" if board.emulated else ""
    axes.set_title(f"{first.load.threads} threads on {first.device.name}{emulated}")
    axes.set_xlabel(f"latency in ms, with its interval ({CONFIDENCE:.0%})")
    axes.set_ylabel("error / variation of the source")
    axes.margins(y=0.2)
