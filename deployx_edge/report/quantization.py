"""What int8 cost, layer by layer, as tables and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from deployx_edge.report.bundle import bundle_document, bundle_table
from deployx_edge.units import size

if TYPE_CHECKING:
    from deployx_edge.bundle import Bundle
    from deployx_edge.quantization.report import (
        QuantizationReport,
        Sensitivity,
        TensorCost,
    )

_WORST = 5
_NAMED = 3


def quantization_document(
    bundle: Bundle, report: QuantizationReport, sensitivity: Sensitivity | None
) -> dict[str, Any]:
    """All of it; decibels, bytes, seconds."""
    return {
        "kind": "quantization",
        **asdict(report),
        "sensitivity": None if sensitivity is None else asdict(sensitivity),
        "bundle": bundle_document(bundle),
    }


def quantization_report(
    bundle: Bundle, report: QuantizationReport, sensitivity: Sensitivity | None
) -> Group:
    """The bundle, a row each layer, outputs, what hurts most, and the search if there was one."""
    parts: list[Table | Text] = [bundle_table(bundle), _layers(report), _facts(report)]
    if sensitivity is not None:
        parts.append(_sensitivities(sensitivity))
        if sensitivity.trials:
            parts.append(_trials(sensitivity))
        parts += [Text(note) for note in sensitivity.notes]
    return Group(*parts)


def _layers(report: QuantizationReport) -> Table:
    table = Table(title=f"Layers, compared on {report.compared} samples")
    for heading in ("layer", "type", "int8", "input scale", "SNR", "cosine"):
        table.add_column(heading, justify="left" if heading in ("layer", "type") else "right")
    worst = {item.layer for item in report.worst(_WORST)}
    for item in report.layers:
        how = f"no: {item.reason}" if item.mode == "float" else item.mode
        scale = "" if item.activation_scale is None else f"{item.activation_scale:.4g}"
        style = "bold" if item.layer in worst else None
        table.add_row(item.layer, item.type, how, scale, *_cost(item.cost), style=style)
    return table


def _facts(report: QuantizationReport) -> Table:
    table = Table(title="What int8 costs and gains", show_header=False)
    table.add_column("what")
    table.add_column("value")
    before, after = report.bytes_before, report.bytes_after
    table.add_row("size", f"{size(before)} in fp32, {size(after)} in int8 ({after / before:.2f})")
    for cost in report.outputs:
        snr, cosine = _cost(cost)
        table.add_row(f"output {cost.tensor}", f"SNR {snr}, cosine {cosine}")
    worst = ", ".join(item.layer for item in report.worst(_WORST))
    if worst:
        table.add_row("furthest from float", worst)
    data = report.calibration
    skipped = f", {data.skipped} left out" if data.skipped else ""
    table.add_row("calibrated on", f"{data.samples} samples of {data.dataset}{skipped}")
    table.add_row("data's sha256", data.sha256)
    if report.own_calibration:
        table.add_row("scales from", Text(f"not PPQ: {report.own_calibration}"))
        return table
    settings = report.settings
    words = [settings.algorithm]
    words += ["equalized"] if settings.equalize else []
    words += ["biases corrected"] if settings.correct_bias else []
    words += [f"{settings.activations} between layers"] if settings.activations != "int8" else []
    words += [f"tuned ({settings.tuning})"] if settings.tuning != "none" else []
    table.add_row("preset", f"{report.preset or 'own settings'}: {', '.join(words)}")
    for text in _foreign(report):
        table.add_row("not computed by PPQ", text)
    table.add_row("PPQ took", f"{report.seconds:.1f} s, {size(report.peak_bytes)} of memory")
    return table


def _foreign(report: QuantizationReport) -> list[str]:
    """What was left to ONNX Runtime, by operator and reason."""
    nodes: dict[tuple[str, str], list[str]] = {}
    for item in report.foreign:
        nodes.setdefault((item.type, item.reason), []).append(item.node)
    texts = []
    for (type, reason), names in nodes.items():
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        texts.append(f"{type}: {', '.join(names[:_NAMED])}{more} ({reason})")
    return texts


def _sensitivities(sensitivity: Sensitivity) -> Table:
    table = Table(title="What the outputs lose where a layer alone is int8")
    for heading in ("layer", "type", "SNR", "kept in float"):
        table.add_column(heading, justify="right" if heading == "SNR" else "left")
    for item in sensitivity.layers:
        snr = "exact" if item.snr_db is None else f"{item.snr_db:.1f} dB"
        kept = "yes" if item.layer in sensitivity.keep_float else ""
        table.add_row(item.layer, item.type, snr, kept)
    return table


def _trials(sensitivity: Sensitivity) -> Table:
    table = Table(
        title=f"{sensitivity.metric} on {sensitivity.place}; reference "
        f"{sensitivity.reference:.4f}, a drop of {sensitivity.allowed:.4g} is allowed"
    )
    for heading in ("layers in float", sensitivity.metric, "which"):
        table.add_column(heading, justify="left" if heading == "which" else "right")
    for trial in sensitivity.trials:
        chosen = trial.keep_float == sensitivity.keep_float
        names = ", ".join(trial.keep_float) or "none"
        style = "bold" if chosen else None
        table.add_row(str(len(trial.keep_float)), f"{trial.accuracy:.4f}", names, style=style)
    return table


def _cost(cost: TensorCost | None) -> tuple[str, str]:
    if cost is None:
        return "", ""
    snr = "exact" if cost.snr_db is None else f"{cost.snr_db:.1f} dB"
    return snr, f"{cost.cosine:.6f}"
