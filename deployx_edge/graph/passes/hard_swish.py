"""HardSwish, as exporters write it below opset 14.

    x ─┬─ Add 3 ─ Clip 0…6 ─┐
       └────────────────── Mul ─ Div 6 ─ y      ⇒      x ─ HardSwish ─ y

    x ─┬─ HardSigmoid(1⁄6, ½) ─┐
       └───────────────────── Mul ─ y           ⇒      x ─ HardSwish ─ y

The division may stand anywhere. Left alone: other slopes than 1⁄6 and other shifts than ½.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployx_edge.graph.links import Shapes
from deployx_edge.graph.passes.algebra import as_product, same
from deployx_edge.graph.passes.gates import cut_gate, hard_sigmoid_gate
from deployx_edge.graph.passes.matching import Fused, PatternGraph, fuse

if TYPE_CHECKING:
    import onnx


def fuse_hard_swish(model: onnx.ModelProto, shapes: Shapes) -> int:
    """Make one HardSwish of every one that is written out."""
    return fuse(model, shapes, _match)


def _match(graph: PatternGraph, node: onnx.NodeProto) -> Fused | None:
    if node.op_type not in ("Mul", "Div"):
        return None
    product = as_product(graph, node.output[0])
    if product.divisors or len(product.tensors) != 2:
        return None
    for source, other in (product.tensors, product.tensors[::-1]):
        gate = hard_sigmoid_gate(graph, other) or cut_gate(graph, other)
        if (
            gate is not None
            and gate.tensor == source
            and same(product.factor * gate.height, 1.0)
            and same(product.factor * gate.slope, 1.0 / 6.0)
            and same(product.factor * gate.offset, 0.5)
            and graph.keeps_shape(node, source)
        ):
            return Fused(operator="HardSwish", inputs=(source,))
    return None
