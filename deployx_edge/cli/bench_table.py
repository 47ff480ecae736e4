"""What ``bench`` is told about several runtimes and precisions, and their table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from deployx_edge.errors import UsageError
from deployx_edge.runtime import owner_of

if TYPE_CHECKING:
    from deployx_edge.cli.bench_results import Benched
    from deployx_edge.device import Device
    from deployx_edge.measurement.files import FailedRun
    from deployx_edge.workflows.choose.candidates import Wanted
    from deployx_edge.workflows.evaluate.case import EvaluationOptions
    from deployx_edge.workflows.measure.jobs import BenchJob

_QUANTIZED = "int8"
# What says that a runtime does not support the model or the board: a row, and no failure of the
# command. See ``errors``.
_UNSUPPORTED = (2, 4, 10, 11, 12, 37, 45)


def is_table(
    model: Path,
    runtimes: Sequence[str],
    precisions: Sequence[str],
    more: Sequence[Path | int | None],
) -> bool:
    """Whether candidates are to be told apart; ``more`` are the options that are of a table."""
    is_source = not model.is_dir() and owner_of(model) is None
    return (
        len(runtimes) > 1
        or any(each is not None for each in more)
        or (_QUANTIZED in precisions and is_source)
    )


def check_table(against: Path | None) -> None:
    """UsageError for what a table of candidates does not go with."""
    if against is not None:
        raise UsageError(
            "--against runs one model against another, and there are several candidates already.",
            remedy="Name one runtime and one precision, or leave out --against.",
        )


def bench_table(
    wanted: Wanted,
    devices: Sequence[Device],
    make_job: Callable[..., BenchJob],
    *,
    dataset: Path | None,
    evaluation: EvaluationOptions,
    top: int | None,
) -> Benched:
    """Make every candidate, run them in turn, and see what they compute and how accurate it is."""
    import tempfile

    from deployx_edge.cli.bench_results import run_job
    from deployx_edge.cli.console import show_progress
    from deployx_edge.report.candidates import CandidateTable
    from deployx_edge.workflows.choose.candidates import make_candidates
    from deployx_edge.workflows.choose.inputs import source_side
    from deployx_edge.workflows.choose.source_error import SourceErrors
    from deployx_edge.workflows.choose.table import Scores, score_candidates, table_rows

    with tempfile.TemporaryDirectory(prefix="deployx-edge-candidates-") as folder:
        with show_progress() as progress:
            candidates, refused = make_candidates(wanted, Path(folder), progress=progress)
            data = dataset or wanted.calibration
            side = source_side(wanted.model, wanted.bundle, data, wanted.images, progress)
        errors = None if side is None else SourceErrors(side=side)
        look = None if errors is None else errors.look
        found = run_job(devices, make_job(candidates=candidates, look=look))
        scores = Scores()
        if dataset is not None:
            with show_progress() as progress:
                scores = score_candidates(
                    wanted, dataset, devices, found.results, candidates, evaluation, progress
                )
        rows = table_rows(found.results, found.failures, candidates, refused, errors, scores)
    table = CandidateTable(
        model=candidates[0].bundle.name,
        rows=rows,
        error_inputs="" if side is None else side.described,
        source=scores.source,
        top=top,
    )
    return replace(found, table=table)


def real_failures(failures: Sequence[FailedRun]) -> list[FailedRun]:
    """Those that are more than a runtime that does not support the model or the board."""
    return [
        failure
        for failure in failures
        if not failure.runtime or failure.exit_code not in _UNSUPPORTED
    ]
