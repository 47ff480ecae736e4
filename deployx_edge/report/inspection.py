"""What a model is made of, as tables and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Group
from rich.table import Table

from deployx_edge.model import format_shape
from deployx_edge.sources.onnx.inspection import Inspection, OperatorUse, RefusedNode

_SHOWN_REASONS = 2
_OWN = (
    "a board's build has them after 'deployx-edge build --target TARGET' "
    "('deployx-edge op list' says which do)"
)


def inspection_document(inspection: Inspection) -> dict[str, Any]:
    """All of it, with the sum of the multiply-accumulates."""
    return {"kind": "inspection", "macs": inspection.macs, **asdict(inspection)}


def inspection_tables(inspection: Inspection) -> Group:
    """The model's facts, then a row for each operator with how it goes in each runtime."""
    facts = Table(title=inspection.name, show_header=False)
    facts.add_column("what")
    facts.add_column("value")
    for kind, tensors in (("input", inspection.inputs), ("output", inspection.outputs)):
        for tensor in tensors:
            facts.add_row(kind, f"{tensor.name} {format_shape(tensor.shape)} {tensor.dtype}")
    used = sum(use.count for use in inspection.operators if not use.rewritten)
    facts.add_row("opset", str(inspection.opset))
    facts.add_row("nodes", f"{inspection.nodes}, {used} when simplified")
    facts.add_row("parameters", f"{inspection.parameters:,}")
    facts.add_row("multiply-accumulates", _macs(inspection))
    for runtime, reason in inspection.refused.items():
        if reason:
            facts.add_row(f"{runtime} cannot", reason)
    for runtime, own in inspection.own.items():
        facts.add_row(f"operators of ours for {runtime}", f"{', '.join(own)}: {_OWN}")
    for runtime, passes in inspection.passes.items():
        told = ", ".join(f"{name} {count}" for name, count in passes.items())
        facts.add_row(f"passes for {runtime}", told)
    if inspection.presets:
        fitting = [name for name, against in inspection.presets.items() if not against]
        facts.add_row("like", ", ".join(fitting) or "no family that is known")
    for wide in inspection.wide:
        where = f"{wide.operator} '{wide.node}'" if wide.node != wide.tensor else ""
        facts.add_row("beyond fp16", f"{wide.tensor} reaches {wide.largest:.3g} {where}")
    runtimes = tuple(inspection.refused)
    operators = Table()
    for title in ("operator", "nodes", "multiply-accumulates", *runtimes):
        right = title in ("nodes", "multiply-accumulates")
        operators.add_column(title, justify="right" if right else "left")
    for use in inspection.operators:
        share = "unknown" if use.macs is None else f"{use.macs:,}" if use.macs else "-"
        verdicts = [_verdict(use, runtime, inspection) for runtime in runtimes]
        operators.add_row(use.operator, str(use.count), share, *verdicts)
    return Group(facts, operators)


def _macs(inspection: Inspection) -> str:
    if inspection.macs is not None:
        return f"{inspection.macs:,}"
    unknown = ", ".join(use.operator for use in inspection.operators if use.macs is None)
    known = sum(use.macs or 0 for use in inspection.operators)
    return f"{known:,} and what is unknown: {unknown}"


def _verdict(use: OperatorUse, runtime: str, inspection: Inspection) -> str:
    if use.rewritten:
        return "folded, or by a pass" if runtime in inspection.passes else "yes"
    refused, count = use.refused.get(runtime, ()), use.count
    if not refused:
        return "yes"
    if not refused[0].node:
        return "no"
    reasons: dict[str, RefusedNode] = {}
    for node in refused:
        reasons.setdefault(node.reason, node)
    shown = list(reasons.values())[:_SHOWN_REASONS]
    text = "; ".join(f"{node.node}: {node.reason}" for node in shown)
    return f"no ({len(refused)} of {count}): {text}"
