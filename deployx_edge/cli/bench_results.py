"""Runs a bench on one board or several, and shows and writes what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType

    from deployx_edge.device import Device
    from deployx_edge.errors import DeployxError
    from deployx_edge.measurement.comparisons import Comparison, RepeatedRuns
    from deployx_edge.measurement.files import FailedRun
    from deployx_edge.measurement.values import BenchResult
    from deployx_edge.report.candidates import CandidateTable
    from deployx_edge.workflows.measure.jobs import BenchFailure, BenchJob


@dataclass(frozen=True, kw_only=True)
class Benched:
    """What came of a bench on ``boards`` boards; ``earlier`` are what it is compared with.

    ``table`` holds the rows where several candidates were to be told apart.
    """

    results: Sequence[BenchResult]
    failures: Sequence[FailedRun]
    boards: int
    earlier: Sequence[RepeatedRuns] = ()
    table: CandidateTable | None = None

    @property
    def comparisons(self) -> Sequence[Comparison]:
        """Each result beside its twin."""
        from deployx_edge.workflows.measure.rounds import compare_results

        return compare_results(self.results, self.earlier)


def run_job(devices: Sequence[Device], job: BenchJob) -> Benched:
    """On one board an error that leaves nothing is the command's; on several it is a row."""
    from deployx_edge.cli.console import show_progress, show_progress_of
    from deployx_edge.workflows.boards.several import run_on_devices
    from deployx_edge.workflows.measure.bench import bench_device

    results: list[BenchResult] = []
    failures: list[FailedRun] = []
    if len(devices) == 1:
        with show_progress() as progress:
            results, found = bench_device(devices[0], job, progress=progress)
        if found and not results:
            raise _only_error(devices[0], job, found)
        failures = [_failed_run(failure) for failure in found]
    else:
        with show_progress_of([device.name for device in devices]) as progress_of:
            outcomes = run_on_devices(
                devices,
                lambda device, progress: bench_device(device, job, progress=progress),
                lambda device: progress_of(device.name),
            )
        for outcome in outcomes:
            if outcome.error is not None:
                failures.append(_failed(outcome.device, outcome.error))
            if outcome.value is not None:
                results += outcome.value[0]
                failures += [_failed_run(failure) for failure in outcome.value[1]]
    return Benched(results=results, failures=failures, boards=len(devices), earlier=job.earlier)


def _only_error(device: Device, job: BenchJob, found: Sequence[BenchFailure]) -> DeployxError:
    from deployx_edge.workflows.measure.bench import joined_error

    if not job.is_table:
        return found[0].error
    errors = {f"{each.runtime} in {each.options.precision}": each.error for each in found}
    return joined_error(f"Nothing of it runs on {device.name}", errors)


def _failed_run(failure: BenchFailure) -> FailedRun:
    from dataclasses import replace

    found = _failed(failure.device, failure.error)
    return replace(found, options=failure.options, runtime=failure.runtime)


def _failed(device: Device, error: DeployxError) -> FailedRun:
    from deployx_edge.measurement.files import FailedRun

    return FailedRun(
        device=device.name,
        uri=device.uri,
        options=None,
        error=str(error),
        exit_code=error.exit_code,
    )


def show_results(
    found: Benched, output: Path | None, export: Path | None, json: bool
) -> Sequence[Comparison]:
    """Write, draw and print it; the comparisons, for whoever judges them."""
    from deployx_edge.cli.console import print_json, print_report
    from deployx_edge.measurement.files import bench_document, write_document
    from deployx_edge.report.candidates import candidates_document

    comparisons = found.comparisons
    document: dict[str, Any] = bench_document(found.results, found.failures, comparisons)
    if found.table is not None:
        document["table"] = candidates_document(found.table)
    written = output or _default_output(found.results)
    if written:
        write_document(document, written)
    report = _report(found, comparisons)
    if export:
        _draw(found, report, export)
    if json:
        print_json(document)
        return comparisons
    print_report(report)
    if written:
        print_report(f"Raw samples and conditions: {written}")
    return comparisons


def _report(found: Benched, comparisons: Sequence[Comparison]) -> RenderableType:
    from rich.console import Group

    from deployx_edge.report.bench import bench_report, boards_report, comparison_report
    from deployx_edge.report.candidates import candidates_report

    if found.table is not None:
        compared = [comparison_report(comparisons)] if comparisons else []
        return Group(candidates_report(found.table), *compared)
    if found.boards > 1 or found.failures:
        return boards_report(found.results, found.failures, comparisons)
    return bench_report(found.results, comparisons)


def _draw(found: Benched, report: RenderableType, export: Path) -> None:
    """Figures of a table; everything else as it is printed."""
    from deployx_edge.cli.console import draw_report
    from deployx_edge.report.candidates_figure import FIGURES, draw_candidates

    if found.table is not None and export.suffix in FIGURES:
        draw_candidates(found.table, export)
    else:
        draw_report(report, export)


def _default_output(results: Sequence[BenchResult]) -> Path | None:
    """``deployx-results/`` of the current folder; the time keeps names apart."""
    if not results:
        return None
    first = results[0]
    boards = len({result.device.name for result in results})
    where = first.device.name if boards == 1 else f"{boards}-boards"
    words = (first.model.name, where, first.measured_at)
    name = "-".join("".join(c if c.isalnum() or c in "._" else "-" for c in w) for w in words)
    return Path("deployx-results") / f"{name}.json"
