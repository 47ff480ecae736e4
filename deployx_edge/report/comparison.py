"""Where a bundle and its source part ways, as a table and as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from deployx_edge.comparison import LayerCheck, first_difference

# The bar runs from an error of 1e-8 of the variation to the whole of it.
_DECADES = 8
_WIDTH = 16


def comparison_document(title: str, precision: str, layers: Sequence[LayerCheck]) -> dict[str, Any]:
    """Each tensor with its layer, and the first that differs (null: none does)."""
    first = first_difference(layers)
    return {
        "kind": "comparison",
        "title": title,
        "precision": precision,
        "first_difference": None if first is None else first.check.output,
        "layers": [{"layer": row.layer, "type": row.type, **asdict(row.check)} for row in layers],
    }


def comparison_report(title: str, precision: str, layers: Sequence[LayerCheck]) -> RenderableType:
    """One row a tensor in the order of the layers, with the growth of the error as bars."""
    table = Table(title=f"{title} ({precision})")
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
            Text(
                check.verdict, style={"differs": "red", "unproven": "yellow"}.get(check.verdict, "")
            ),
            f"{check.relative_error:.1e}",
            "exact" if check.snr_db is None else f"{check.snr_db:.0f} dB",
            f"{check.max_abs_error:.2e}",
            f"{check.cosine:.6f}",
            bar(check.relative_error),
        )
    first = first_difference(layers)
    if first is None:
        return Group(table, Text(f"No tensor of {len(layers)} differs."))
    words = f"The first to differ is '{first.check.output}' of the layer '{first.layer}'."
    return Group(table, Text(words, style="red"))


def bar(error: float) -> str:
    """The error on a logarithmic scale."""
    if error <= 0.0:
        return ""
    share = (math.log10(error) + _DECADES) / _DECADES
    return "█" * round(_WIDTH * min(max(share, 0.0), 1.0))
