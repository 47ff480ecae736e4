"""The rows of a table: what was measured, what it computes, how accurate it is, what refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from deployx_edge.bundle import Bundle, bundle_digest
from deployx_edge.device import Device
from deployx_edge.errors import DeployxError
from deployx_edge.evaluation.results import score_of
from deployx_edge.measurement.candidates import CandidateRow, Score
from deployx_edge.measurement.files import FailedRun
from deployx_edge.measurement.values import BenchResult, RunOptions
from deployx_edge.progress import Progress, Stage
from deployx_edge.workflows.choose.candidates import Made, Wanted
from deployx_edge.workflows.choose.source_error import SourceErrors
from deployx_edge.workflows.choose.trying import Tried
from deployx_edge.workflows.evaluate.case import EvaluationOptions
from deployx_edge.workflows.evaluate.evaluate import evaluate
from deployx_edge.workflows.measure.jobs import Candidate

# In place of a runtime, where a whole board is not available.
_EVERY = "all"


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Accuracies on a data set by board, bundle and precision, or why there is none.

    ``source`` is the source's own, None where it is not known.
    """

    source: Score | None = None
    found: dict[tuple[str, Path, str], Score] = field(default_factory=dict)
    reasons: dict[tuple[str, Path, str], str] = field(default_factory=dict)


def table_rows(
    results: Sequence[BenchResult],
    failures: Sequence[FailedRun],
    candidates: Sequence[Candidate],
    refused: Sequence[Tried[Made]],
    errors: SourceErrors | None,
    scores: Scores,
) -> list[CandidateRow]:
    """A row for each candidate on each board, then one for each that no board was asked for."""
    rows = [_row(result, _candidate_of(result, candidates), errors, scores) for result in results]
    rows += [
        CandidateRow(
            device=failure.device,
            runtime=failure.runtime or _EVERY,
            options=failure.options or RunOptions(),
            reason=failure.error,
            exit_code=failure.exit_code,
        )
        for failure in failures
    ]
    return [*rows, *map(_refused_row, refused)]


def score_candidates(
    wanted: Wanted,
    dataset: Path,
    devices: Sequence[Device],
    results: Sequence[BenchResult],
    candidates: Sequence[Candidate],
    options: EvaluationOptions,
    progress: Progress,
) -> Scores:
    """Evaluate each bundle and precision that ran, once on each board."""
    scores = Scores()
    source: Path | None = None if wanted.model.is_dir() else wanted.model
    for result in results:
        candidate = _candidate_of(result, candidates)
        key = (result.device.name, candidate.bundle.folder, candidate.options.precision)
        if key in scores.found or key in scores.reasons or not candidate.is_told_by_outputs:
            continue
        runtime = candidate.bundle.runtime
        progress(Stage(text=f"Evaluating {runtime} in {key[2]} on {result.device.name}"))
        reference = source if scores.source is None else None
        try:
            found = evaluate(
                candidate.bundle.folder,
                dataset,
                [result.device.name],
                reference=reference,
                torch=wanted.bundle.torch if reference else None,
                options=replace(options, run=candidate.options),
                progress=progress,
            )
        except DeployxError as error:
            scores.reasons[key] = f"no accuracy: {error.message}"
            continue
        figures = [figure for place in found.places for figure in place.figures]
        if figures:
            scores.found[key] = score_of(figures[0])
        if scores.source is None and found.reference is not None and found.reference.figures:
            scores = replace(scores, source=score_of(found.reference.figures[0]))
    return scores


def _row(
    result: BenchResult, candidate: Candidate, errors: SourceErrors | None, scores: Scores
) -> CandidateRow:
    device, bundle, options = result.device.name, candidate.bundle, candidate.options
    key = (device, bundle.folder, options.precision)
    reason = scores.reasons.get(key)
    return CandidateRow(
        device=device,
        runtime=bundle.runtime,
        options=options,
        result=result,
        size_bytes=size_of(bundle),
        error=None if errors is None else errors.found.get((device, bundle.folder, options)),
        accuracy=scores.found.get(key),
        notes=(*candidate.notes, *([reason] if reason else []), *result.warnings),
    )


def size_of(bundle: Bundle) -> int:
    """What the files of the model take on a board's disk."""
    return sum(file.size for file in bundle.files)


def _candidate_of(result: BenchResult, candidates: Iterable[Candidate]) -> Candidate:
    return next(
        each
        for each in candidates
        if each.options == result.options
        and bundle_digest(each.bundle) == result.model.bundle_sha256
    )


def _refused_row(refusal: Tried[Made]) -> CandidateRow:
    return CandidateRow(
        device="",
        runtime=refusal.runtime,
        options=RunOptions(precision=refusal.precision),
        reason=str(refusal.error),
        exit_code=refusal.error.exit_code if refusal.error else 0,
    )
