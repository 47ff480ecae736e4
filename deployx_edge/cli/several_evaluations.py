"""``evaluate`` with several runtimes or precisions: a row each, on the same samples."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from deployx_edge.errors import UsageError

if TYPE_CHECKING:
    from deployx_edge.evaluation.results import Evaluation
    from deployx_edge.measurement.values import RunOptions
    from deployx_edge.progress import Progress
    from deployx_edge.workflows.choose.candidates import Wanted
    from deployx_edge.workflows.choose.trying import Tried
    from deployx_edge.workflows.convert.options import BundleOptions
    from deployx_edge.workflows.evaluate.case import EvaluationOptions


@dataclass(frozen=True, kw_only=True)
class EvaluateRequest:
    """What is evaluated on what, as ``evaluate`` was told."""

    model: Path
    dataset: Path
    devices: Sequence[str]
    runtimes: tuple[str, ...]
    runs: Sequence[RunOptions]
    reference: Path | None
    bundle: BundleOptions
    socs: Mapping[str, str]
    calibration: Path | None
    options: EvaluationOptions

    def __post_init__(self) -> None:
        if len({run.threads for run in self.runs}) > 1:
            raise UsageError("Accuracy does not depend on threads: give one number of them.")
        options = self.options
        if options.report or options.outputs or options.predictions:
            raise UsageError(
                "--report, --save-outputs and --predictions hold what one candidate says, and "
                "there are several.",
                remedy="Name one runtime and one precision.",
            )

    @property
    def wanted(self) -> Wanted:
        """The candidates."""
        from deployx_edge.processing.steps import step_texts
        from deployx_edge.workflows.choose.candidates import Wanted, usual_runtime

        bundle, options = self.bundle, self.options
        if not self.model.is_dir():
            bundle = replace(
                bundle,
                preprocess=step_texts(options.preprocess),
                # A preset is not asked for what is said already.
                postprocess=step_texts(options.postprocess) if options.like else (),
                like=options.like,
            )
        return Wanted(
            model=self.model,
            runtimes=self.runtimes or (usual_runtime(self.model),),
            precisions=tuple(dict.fromkeys(run.precision for run in self.runs)),
            bundle=bundle,
            socs=self.socs,
            calibration=self.calibration,
            made_up_scales=False,
            images=self.options.images,
        )

    def run(self, folder: Path, progress: Progress) -> list[Tried[Evaluation]]:
        """Every candidate on every device; the empty ``folder`` is for what is needed meanwhile."""
        from deployx_edge.worker_facts import own_options
        from deployx_edge.workflows.choose.candidates import make_one
        from deployx_edge.workflows.choose.trying import try_each
        from deployx_edge.workflows.evaluate.evaluate import evaluate
        from deployx_edge.workflows.evaluate.kept_reference import KeptReference

        wanted, source = self.wanted, self.reference or self.model
        beside = None if source.is_dir() else source
        # What a preset proposes stands in the bundle that is made.
        like = self.options.like if self.model.is_dir() else None
        kept = KeptReference(folder)

        def one(runtime: str, precision: str) -> Evaluation:
            made = make_one(wanted, runtime, precision, folder, progress)
            named = own_options(runtime, self.runs[0].named)
            run = replace(self.runs[0], precision=precision, named=named)
            return evaluate(
                made.bundle.folder,
                self.dataset,
                self.devices,
                reference=beside,
                torch=self.bundle.torch if beside is not None else None,
                options=replace(self.options, runtime=None, run=run, like=like),
                kept=kept,
                progress=progress,
            )

        return try_each(self.model, wanted.runtimes, wanted.precisions, one, progress)


def evaluate_each(
    request: EvaluateRequest,
    least: Mapping[str, float],
    drops: Mapping[str, float],
    json: bool,
    export: Path | None,
) -> list[Evaluation]:
    """One table; what was demanded is demanded of each."""
    import tempfile

    from deployx_edge.cli.console import draw_report, print_json, print_report, show_progress
    from deployx_edge.report.several import (
        EvaluationRow,
        evaluations_document,
        evaluations_report,
    )
    from deployx_edge.workflows.convert.finiteness import refuse_not_finite, samples_sentence
    from deployx_edge.workflows.evaluate.thresholds import check_thresholds

    with (
        tempfile.TemporaryDirectory(prefix="deployx-edge-candidates-") as folder,
        show_progress() as progress,
    ):
        tried = request.run(Path(folder), progress)
    rows = [
        EvaluationRow.of(each.runtime, each.precision, each.value, each.error) for each in tried
    ]
    report = evaluations_report(rows)
    if json:
        print_json(evaluations_document(rows))
    else:
        print_report(report)
    if export:
        draw_report(report, export)
    found = [each.value for each in tried if each.value is not None]
    failures = [failure for each in found for failure in each.failures]
    for failure in failures:
        print(f"error: {failure.place}: {failure.error}", file=sys.stderr)
    broken = [place for each in found for place in each.places if place.not_finite]
    refuse_not_finite([samples_sentence(each.not_finite, each.place) for each in broken])
    for each in found:
        check_thresholds(each, least, drops)
    for failure in failures:
        raise typer.Exit(failure.exit_code)
    return found
