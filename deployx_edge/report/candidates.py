"""Several runtimes and precisions of one model in one table, and which is best by what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from deployx_edge.measurement.candidates import CandidateRow, Score
from deployx_edge.measurement.fallback import precision_that_ran
from deployx_edge.measurement.ratios import CONFIDENCE, typical
from deployx_edge.measurement.standings import Standing, best_first, fastest, is_cut_told, standings
from deployx_edge.measurement.statistics import summarise
from deployx_edge.report.bench import EMULATED
from deployx_edge.report.evaluation import shown_value
from deployx_edge.units import NOT_TOLD, duration, size

_NONE = "–"


@dataclass(frozen=True, kw_only=True)
class CandidateTable:
    """All rows, of the ``model``; ``top`` is how many of the fastest are shown (None: all).

    ``error_inputs`` says what errors were taken on, ``source`` the source's own accuracy.
    """

    model: str
    rows: Sequence[CandidateRow]
    error_inputs: str = ""
    source: Score | None = None
    top: int | None = None


def candidates_document(table: CandidateTable) -> dict[str, Any]:
    """What the table shows, all rows of it, for programs; samples are in ``results`` beside."""
    return {
        "rows": [_row_document(row) for row in table.rows],
        "standings": [_standing_document(each) for each in standings(table.rows)],
        "confidence": CONFIDENCE,
        "fastest_first": best_first(table.rows),
        "error_inputs": table.error_inputs,
        "source_accuracy": None if table.source is None else asdict(table.source),
    }


def candidates_report(table: CandidateTable) -> Group:
    """A row a candidate, a line a measure, and what is to be known of them."""
    shown = Table(title=f"{table.model}: which runtime", caption=_caption(table))
    several = len({row.device for row in table.rows if row.device}) > 1
    scored = any(row.accuracy for row in table.rows)
    headings = [
        *(["device"] if several else []),
        *("runtime", "precision", "ran", "threads", "latency", f"{CONFIDENCE:.0%}", "memory"),
        *("load", "size", "error"),
        *(["accuracy"] if scored else []),
    ]
    for heading in headings:
        shown.add_column(heading, overflow="fold")
    chosen = _chosen(table)
    for number in chosen:
        row = table.rows[number]
        cells = [_cell(row, heading) for heading in headings]
        shown.add_row(*cells)
    parts: list[Table | Text] = [shown]
    parts += [Text(_standing_line(each)) for each in standings(table.rows)]
    parts += _notes(table, chosen)
    return Group(*parts)


def _chosen(table: CandidateTable) -> list[int]:
    """The rows that are shown: as they were asked for, or the fastest of each place."""
    if table.top is None:
        return list(range(len(table.rows)))
    return [n for _, numbers in fastest(table.rows) for n in numbers[: table.top]]


def _cell(row: CandidateRow, heading: str) -> str | Text:
    if heading in ("device", "runtime", "precision", "threads"):
        return {
            "device": row.device,
            "runtime": row.runtime,
            "precision": row.options.precision,
            "threads": _threads(row),
        }[heading]
    if row.result is None:
        return Text(f"no: {row.reason}", style="red") if heading == "ran" else _NONE
    bench, interval = row.result.bench, typical(row.latencies)
    return {
        "ran": lambda: precision_that_ran(bench.precisions) or NOT_TOLD,
        "latency": lambda: duration(summarise(bench.samples_ns).p50),
        f"{CONFIDENCE:.0%}": lambda: (
            f"{duration(interval.low)} … {duration(interval.high)}" if interval else _NONE
        ),
        "memory": lambda: size(bench.peak_memory_bytes),
        "load": lambda: duration(summarise(row.loads).p50),
        "size": lambda: size(row.size_bytes),
        "error": lambda: _NONE if row.error is None else f"{row.error.relative:.1e}",
        "accuracy": lambda: _accuracy(row.accuracy),
    }[heading]()


def _threads(row: CandidateRow) -> str:
    if row.result is not None:
        return str(row.result.load.threads)
    return str(row.options.threads) if row.device and row.options.threads else _NONE


def _counted(threads: str) -> str:
    return f"{threads} thread{'' if threads == '1' else 's'}"


def _accuracy(score: Score | None) -> str:
    if score is None:
        return _NONE
    told = f"{score.metric} {shown_value(score.value, score.unit)}"
    if score.low is None or score.high is None:
        return told
    return f"{told} ({shown_value(score.low, score.unit)} … {shown_value(score.high, score.unit)})"


def _caption(table: CandidateTable) -> str | None:
    said = []
    if any(row.result and row.result.device.board.emulated for row in table.rows):
        said.append(EMULATED)
    if table.error_inputs:
        said.append(f"error: of the source's variation, {table.error_inputs}")
    if table.source is not None:
        said.append(f"the source itself: {_accuracy(table.source)}")
    return "; ".join(said) or None


def _standing_line(standing: Standing) -> str:
    best = "best" if standing.told else "no best"
    return f"{best} {standing.measure} ({standing.place}): {standing.text}"


def _notes(table: CandidateTable, chosen: Sequence[int]) -> list[Text]:
    """What rows say besides, each once with the rows that say it, and how many are not shown."""
    by_note: dict[str, list[str]] = {}
    for number in chosen:
        row = table.rows[number]
        for note in row.notes:
            by_note.setdefault(note, []).append(f"{row.label}, {_counted(_threads(row))}")
    lines = [Text(f"note: {'; '.join(rows)}: {note}") for note, rows in by_note.items()]
    return [*lines, *_cut_notes(table, len(table.rows) - len(chosen))]


def _cut_notes(table: CandidateTable, hidden: int) -> list[Text]:
    """How many rows are not shown, and whether those that are shown are known to be faster."""
    if not hidden or table.top is None:
        return []
    refused = sum(row.result is None for row in table.rows)
    lines = [f"--top {table.top}: {hidden} more in --json, {refused} of them refused."]
    for _, numbers in fastest(table.rows):
        if not is_cut_told(table.rows, numbers, table.top):
            last, following = (table.rows[numbers[i]].label for i in (table.top - 1, table.top))
            lines.append(
                f"note: which {table.top} are fastest cannot be told: {last} and {following} "
                "cannot be told apart"
            )
    return [Text(line) for line in lines]


def _row_document(row: CandidateRow) -> dict[str, Any]:
    options = asdict(row.options)
    options["named"] = dict(row.options.named)
    found: dict[str, Any] = {
        "device": row.device,
        "runtime": row.runtime,
        "precision": row.options.precision,
        "options": options,
        "supported": row.result is not None,
        "reason": row.reason,
        "exit_code": row.exit_code,
        "notes": list(row.notes),
        "size_bytes": row.size_bytes,
        "error": None if row.error is None else asdict(row.error),
        "accuracy": None if row.accuracy is None else asdict(row.accuracy),
    }
    if row.result is not None:
        interval = typical(row.latencies)
        found |= {
            "bundle_sha256": row.result.model.bundle_sha256,
            "precision_that_ran": precision_that_ran(row.result.bench.precisions),
            "threads": row.result.load.threads,
            "latency_ns": summarise(row.result.bench.samples_ns).p50,
            "latency_interval_ns": None if interval is None else [interval.low, interval.high],
            "peak_memory_bytes": row.result.bench.peak_memory_bytes,
            "load_ns": summarise(row.loads).p50,
            "emulated": row.result.device.board.emulated,
        }
    return found


def _standing_document(standing: Standing) -> dict[str, Any]:
    return {
        **asdict(standing),
        "ratios": [
            {"row": number, "ratio": None if ratio is None else asdict(ratio)}
            for number, ratio in standing.ratios
        ],
    }
