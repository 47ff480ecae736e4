"""Bench results as tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from deployx_edge.measurement.comparisons import Comparison, RepeatedRuns
from deployx_edge.measurement.fallback import precision_that_ran, units_that_ran
from deployx_edge.measurement.files import FailedRun
from deployx_edge.measurement.ratios import CONFIDENCE, Ratio
from deployx_edge.measurement.statistics import Statistics, samples_per_second, summarise
from deployx_edge.measurement.values import (
    BenchResult,
    RunOptions,
    TransportCost,
)
from deployx_edge.runtime import precision_meant
from deployx_edge.units import (
    NOT_AVAILABLE,
    NOT_TOLD,
    change,
    changes,
    cores,
    duration,
    size,
    sparkline,
)

_COLUMNS = (
    *("threads", "asked", "ran", "load", "first run", "p50", "p90", "p99"),
    *("min", "mean", "stdev", "FPS", "peak memory", "temperature"),
)
_BOARDS_COLUMNS = ("threads", "asked", "ran", "p50", "p90", "p99", "peak memory", "temperature")
_COMPARED_COLUMNS = (
    *("model", "device", "threads", "precision"),
    *("old p50", "new p50", "ratio", "verdict"),
)
EMULATED = "emulated: right or wrong is the board's, how fast is not"


def bench_report(
    results: Sequence[BenchResult], comparisons: Sequence[Comparison] = ()
) -> RenderableType:
    """One result as a list of properties, several as rows of one table; then comparisons."""
    body = _single(results[0]) if len(results) == 1 else _several(results)
    compared = [comparison_report(comparisons)] if comparisons else []
    return Group(body, *_warnings(results), *compared)


def boards_report(
    results: Sequence[BenchResult],
    failures: Sequence[FailedRun],
    comparisons: Sequence[Comparison] = (),
) -> RenderableType:
    """Several boards in one table: a row for each run, also for those that failed.

    The columns that tell boards apart; the rest stands in the file of the results.
    """
    title = results[0].model.name if results else "bench"
    title = f"{title} on {_count_boards(results, failures)} boards"
    table = Table(title=title + (_batches(results[0]) if results else ""))
    for heading in ("device", "chip", *_BOARDS_COLUMNS):
        table.add_column(heading, overflow="fold")
    for result in results:
        board = result.device.board
        chip = board.cpu_model or board.soc or f"{board.machine}{_mark(board.emulated)}"
        values = dict(zip(_COLUMNS, _row(result), strict=True))
        name = f"{result.device.name} (baseline)" if result.baseline else result.device.name
        table.add_row(name, chip, *(values[column] for column in _BOARDS_COLUMNS))
    for failure in failures:
        asked = failure.options
        threads, precision = (str(asked.threads), asked.precision) if asked else ("", "")
        table.add_row(failure.device, Text(failure.error, style="red"), threads, precision, "–")
    if any(result.device.board.emulated for result in results):
        table.caption = EMULATED
    compared = [comparison_report(comparisons)] if comparisons else []
    return Group(table, *_warnings(results), *compared)


def _batches(result: BenchResult) -> str:
    return f", batches of {result.batch}" if result.batch > 1 else ""


def _fed(result: BenchResult) -> str:
    feeds = ", ".join(f"{feed.output} as {feed.input}" for feed in result.plan.feed_back)
    return f"{feeds}: each run is one step"


def _mark(emulated: bool) -> str:
    return " (emulated)" if emulated else ""


def _count_boards(results: Sequence[BenchResult], failures: Sequence[FailedRun]) -> int:
    return len({r.device.name for r in results} | {f.device for f in failures})


def comparison_report(comparisons: Sequence[Comparison]) -> RenderableType:
    """What each result is beside its twin, and what has none."""
    in_turn = any(comparison.rounds for comparison in comparisons)
    how = "in turn" if in_turn else "with the earlier file"
    table = Table(title=f"Compared {how} (new / old, {CONFIDENCE:.0%} confidence)")
    for heading in _COMPARED_COLUMNS:
        table.add_column(heading, overflow="fold")
    notes = []
    for each in comparisons:
        side = each.new or each.old
        if side is None:
            continue
        place = side.configuration
        table.add_row(
            *(place.model, place.device, str(place.threads), place.precision),
            *("–" if runs is None else _runs(runs) for runs in (each.old, each.new)),
            _ratio(each.ratio),
            each.text,
        )
        notes += [note for note in each.notes if note not in notes]
    return Group(table, *(Text(f"note: {note}") for note in notes))


def _runs(runs: RepeatedRuns) -> str:
    count = len(runs.medians_ns)
    return f"{duration(runs.p50_ns)}" + (f" ({count} runs)" if count > 1 else "")


def _ratio(ratio: Ratio | None) -> str:
    return f"{ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]" if ratio else "–"


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
    units = units_that_ran(bench.units)
    rows = [
        ("model", f"{result.model.name} (bundle {result.model.bundle_sha256[:12]})"),
        ("device", _device(result)),
        ("runtime", f"{result.model.runtime} {result.load.runtime_version}"),
        ("precision that ran", precision_that_ran(bench.precisions) or NOT_TOLD),
        *([("units that ran", units)] if units else []),
        ("threads", f"{result.load.threads} on {cores(board)}"),
        *([("options", _options(result.options))] if result.options.named else []),
        ("load", duration(result.load.load_ns)),
        ("first run", duration(bench.first_run_ns)),
        ("p50 / p90 / p99", " / ".join(map(duration, _percentiles(statistics)))),
        ("min / mean / stdev", " / ".join(map(duration, _moments(statistics)))),
        ("runs", _count(result)),
        ("over time", sparkline(bench.samples_ns)),
        *([("batch", f"{result.batch} samples in one run")] if result.batch > 1 else []),
        *([("fed back", _fed(result))] if result.plan.feed_back else []),
        ("FPS", _rate(result)),
        *([("throughput", _throughput(result))] if bench.throughput else []),
        ("peak memory", size(bench.peak_memory_bytes)),
        *_accelerator_memory(result),
        ("temperature", change(bench.before, bench.after, kind="temperature")),
        ("clock", change(bench.before, bench.after, kind="clock")),
        *changes(bench.before, bench.after),
        *([("set there", ", ".join(bench.after.settings))] if bench.after.settings else []),
        ("processor", _processor(result)),
    ]
    rows += _link(result.transport) if result.transport else []
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


def _options(options: RunOptions) -> str:
    """The runtime's own that were asked for."""
    return ", ".join(f"{name}={value}" for name, value in options.named)


def _accelerator_memory(result: BenchResult) -> list[tuple[str, str]]:
    """The processor's own peak says nothing of it."""
    told = result.load.accelerator_bytes
    return [("accelerator memory", size(told))] if told else []


def _processor(result: BenchResult) -> str:
    """Who else had it, and how long the worker did without."""
    board, bench = result.device.board, result.bench
    said = []
    if result.other_load is not None:
        said.append(f"{result.other_load:.1f} of {board.cores} cores busy with other programs")
    if result.stolen_load is not None:
        said.append(f"{result.stolen_load:.1f} stolen")
    if bench.waited_ns is not None:
        said.append(f"{duration(bench.waited_ns)} waited for")
    if bench.throttled_ns is not None:
        said.append(f"{duration(bench.throttled_ns)} throttled")
    return ", ".join(said) or NOT_AVAILABLE


def _link(cost: TransportCost) -> list[tuple[str, str]]:
    rows = [("link", f"{duration(cost.empty_ns)} for a message that runs nothing")]
    if cost.inference is None:
        return rows
    one = cost.inference
    text = (
        f"{duration(one.round_trip_ns)} round trip = {duration(one.compute_ns)} compute"
        f" + {duration(one.serialisation_ns)} serialisation"
        f" + {duration(one.link_ns)} transport"
    )
    return [*rows, ("one inference", text)]


def _several(results: Sequence[BenchResult]) -> Table:
    first = results[0]
    table = Table(title=f"{_names(results)} on {_device(first)}{_batches(first)}")
    in_turn = any(result.baseline for result in results)
    for heading in (*(["model"] if in_turn else []), *_COLUMNS):
        table.add_column(heading)
    for result in results:
        table.add_row(*([result.model.name] if in_turn else []), *_row(result))
    if first.device.board.emulated:
        table.caption = EMULATED
    return table


def _names(results: Sequence[BenchResult]) -> str:
    """Of the model, and of the one that it ran against."""
    both = dict.fromkeys((result.baseline, result.model.name) for result in results)
    return " against ".join(name for _, name in both)


def _row(result: BenchResult) -> list[str]:
    """One run, in the order of ``_COLUMNS``."""
    statistics = summarise(result.bench.samples_ns)
    return [
        str(result.load.threads),
        precision_meant(result.model.runtime, result.options.precision),
        precision_that_ran(result.bench.precisions) or NOT_TOLD,
        duration(result.load.load_ns),
        duration(result.bench.first_run_ns),
        *map(duration, _percentiles(statistics)),
        *map(duration, _moments(statistics)),
        _rate(result),
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


def _count(result: BenchResult) -> str:
    count = str(len(result.bench.samples_ns))
    repeats = len(result.bench.run_lengths)
    return f"{count} in {repeats} repeats" if repeats else count


def _rate(result: BenchResult) -> str:
    return _shown_rate(samples_per_second(result))


def _throughput(result: BenchResult) -> str:
    """Of runs beside each other, which FPS is not."""
    told = result.bench.throughput
    assert told is not None  # a row of it is there where it was told
    rate = None if result.device.board.emulated else told.per_second * result.batch
    return f"{_shown_rate(rate)} FPS with {told.streams} runs at a time, copies included"


def _shown_rate(rate: float | None) -> str:
    if rate is None:
        return f"{NOT_AVAILABLE} (emulated)"
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"
