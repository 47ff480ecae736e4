"""A bench of the bundles that one model was cut into: a row each, and their sum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from deployx_edge.measurement.files import FailedRun
from deployx_edge.measurement.statistics import summarise
from deployx_edge.measurement.values import BenchResult, RunOptions
from deployx_edge.report.bench import EMULATED
from deployx_edge.units import NOT_AVAILABLE, duration


@dataclass(frozen=True, kw_only=True)
class PartsRun:
    """All parts on one device with the same options, in their order; None for one that failed."""

    device: str
    options: RunOptions
    parts: tuple[BenchResult | None, ...]

    def sum_of(self, figure: str) -> float | None:
        """The parts' sum of a statistic (``p50``, ``mean``); None where one is missing."""
        whole = [part for part in self.parts if part is not None]
        if len(whole) < len(self.parts):
            return None
        return sum(float(getattr(summarise(part.bench.samples_ns), figure)) for part in whole)


def parts_runs(parts: Sequence[Sequence[BenchResult]]) -> list[PartsRun]:
    """``parts`` are the results of each part, by device and options as they come.

    A part has those of a runtime's own options that its runtime has, so these tell no runs apart.
    """
    places = dict.fromkeys(_place_of(result) for results in parts for result in results)
    return [
        PartsRun(
            device=device,
            options=options,
            parts=tuple(
                next((r for r in results if _place_of(r) == (device, options)), None)
                for results in parts
            ),
        )
        for device, options in places
    ]


def _place_of(result: BenchResult) -> tuple[str, RunOptions]:
    return result.device.name, replace(result.options, named=())


def parts_report(
    name: str, folders: Sequence[str], runs: Sequence[PartsRun], failures: Sequence[FailedRun]
) -> RenderableType:
    """A table for each device and set of options."""
    said: list[RenderableType] = [_table(name, folders, run) for run in runs]
    said += [Text(f"{each.device}: {each.error}", style="red") for each in failures]
    warnings = [w for run in runs for part in run.parts if part for w in part.warnings]
    return Group(*said, *(Text(f"warning: {text}", style="yellow") for text in warnings))


def parts_document(name: str, runs: Sequence[PartsRun]) -> dict[str, Any]:
    """What the sequence adds to the document of its parts' results; nanoseconds."""
    return {
        "name": name,
        "sums": [
            {
                "device": run.device,
                "threads": run.options.threads,
                "precision": run.options.precision,
                "p50_ns": run.sum_of("p50"),
                "mean_ns": run.sum_of("mean"),
            }
            for run in runs
        ],
    }


def _table(name: str, folders: Sequence[str], run: PartsRun) -> Table:
    threads = run.options.threads or "all"
    table = Table(title=f"{name} on {run.device}, {threads} threads, {run.options.precision}")
    for heading in ("part", "runtime"):
        table.add_column(heading)
    for heading in ("load", "first run", "p50", "p90", "p99", "mean", "share"):
        table.add_column(heading, justify="right")
    total = run.sum_of("p50")
    for folder, part in zip(folders, run.parts, strict=True):
        if part is None:
            table.add_row(folder, Text(NOT_AVAILABLE, style="red"))
            continue
        found = summarise(part.bench.samples_ns)
        share = f"{found.p50 / total:.1%}" if total else "–"
        times = (found.p50, found.p90, found.p99, found.mean)
        loads = (part.load.load_ns, part.bench.first_run_ns)
        table.add_row(folder, part.model.runtime, *map(duration, (*loads, *times)), share)
    mean = run.sum_of("mean")
    sums = [NOT_AVAILABLE if value is None else duration(value) for value in (total, mean)]
    table.add_section()
    # Percentiles do not add up.
    table.add_row("sum", "", "", "", sums[0], "", "", sums[1], "")
    if any(part is not None and part.device.board.emulated for part in run.parts):
        table.caption = EMULATED
    return table
