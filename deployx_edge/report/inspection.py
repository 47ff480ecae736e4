"""What a model is made of, as tables and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Group
from rich.table import Table

from deployx_edge.model import format_shape
from deployx_edge.sources.inspection import Inspection, RefusedNode

_SHOWN_REASONS = 2


def inspection_document(inspection: Inspection) -> dict[str, Any]:
    """All of it, with the sum of the multiply-accumulates."""
    return {"kind": "inspection", "macs": inspection.macs, **asdict(inspection)}


def inspection_tables(inspection: Inspection) -> Group:
    """The model's facts, then a row for each operator with how it goes in ncnn."""
    facts = Table(title=inspection.name, show_header=False)
    facts.add_column("what")
    facts.add_column("value")
    for kind, tensors in (("input", inspection.inputs), ("output", inspection.outputs)):
        for tensor in tensors:
            facts.add_row(kind, f"{tensor.name} {format_shape(tensor.shape)}")
    used = sum(use.count for use in inspection.operators)
    facts.add_row("opset", str(inspection.opset))
    facts.add_row("nodes", f"{inspection.nodes}, {used} when simplified")
    facts.add_row("parameters", f"{inspection.parameters:,}")
    facts.add_row("multiply-accumulates", f"{inspection.macs:,}")
    operators = Table()
    for title in ("operator", "nodes", "multiply-accumulates", "ncnn"):
        operators.add_column(title, justify="left" if title in ("operator", "ncnn") else "right")
    for use in inspection.operators:
        share = f"{use.macs:,}" if use.macs else "-"
        refused = use.refused.get("ncnn", ())
        operators.add_row(use.operator, str(use.count), share, _verdict(use.count, refused))
    return Group(facts, operators)


def _verdict(count: int, refused: tuple[RefusedNode, ...]) -> str:
    if not refused:
        return "yes"
    reasons: dict[str, RefusedNode] = {}
    for node in refused:
        reasons.setdefault(node.reason, node)
    shown = list(reasons.values())[:_SHOWN_REASONS]
    text = "; ".join(f"{node.node}: {node.reason}" for node in shown)
    return f"no ({len(refused)} of {count}): {text}"
