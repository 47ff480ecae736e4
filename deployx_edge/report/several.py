"""The same of several runtimes: a row each, also for those that refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from deployx_edge.evaluation.results import score_of
from deployx_edge.measurement.candidates import Score
from deployx_edge.measurement.standings import words_of_scores
from deployx_edge.report.bundle import bundle_document
from deployx_edge.report.evaluation import PLACE_HEADINGS, evaluation_document, place_rows
from deployx_edge.units import size

if TYPE_CHECKING:
    from deployx_edge.bundle import Bundle
    from deployx_edge.errors import DeployxError
    from deployx_edge.evaluation.results import Evaluation
    from deployx_edge.quantization.report import QuantizationReport

_NONE = "–"


@dataclass(frozen=True, kw_only=True)
class BundleRow:
    """A runtime's bundle, or the ``reason`` why there is none, with its exit code.

    ``report`` is of an int8 one.
    """

    runtime: str
    precision: str
    bundle: Bundle | None
    reason: str = ""
    exit_code: int = 0
    report: QuantizationReport | None = None

    @classmethod
    def of(
        cls,
        runtime: str,
        precision: str,
        bundle: Bundle | None,
        error: DeployxError | None,
        report: QuantizationReport | None = None,
    ) -> BundleRow:
        """What came of one."""
        return cls(
            runtime=runtime,
            precision=precision,
            bundle=bundle,
            reason="" if error is None else str(error),
            exit_code=0 if error is None else error.exit_code,
            report=report,
        )


def refusal_document(runtime: str, precision: str, reason: str, exit_code: int) -> dict[str, Any]:
    """What every row of several runtimes says; ``reason`` is "" for one that went well."""
    return {
        "runtime": runtime,
        "precision": precision,
        "supported": not reason,
        "reason": reason,
        "exit_code": exit_code,
    }


def bundles_document(
    rows: Sequence[BundleRow], documents: Sequence[dict[str, Any] | None] = ()
) -> dict[str, Any]:
    """A row each with its bundle; ``documents`` stand in its place where there are any."""
    return {
        "kind": "bundles",
        "rows": [
            {
                **refusal_document(row.runtime, row.precision, row.reason, row.exit_code),
                "bundle": None if row.bundle is None else bundle_document(row.bundle),
                **({"quantization": documents[index]} if documents else {}),
            }
            for index, row in enumerate(rows)
        ],
    }


def bundles_table(rows: Sequence[BundleRow], title: str) -> Table:
    """A row each: where its bundle lies, how large it is, and how far from the source."""
    table = Table(title=title)
    quantized = any(row.report for row in rows)
    for heading in ("runtime", "precision", "folder", "size", "comparison", "error"):
        table.add_column(heading, overflow="fold")
    for heading in ("int8 layers", "SNR") if quantized else ():
        table.add_column(heading, overflow="fold")
    for row in rows:
        cells = [row.runtime, row.precision]
        if row.bundle is None:
            table.add_row(*cells, Text(f"no: {row.reason}", style="red"), _NONE)
            continue
        bundle = row.bundle
        found = bundle.provenance.verification
        worst = max((check.relative_error for check in found.outputs), default=None)
        cells += [str(bundle.folder), size(sum(file.size for file in bundle.files))]
        left = ", ".join(node.node for node in bundle.left)
        cells += [found.status + (f"; the processor computes {left}" if left else "")]
        cells += [_NONE if worst is None else f"{worst:.1e}"]
        if row.report is not None:
            kept = sum(layer.mode == "float" for layer in row.report.layers)
            count = len(row.report.layers)
            known = [cost.snr_db for cost in row.report.outputs if cost.snr_db is not None]
            cells += [f"{count - kept} of {count}", f"{min(known):.0f} dB" if known else _NONE]
        table.add_row(*cells)
    if any(row.bundle for row in rows):
        table.caption = "error: of the outputs' variation between inputs, against " + (
            "the same arithmetic in floats; SNR: of the worst output, against the source"
            if quantized
            else "the source"
        )
    return table


@dataclass(frozen=True, kw_only=True)
class EvaluationRow:
    """What a runtime at a precision reached, or the ``reason`` why nothing, with its exit code."""

    runtime: str
    precision: str
    evaluation: Evaluation | None
    reason: str = ""
    exit_code: int = 0

    @classmethod
    def of(
        cls,
        runtime: str,
        precision: str,
        evaluation: Evaluation | None,
        error: DeployxError | None,
    ) -> EvaluationRow:
        """What came of one."""
        return cls(
            runtime=runtime,
            precision=precision,
            evaluation=evaluation,
            reason="" if error is None else str(error),
            exit_code=0 if error is None else error.exit_code,
        )


def evaluations_document(rows: Sequence[EvaluationRow]) -> dict[str, Any]:
    """A row each with its whole evaluation, and what is said of the best."""
    return {
        "kind": "evaluations",
        "rows": [
            {
                **refusal_document(row.runtime, row.precision, row.reason, row.exit_code),
                "evaluation": None
                if row.evaluation is None
                else evaluation_document(row.evaluation),
            }
            for row in rows
        ],
        "standings": _best_lines(rows),
    }


def evaluations_report(rows: Sequence[EvaluationRow]) -> Group:
    """The reference, then a row each place and metric of each, and who is best."""
    found = [row.evaluation for row in rows if row.evaluation is not None]
    first = found[0] if found else None
    title = f"{first.model} on {first.samples} samples of {first.dataset}" if first else ""
    table = Table(title=title)
    for heading in ("runtime", "asked", *PLACE_HEADINGS):
        table.add_column(heading, overflow="fold")
    if first is not None and first.reference is not None:
        for cells in place_rows(first.reference):
            table.add_row("the source", "", *cells)
    for row in rows:
        if row.evaluation is None:
            table.add_row(row.runtime, row.precision, Text(f"no: {row.reason}", style="red"))
            continue
        for place in row.evaluation.places:
            for cells in place_rows(place):
                table.add_row(row.runtime, row.precision, *cells)
        for failure in row.evaluation.failures:
            text = Text(f"{failure.place}: {failure.error}", style="red")
            table.add_row(row.runtime, row.precision, text)
    notes = dict.fromkeys(
        f"{row.runtime} {row.precision}: {note}"
        for row in rows
        if row.evaluation is not None
        for note in row.evaluation.notes
    )
    return Group(table, *map(Text, _best_lines(rows)), *map(Text, notes))


def _best_lines(rows: Sequence[EvaluationRow]) -> list[str]:
    """For each place and metric who is best, or who cannot be told apart."""
    scores: dict[tuple[str, str], list[tuple[str, Score]]] = {}
    for row in rows:
        for place in row.evaluation.places if row.evaluation is not None else ():
            for figure in place.figures:
                named = (f"{row.runtime} {row.precision}", score_of(figure))
                scores.setdefault((place.place, figure.metric), []).append(named)
    lines = []
    for (where, metric), found in scores.items():
        if len(found) > 1:
            names, values = [name for name, _ in found], [each for _, each in found]
            lines.append(words_of_scores(f"{metric} ({where})", names, values))
    return lines
