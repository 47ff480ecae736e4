"""A profile as a table: which layers the time goes to."""

from __future__ import annotations

from statistics import median

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from deployx_edge.measurement.values import ProfileResult
from deployx_edge.report.bench import EMULATED
from deployx_edge.units import duration


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
            f"{layer.precision} ({layer.element_bits} bits x {layer.packing})",
            duration(time),
            f"{share:6.1%} {'█' * round(20 * share)}",
        )
    whole = median(result.profile.whole_ns)
    lines = [
        Text(
            f"sum of the layers {duration(total)}, undivided run {duration(whole)} "
            f"(ratio {total / whole:.3f})"
        )
    ]
    if result.device.board.emulated:
        lines.append(Text(EMULATED, style="yellow"))
    return Group(table, *lines)
