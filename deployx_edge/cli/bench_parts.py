"""``deployx-edge bench`` of a sequence of bundles: each part, and their sum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from deployx_edge.errors import UsageError

if TYPE_CHECKING:
    from deployx_edge.device import Device
    from deployx_edge.measurement.values import BenchResult, RunOptions
    from deployx_edge.workflows.measure.jobs import BenchJob


def bench_parts(
    folder: Path,
    devices: Sequence[Device],
    make_job: Callable[..., BenchJob],
    options: Sequence[RunOptions],
    *,
    refused: bool,
    files: tuple[Path | None, Path | None],
    json: bool,
) -> list[BenchResult]:
    """One part after the other, each on what a bench makes up; results as for one bundle.

    ``refused`` where they are to be compared; ``files`` are those of ``--output`` and
    ``--export``.
    """
    from deployx_edge.bundle import load_sequence
    from deployx_edge.cli.bench_results import run_job
    from deployx_edge.cli.console import draw_report, print_json, print_report
    from deployx_edge.measurement.files import bench_document, write_document
    from deployx_edge.report.parts import parts_document, parts_report, parts_runs
    from deployx_edge.workflows.boards.left_nodes import check_parts, of_part
    from deployx_edge.workflows.convert.finiteness import refuse_not_finite

    if refused:
        raise UsageError(
            f"{folder} is a sequence of bundles; its parts are measured, and not compared.",
            remedy="Name one of its bundles for --against or --compare.",
        )
    output, export = files
    sequence = load_sequence(folder)
    for each in options:
        check_parts(sequence.bundles, each.named)
    jobs = [
        make_job(bundle=bundle, options=[of_part(bundle, each) for each in options])
        for bundle in sequence.bundles
    ]
    found = [run_job(devices, job) for job in jobs]
    runs = parts_runs([part.results for part in found])
    failures = [failure for part in found for failure in part.failures]
    results = [result for part in found for result in part.results]
    document = bench_document(results, failures)
    document["sequence"] = parts_document(sequence.name, runs)
    report = parts_report(sequence.name, [part.folder for part in sequence.parts], runs, failures)
    if output:
        write_document(document, output)
    if export:
        draw_report(report, export)
    if json:
        print_json(document)
    else:
        print_report(report)
    for failure in failures:
        raise typer.Exit(failure.exit_code)
    refuse_not_finite([sentence for result in results for sentence in result.not_finite])
    return results
