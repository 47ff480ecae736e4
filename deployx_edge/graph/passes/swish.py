"""Swish (SiLU), as exporters write it below opset 24.

    x ─┬─ Sigmoid ─┐
       └───────── Mul ─ y      ⇒      x ─ Swish ─ y

Left alone: a sigmoid of anything but x itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployx_edge.graph.links import Shapes
from deployx_edge.graph.passes.matching import Fused, PatternGraph, fuse

if TYPE_CHECKING:
    import onnx


def fuse_swish(model: onnx.ModelProto, shapes: Shapes) -> int:
    """Make one Swish of every one that is written out."""
    return fuse(model, shapes, _match)


def _match(graph: PatternGraph, node: onnx.NodeProto) -> Fused | None:
    if node.op_type != "Mul":
        return None
    for source, other in (node.input, reversed(node.input)):
        gate = graph.maker(other, "Sigmoid")
        if gate is not None and gate.input[0] == source:
            return Fused(operator="Swish", inputs=(source,))
    return None
