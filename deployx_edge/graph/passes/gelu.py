"""GELU, as exporters write it below opset 20.

    x ─┬─ Div √2 ─ Erf ─ Add 1 ─┐
       └────────────────────── Mul ─ Mul ½ ─ y      ⇒      x ─ Gelu ─ y

and by its approximation, x ÷ 2 × (1 + tanh(√(2 ÷ π) × (x + 0.044715 x³))), as
``Gelu(approximate="tanh")``. The factors may stand in any order and be spread over the
products as they like, the cube may be a Pow or products. Left alone: other numbers.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from deployx_edge.graph.links import Shapes
from deployx_edge.graph.passes.algebra import (
    as_line,
    as_polynomial,
    as_product,
    same,
    same_polynomial,
)
from deployx_edge.graph.passes.matching import Fused, PatternGraph, fuse

if TYPE_CHECKING:
    import onnx

_TANH_SLOPE = math.sqrt(2.0 / math.pi)
# The attribute and the polynomial in x, by the operator that is taken of it.
_FORMS = {
    "Erf": ("none", {1: math.sqrt(0.5)}),
    "Tanh": ("tanh", {1: _TANH_SLOPE, 3: _TANH_SLOPE * 0.044715}),
}


def fuse_gelu(model: onnx.ModelProto, shapes: Shapes) -> int:
    """Make one Gelu of every one that is written out."""
    return fuse(model, shapes, _match)


def _match(graph: PatternGraph, node: onnx.NodeProto) -> Fused | None:
    if node.op_type not in ("Mul", "Div"):
        return None
    product = as_product(graph, node.output[0])
    if product.divisors or len(product.tensors) != 2:
        return None
    for source, gate in (product.tensors, product.tensors[::-1]):
        line = as_line(graph, gate)
        bent = graph.maker(line.tensor, *_FORMS)
        if bent is None or not graph.keeps_shape(node, source):
            continue
        approximate, wanted = _FORMS[bent.op_type]
        halves = (product.factor * line.slope, product.factor * line.offset)
        if all(same(half, 0.5) for half in halves) and same_polynomial(
            as_polynomial(graph, bent.input[0], source), wanted
        ):
            return Fused(operator="Gelu", inputs=(source,), attributes={"approximate": approximate})
    return None
