"""Normalization by the root of the mean square, as exporters write it below opset 23.

    x ─┬─ Pow 2 ─ ReduceMean ─ Add ε ─ Sqrt ─ Reciprocal ─┐
       └──────────────────────────────────────────────── Mul ─ Mul scale ─ y
    ⇒
    x ─ RMSNormalization(scale, ε) ─ y

over the last axes. Also: a Mul with itself for Pow; ReduceSum with its factor for ReduceMean;
Div by the root; Pow −½; the scale multiplied to any factor; no scale. Left alone: what
``layer_norm`` leaves alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployx_edge.graph.links import Shapes
from deployx_edge.graph.passes.matching import Fused, PatternGraph, fuse
from deployx_edge.graph.passes.moments import normalized, spread

if TYPE_CHECKING:
    import onnx


def fuse_rms_norm(model: onnx.ModelProto, shapes: Shapes) -> int:
    """Make one RMSNormalization of every one that is written out."""
    return fuse(model, shapes, _match)


def _match(graph: PatternGraph, node: onnx.NodeProto) -> Fused | None:
    found = normalized(graph, node.output[0]) if node.op_type in ("Mul", "Div") else None
    if found is None or set(found.squared) != {found.numerator}:
        return None
    shape = graph.shape(found.numerator)
    if shape is None or graph.shape(node.output[0]) != shape:
        return None
    scale = spread(graph, node, "scale", found, shape[-found.count :])
    if scale is None:
        return None
    return Fused(
        operator="RMSNormalization",
        inputs=(found.numerator, scale),
        attributes={"axis": -found.count, "epsilon": found.epsilon},
        sources=(found.numerator,),
    )
