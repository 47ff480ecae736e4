"""Where a bundle and its source part ways, as a table and as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from deployx_edge.bundle import OutputCheck
from deployx_edge.comparison import TOLERANCES, LayerCheck, first_difference
from deployx_edge.errors import UsageError

_COLOURS = {"differs": "red", "unproven": "yellow", "rounded": "yellow"}
# The bar runs from an error of 1e-8 of the variation to the whole of it.
_DECADES = 8
_WIDTH = 16


def comparison_document(
    title: str,
    precision: str,
    layers: Sequence[LayerCheck],
    *,
    ran: str | None = None,
    warning: str | None = None,
) -> dict[str, Any]:
    """Each tensor with its layer, and the first that differs (null: none does).

    ``precision`` is the one whose limits hold, ``ran`` what a board says of its layers, and
    ``warning`` where that is not what was asked for.
    """
    first = first_difference(layers)
    return {
        "kind": "comparison",
        "title": title,
        "precision": precision,
        "ran": ran,
        "warning": warning,
        "first_difference": None if first is None else first.check.output,
        "layers": [{"layer": row.layer, "type": row.type, **asdict(row.check)} for row in layers],
    }


def comparison_report(title: str, precision: str, layers: Sequence[LayerCheck]) -> RenderableType:
    """One row a tensor in the order of the layers, with the growth of the error as bars."""
    table = Table(title=f"{title} (limits of {precision})")
    for heading in ("layer", "type", "tensor", "verdict"):
        table.add_column(heading)
    for heading in ("error / variation", "SNR", "largest", "cosine"):
        table.add_column(heading, justify="right")
    table.add_column(f"1e-{_DECADES} … 1")
    for row in layers:
        check = row.check
        table.add_row(
            row.layer,
            row.type,
            check.output,
            Text(check.verdict, style=_COLOURS.get(check.verdict, "")),
            f"{check.relative_error:.1e}",
            "exact" if check.snr_db is None else f"{check.snr_db:.0f} dB",
            f"{check.max_abs_error:.2e}",
            f"{check.cosine:.6f}",
            bar(check.relative_error),
        )
    first = first_difference(layers)
    if first is None:
        rounded = [row.check for row in layers if row.check.verdict == "rounded"]
        more = f" by more than {precision} may cost; {_worst(rounded)}." if rounded else "."
        return Group(table, Text(f"No tensor of {len(layers)} differs{more}"))
    words = f"The first to differ is '{first.check.output}' of the layer '{first.layer}'."
    return Group(table, Text(words, style="red"))


def _worst(rounded: Sequence[OutputCheck]) -> str:
    worst = max(rounded, key=lambda check: check.relative_error)
    snr = "" if worst.snr_db is None else f" ({worst.snr_db:.0f} dB)"
    return f"{len(rounded)} are rounded, '{worst.output}' most{snr}"


def bar(error: float) -> str:
    """The error on a logarithmic scale."""
    if error <= 0.0:
        return ""
    share = (math.log10(error) + _DECADES) / _DECADES
    return "█" * round(_WIDTH * min(max(share, 0.0), 1.0))


def plot_comparison(title: str, precision: str, layers: Sequence[LayerCheck], path: Path) -> None:
    """Draw the error of each tensor over the layers, with the limit, into ``path``.

    UsageError where the file's ending is none of .png, .svg and .pdf.
    """
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise UsageError(f"--plot {path} ends neither in .png, .svg nor in .pdf.")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(8.0, 0.12 * len(layers)), 5.0), layout="constrained")
    axes = figure.subplots()
    places = range(len(layers))
    errors = [min(max(row.check.relative_error, 10.0**-_DECADES), 1.0) for row in layers]
    axes.plot(places, errors, color="0.6", linewidth=1, zorder=1)
    for verdict, colour in (
        ("same", "tab:green"),
        ("rounded", "tab:olive"),
        ("unproven", "tab:orange"),
        ("differs", "tab:red"),
    ):
        chosen = [place for place in places if layers[place].check.verdict == verdict]
        axes.scatter(chosen, [errors[i] for i in chosen], s=14, color=colour, label=verdict)
    limit = TOLERANCES[precision].relative
    axes.axhline(limit, color="tab:red", linestyle="--", linewidth=1, label=f"limit {limit:g}")
    axes.set(yscale="log", ylabel="rms error / variation between inputs", title=title)
    axes.set_ylim(10.0**-_DECADES, 2.0)
    step = max(1, len(layers) // 60)
    axes.set_xticks(list(places)[::step], [row.layer for row in layers][::step], rotation=90)
    axes.tick_params(axis="x", labelsize=6)
    axes.legend(loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
