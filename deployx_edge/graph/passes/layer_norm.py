"""Layer normalization, as exporters write it below opset 17.

    x ─┬─ ReduceMean ─┐
       └──────────── Sub ─┬─ Pow 2 ─ ReduceMean ─ Add ε ─ Sqrt ─┐
                          └──────────────────────────────────── Div ─ Mul scale ─ Add bias ─ y
    ⇒
    x ─ LayerNormalization(scale, bias, ε) ─ y

over the last axes. Also: a Mul with itself for Pow; ReduceSum with its factor for ReduceMean;
Mul with a Reciprocal, with 1 ÷ Sqrt or with Pow −½ for Div; x less its mean computed twice;
the scale multiplied to any factor; no scale, no bias. And the form of batch normalizations:

    x × r + (bias − mean × r)          with r = scale ÷ √(mean of (x − mean)² + ε)

Left alone: other axes than the last, an ε that is not positive, a scale or a bias that is
computed or belongs to other axes, and what is also read elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deployx_edge.graph.links import Shapes
from deployx_edge.graph.passes.matching import Fused, PatternGraph, fuse
from deployx_edge.graph.passes.moments import (
    Normalized,
    centred,
    fit,
    mean_of,
    normalized,
    spread,
)

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray


def fuse_layer_norm(model: onnx.ModelProto, shapes: Shapes) -> int:
    """Make one LayerNormalization of every one that is written out."""
    return fuse(model, shapes, _match)


def _match(graph: PatternGraph, node: onnx.NodeProto) -> Fused | None:
    if node.op_type in ("Mul", "Div"):
        return _fused(graph, node, node.output[0], None)
    if node.op_type != "Add":
        return None
    for body, other in (node.input, reversed(node.input)):
        bias = graph.constant(other)
        if bias is not None and graph.is_private(body):
            return _fused(graph, node, body, bias)
    return _as_batch_norm(graph, node)


def _fused(
    graph: PatternGraph, node: onnx.NodeProto, body: str, bias: NDArray[Any] | None
) -> Fused | None:
    found = normalized(graph, body)
    if found is None:
        return None
    parts = [centred(graph, name) for name in (found.numerator, *found.squared)]
    first = parts[0]
    if first is None or any(part != first for part in parts) or first.count != found.count:
        return None
    return _with_constants(graph, node, found, first.source, bias)


def _with_constants(
    graph: PatternGraph,
    node: onnx.NodeProto,
    found: Normalized,
    source: str,
    bias: NDArray[Any] | None,
) -> Fused | None:
    shape = graph.shape(source)
    if shape is None or graph.shape(node.output[0]) != shape:
        return None
    rows = shape[-found.count :]
    shift = None if bias is None else fit(bias, rows)
    if bias is not None and shift is None:
        return None
    scale = spread(graph, node, "scale", found, rows)
    if scale is None:
        return None
    inputs = [source, scale]
    if shift is not None:
        inputs.append(graph.constant_for(node, "bias", shift))
    return Fused(
        operator="LayerNormalization",
        inputs=tuple(inputs),
        attributes={"axis": -found.count, "epsilon": found.epsilon},
        sources=(source,),
    )


def _as_batch_norm(graph: PatternGraph, node: onnx.NodeProto) -> Fused | None:
    """x × r + (bias − mean × r)."""
    for left, right in (node.input, reversed(node.input)):
        scaled, shift = graph.maker(left, "Mul"), graph.maker(right, "Sub")
        moved = graph.maker(shift.input[1], "Mul") if shift is not None else None
        bias = graph.constant(shift.input[0]) if shift is not None else None
        if scaled is None or moved is None or bias is None:
            continue
        for source, factor in (scaled.input, reversed(scaled.input)):
            if factor not in moved.input:
                continue
            mean = mean_of(graph, _other(moved, factor))
            found = normalized(graph, factor)
            if mean is None or found is None or found.numerator or mean.source != source:
                continue
            parts = {centred(graph, name) for name in found.squared}
            if parts == {mean} and mean.count == found.count:
                return _with_constants(graph, node, found, source, bias)
    return None


def _other(node: onnx.NodeProto, tensor: str) -> str:
    """The operand beside this one."""
    return node.input[1] if node.input[0] == tensor else node.input[0]
