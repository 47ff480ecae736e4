"""Bench results as tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from deployx_edge.measurement.files import FailedRun, StoredSamples
from deployx_edge.measurement.statistics import Ratio, Statistics, ratio_of_medians, summarise
from deployx_edge.measurement.values import BenchResult, precision_that_ran
from deployx_edge.report.units import NOT_AVAILABLE, change, duration, size, sparkline

_COLUMNS = (
    *("threads", "asked", "ran", "load", "first run", "p50", "p90", "p99"),
    *("min", "mean", "stdev", "FPS", "peak memory", "temperature"),
)
_BOARDS_COLUMNS = ("threads", "asked", "ran", "p50", "p90", "p99", "peak memory", "temperature")
EMULATED = "emulated: right or wrong is the board's, how fast is not"


def bench_report(
    results: Sequence[BenchResult], old: Sequence[StoredSamples] = ()
) -> RenderableType:
    """One result as a list of properties, several as rows of one table; ratios to ``old``."""
    body = _single(results[0]) if len(results) == 1 else _several(results)
    compared = [comparison_report(results, old)] if old else []
    return Group(body, *_warnings(results), *compared)


def boards_report(
    results: Sequence[BenchResult],
    failures: Sequence[FailedRun],
    old: Sequence[StoredSamples] = (),
) -> RenderableType:
    """Several boards in one table: a row for each run, also for those that failed.

    The columns that tell boards apart; the rest stands in the file of the results.
    """
    title = results[0].model.name if results else "bench"
    table = Table(title=f"{title} on {_count_boards(results, failures)} boards")
    for heading in ("device", "chip", *_BOARDS_COLUMNS):
        table.add_column(heading, overflow="fold")
    for result in results:
        board = result.device.board
        chip = board.cpu_model or board.soc or f"{board.machine}{_mark(board.emulated)}"
        values = dict(zip(_COLUMNS, _row(result), strict=True))
        table.add_row(result.device.name, chip, *(values[name] for name in _BOARDS_COLUMNS))
    for failure in failures:
        asked = failure.options
        threads, precision = (str(asked.threads), asked.precision) if asked else ("", "")
        table.add_row(failure.device, Text(failure.error, style="red"), threads, precision, "–")
    if any(result.device.board.emulated for result in results):
        table.caption = EMULATED
    compared = [comparison_report(results, old)] if old else []
    return Group(table, *_warnings(results), *compared)


def _mark(emulated: bool) -> str:
    return " (emulated)" if emulated else ""


def _count_boards(results: Sequence[BenchResult], failures: Sequence[FailedRun]) -> int:
    return len({r.device.name for r in results} | {f.device for f in failures})


def comparison_report(
    results: Sequence[BenchResult], old: Sequence[StoredSamples]
) -> RenderableType:
    """Each result over its earlier twin (same model, threads and precision)."""
    table = Table(title="Compared with the earlier file (new / old, 95 % confidence)")
    for heading in ("model", "threads", "precision", "old p50", "new p50", "ratio", "verdict"):
        table.add_column(heading)
    for result in results:
        twin = _twin(result, old)
        key = (result.model.name, str(result.load.threads), result.options.precision)
        if twin is None:
            table.add_row(*key, "–", "–", "–", "not in the earlier file")
            continue
        ratio = ratio_of_medians(result.bench.samples_ns, twin.samples_ns)
        table.add_row(
            *key,
            duration(summarise(twin.samples_ns).p50),
            duration(summarise(result.bench.samples_ns).p50),
            f"{ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]",
            _verdict(result, twin, ratio),
        )
    return table


def _verdict(result: BenchResult, twin: StoredSamples, ratio: Ratio) -> str:
    if precision_that_ran(result.bench.precisions) != twin.precision_that_ran:
        return f"other precision ran before: {twin.precision_that_ran}"
    if result.device.board.emulated != twin.emulated:
        return "one of the two is emulated: no comparison"
    if result.device.board.emulated:
        return "emulated: says nothing about a board"
    if not ratio.differs:
        return "no difference seen"
    return "slower" if ratio.value > 1 else "faster"


def _twin(result: BenchResult, old: Sequence[StoredSamples]) -> StoredSamples | None:
    for stored in old:
        if (stored.model, stored.threads, stored.precision) == (
            result.model.name,
            result.load.threads,
            result.options.precision,
        ):
            return stored
    return None


def _single(result: BenchResult) -> Table:
    table = Table(show_header=False, title=f"{result.model.name} on {result.device.name}")
    table.add_column(style="bold")
    table.add_column()
    for name, value in _properties(result):
        table.add_row(name, value)
    return table


def _properties(result: BenchResult) -> list[tuple[str, str]]:
    statistics = summarise(result.bench.samples_ns)
    board, bench = result.device.board, result.bench
    rows = [
        ("model", f"{result.model.name} (bundle {result.model.bundle_sha256[:12]})"),
        ("device", _device(result)),
        ("runtime", f"{result.model.runtime} {result.load.runtime_version}"),
        ("precision that ran", precision_that_ran(bench.precisions)),
        ("threads", str(result.load.threads)),
        ("load", duration(result.load.load_ns)),
        ("first run", duration(bench.first_run_ns)),
        ("p50 / p90 / p99", " / ".join(map(duration, _percentiles(statistics)))),
        ("min / mean / stdev", " / ".join(map(duration, _moments(statistics)))),
        ("runs", str(statistics.count)),
        ("over time", sparkline(bench.samples_ns)),
        ("FPS", _rate(result, statistics)),
        ("peak memory", size(bench.peak_memory_bytes)),
        ("temperature", change(bench.before, bench.after, kind="temperature")),
        ("clock", change(bench.before, bench.after, kind="clock")),
    ]
    if result.transport:
        cost = result.transport
        rows.append(
            (
                "one inference",
                f"{duration(cost.round_trip_ns)} round trip = {duration(cost.compute_ns)} compute"
                f" + {duration(cost.serialisation_ns)} serialisation"
                f" + {duration(cost.link_ns)} transport",
            )
        )
    if result.push:
        rows.append(
            (
                "pushed",
                f"{size(result.push.sent_bytes)} of {size(result.push.total_bytes)} "
                f"in {result.push.seconds:.2f} s",
            )
        )
    if board.emulated:
        rows.insert(2, ("emulated", f"{board.emulated_reason or 'yes'}; {EMULATED}"))
    return rows


def _several(results: Sequence[BenchResult]) -> Table:
    first = results[0]
    table = Table(title=f"{first.model.name} on {_device(first)}")
    for heading in _COLUMNS:
        table.add_column(heading)
    for result in results:
        table.add_row(*_row(result))
    if first.device.board.emulated:
        table.caption = EMULATED
    return table


def _row(result: BenchResult) -> list[str]:
    """One run, in the order of ``_COLUMNS``."""
    statistics = summarise(result.bench.samples_ns)
    return [
        str(result.load.threads),
        result.options.precision,
        precision_that_ran(result.bench.precisions),
        duration(result.load.load_ns),
        duration(result.bench.first_run_ns),
        *map(duration, _percentiles(statistics)),
        *map(duration, _moments(statistics)),
        _rate(result, statistics),
        size(result.bench.peak_memory_bytes),
        change(result.bench.before, result.bench.after, kind="temperature"),
    ]


def _warnings(results: Sequence[BenchResult]) -> list[Text]:
    return [Text(f"warning: {text}", style="yellow") for r in results for text in r.warnings]


def _device(result: BenchResult) -> str:
    board = result.device.board
    chip = board.cpu_model or board.soc or board.machine
    return f"{result.device.name} ({result.device.target_id}, {chip}, {board.cores} cores)"


def _percentiles(statistics: Statistics) -> tuple[float, float, float]:
    return statistics.p50, statistics.p90, statistics.p99


def _moments(statistics: Statistics) -> tuple[float, float, float]:
    return statistics.minimum, statistics.mean, statistics.stdev


def _rate(result: BenchResult, statistics: Statistics) -> str:
    if result.device.board.emulated:
        return f"{NOT_AVAILABLE} (emulated)"
    rate = 1e9 / statistics.mean
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"
