"""A profile as a table: which layers the time goes to."""

from __future__ import annotations

from statistics import median

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from deployx_edge.measurement.values import LayerProfile, ProfileResult
from deployx_edge.report.bench import EMULATED
from deployx_edge.units import NOT_TOLD, duration


def profile_report(result: ProfileResult) -> RenderableType:
    """Layers in the order in which they run, with their share of the sum."""
    times = [median(layer.samples_ns) for layer in result.profile.layers]
    total = sum(times)
    table = Table(title=f"Layers of {result.model.name} on {result.device.name} (medians)")
    for heading in ("#", "layer", "type", "output", "precision"):
        table.add_column(heading)
    for heading in ("time", "share"):
        table.add_column(heading, justify="right")
    for layer, time in zip(result.profile.layers, times, strict=True):
        share = time / total if total else 0.0
        table.add_row(
            str(layer.index),
            layer.name,
            layer.type,
            "x".join(map(str, layer.dims)),
            _elements(layer),
            duration(time),
            f"{share:6.1%} {'█' * round(20 * share)}",
        )
    whole = median(result.profile.whole_ns)
    lines = [Text(_sum(total, whole) if times else _untold(whole))]
    if result.device.board.emulated:
        lines.append(Text(EMULATED, style="yellow"))
    return Group(table, *lines)


def _elements(layer: LayerProfile) -> str:
    """What the layer's elements were, as far as the runtime tells."""
    if layer.element_bits is None:
        return layer.precision or NOT_TOLD
    packing = "" if layer.packing is None else f" x {layer.packing}"
    return f"{layer.precision or NOT_TOLD} ({layer.element_bits} bits{packing})"


def _sum(layers: float, whole: float) -> str:
    return (
        f"sum of the layers {duration(layers)}, undivided run {duration(whole)} "
        f"(ratio {layers / whole:.3f})"
    )


def _untold(whole: float) -> str:
    return f"layers {NOT_TOLD} by the runtime, undivided run {duration(whole)}"
