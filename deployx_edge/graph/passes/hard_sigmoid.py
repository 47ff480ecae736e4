"""HardSigmoid, as exporters write it where they do not know it.

    x ─ Add 3 ─ Clip 0…6 ─ Div 6 ─ y      ⇒      x ─ HardSigmoid(α = 1⁄6, β = ½) ─ y

Also: any line that rises and is cut off where the product makes it 0 and 1; Relu, Max and Min
for Clip. Left alone: a Clip with nothing added before it, which convolutions run themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployx_edge.graph.links import Shapes
from deployx_edge.graph.passes.algebra import as_product, same
from deployx_edge.graph.passes.gates import cut_gate
from deployx_edge.graph.passes.matching import Fused, PatternGraph, fuse

if TYPE_CHECKING:
    import onnx


def fuse_hard_sigmoid(model: onnx.ModelProto, shapes: Shapes) -> int:
    """Make one HardSigmoid of every one that is written out."""
    return fuse(model, shapes, _match)


def _match(graph: PatternGraph, node: onnx.NodeProto) -> Fused | None:
    if node.op_type not in ("Mul", "Div", "Clip", "Min", "Max"):
        return None
    product = as_product(graph, node.output[0])
    if product.divisors or len(product.tensors) != 1:
        return None
    gate = cut_gate(graph, product.tensors[0])
    if gate is None or not same(product.factor * gate.height, 1.0) or gate.offset == 0.0:
        return None
    slope, offset = product.factor * gate.slope, product.factor * gate.offset
    if slope <= 0.0 or not graph.keeps_shape(node, gate.tensor):
        return None
    return Fused(
        operator="HardSigmoid",
        inputs=(gate.tensor,),
        attributes={"alpha": slope, "beta": offset},
    )
