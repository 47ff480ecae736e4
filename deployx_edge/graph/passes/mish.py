"""Mish, as exporters write it below opset 18.

    x ─┬─ Softplus ─ Tanh ─┐
       └───────────────── Mul ─ y      ⇒      x ─ Mish ─ y

Also with log(exp(x) + 1) for Softplus. Left alone: a Softplus of anything but x itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployx_edge.graph.links import Shapes
from deployx_edge.graph.passes.algebra import Line, as_line
from deployx_edge.graph.passes.matching import Fused, PatternGraph, fuse

if TYPE_CHECKING:
    import onnx


def fuse_mish(model: onnx.ModelProto, shapes: Shapes) -> int:
    """Make one Mish of every one that is written out."""
    return fuse(model, shapes, _match)


def _match(graph: PatternGraph, node: onnx.NodeProto) -> Fused | None:
    if node.op_type != "Mul":
        return None
    for source, other in (node.input, reversed(node.input)):
        gate = graph.maker(other, "Tanh")
        if gate is None or not graph.keeps_shape(node, source):
            continue
        if _is_softplus(graph, gate.input[0], source):
            return Fused(operator="Mish", inputs=(source,))
    return None


def _is_softplus(graph: PatternGraph, tensor: str, source: str) -> bool:
    node = graph.maker(tensor, "Softplus", "Log")
    if node is None or node.op_type == "Softplus":
        return node is not None and node.input[0] == source
    line = as_line(graph, node.input[0])
    power = graph.maker(line.tensor, "Exp")
    return (
        line == Line(slope=1.0, offset=1.0, tensor=line.tensor)
        and power is not None
        and power.input[0] == source
    )
