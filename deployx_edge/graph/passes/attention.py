"""Attention, written out as exporters do below opset 23.

    q ─────────────┐
    k ─ Transpose ─ MatMul ─ Mul scale ─ Add mask ─ Softmax ─┐
    v ───────────────────────────────────────────────────── MatMul ─ y
    ⇒
    q, k, v, mask ─ Attention(scale) ─ y

for q, k, v of (batch, heads, rows, size), or of (batch, rows, size) as one head. The scale may
be a division, stand before the product at q, at k, or be missing; so may the mask. Batch and
heads may be counted otherwise by a Reshape behind the Transpose and, where there is no mask,
around the scores. Left alone: operands whose batch or heads are broadcast, a scale behind the
mask, and scores or shares that are also read elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployx_edge.graph.links import Shapes, attribute
from deployx_edge.graph.passes.algebra import as_product
from deployx_edge.graph.passes.matching import Fused, PatternGraph, fuse

if TYPE_CHECKING:
    import onnx

_VIEWS = ("Reshape", "Unsqueeze", "Squeeze")


@dataclass(frozen=True, kw_only=True)
class _Scores:
    """``scale`` × ``queries`` × what ``turn`` makes of the keys, + ``mask``.

    ``product`` is the node that multiplies them.
    """

    product: onnx.NodeProto
    queries: str
    turn: onnx.NodeProto
    scale: float
    mask: str = ""


def fuse_attention(model: onnx.ModelProto, shapes: Shapes) -> int:
    """Make one Attention of every one that is written out."""
    return fuse(model, shapes, _match)


def _match(graph: PatternGraph, node: onnx.NodeProto) -> Fused | None:
    shape = graph.shape(node.output[0])
    if node.op_type != "MatMul" or shape is None or len(shape) not in (3, 4):
        return None
    factor, inner = _behind_views(graph, node.input[0])
    shares = graph.maker(inner, "Softmax")
    if shares is None or factor != 1.0 or not _is_over_rows(graph, shares):
        return None
    is_direct = shares.output[0] == node.input[0]
    scores = _scores(graph, shares.input[0], may_have_mask=is_direct)
    if scores is None or not _fits(graph, scores, node):
        return None
    return _fused(graph, node, scores)


def _fused(graph: PatternGraph, node: onnx.NodeProto, scores: _Scores) -> Fused:
    values, turn = node.input[1], scores.turn
    outer = (graph.shape(node.output[0]) or ())[:-2]
    writer = _Writer(graph, node, outer)
    inputs = [
        writer.counted(scores.queries),
        writer.counted(writer.turned_back(turn)),
        writer.counted(values),
    ]
    keys = turn.input[0] if graph.is_private(turn.output[0]) else turn.output[0]
    mask = [scores.mask] if scores.mask else []
    heads = {"q_num_heads": 1, "kv_num_heads": 1} if len(outer) == 1 else {}
    return Fused(
        operator="Attention",
        inputs=(*inputs, *mask),
        attributes={"scale": scores.scale, **heads},
        sources=(scores.queries, keys, values, *mask),
        before=tuple(writer.nodes),
    )


def _is_over_rows(graph: PatternGraph, node: onnx.NodeProto) -> bool:
    rank = len(graph.shape(node.input[0]) or ())
    axis = attribute(node, "axis", -1 if graph.opset >= 13 else 1)
    return rank > 2 and axis in (-1, rank - 1)


def _scores(graph: PatternGraph, tensor: str, *, may_have_mask: bool) -> _Scores | None:
    add = graph.maker(tensor, "Add")
    if add is None:
        return _products(graph, tensor)
    for body, mask in (add.input, reversed(add.input)):
        if may_have_mask and graph.is_private(body):
            found = _products(graph, body, mask)
            if found is not None:
                return found
    return None


def _products(graph: PatternGraph, tensor: str, mask: str = "") -> _Scores | None:
    # A mask is added to scores that are counted as it is.
    factor, inner = _scaled(graph, tensor) if mask else _behind_views(graph, tensor)
    node = graph.maker(inner, "MatMul")
    if node is None:
        return None
    left, queries = _behind_views(graph, node.input[0])
    right, keys = _behind_views(graph, node.input[1])
    turn = graph.maker(keys, "Transpose")
    scale = factor * left * right
    if turn is None or scale <= 0.0:
        return None
    return _Scores(product=node, queries=queries, turn=turn, scale=scale, mask=mask)


def _scaled(graph: PatternGraph, tensor: str) -> tuple[float, str]:
    """What the tensor is multiplied with, and what it is without that."""
    found = as_product(graph, tensor) if graph.is_private(tensor) else None
    if found is None or found.divisors or len(found.tensors) != 1:
        return 1.0, tensor
    return found.factor, found.tensors[0]


def _behind_views(graph: PatternGraph, tensor: str) -> tuple[float, str]:
    """What the tensor is but for a factor and for how all axes but its last two are counted."""
    factor, tensor = _scaled(graph, tensor)
    node = graph.maker(tensor, *_VIEWS)
    while node is not None and graph.is_private(tensor):
        before, after = graph.shape(node.input[0]), graph.shape(tensor)
        if before is None or after is None or before[-2:] != after[-2:]:
            break
        times, tensor = _scaled(graph, node.input[0])
        factor *= times
        node = graph.maker(tensor, *_VIEWS)
    return factor, tensor


def _fits(graph: PatternGraph, scores: _Scores, node: onnx.NodeProto) -> bool:
    """Whether nothing but the mask is broadcast, and the mask has a value for each key."""
    queries, turned = (graph.shape(name) for name in scores.product.input)
    shares, values = (graph.shape(name) for name in node.input)
    if queries is None or turned is None or shares is None or values is None:
        return False
    if len(queries) < 3 or queries[:-2] != turned[:-2] or shares[:-2] != values[:-2]:
        return False
    if not scores.mask:
        return True
    mask = graph.shape(scores.mask)
    if mask is None or not 1 <= len(mask) <= len(shares) or mask[-1] != shares[-1]:
        return False
    # One head of its own for each of a batch: its mask cannot differ from one to the next.
    is_one = all(size == 1 for size in mask[:-2])
    full = (*[1] * (len(shares) - len(mask)), *mask)
    return (is_one or len(shares) == 4) and all(
        size in (1, most) for size, most in zip(full[:-1], shares[:-1], strict=True)
    )


class _Writer:
    """Writes what has to stand before an Attention, and enters the shapes."""

    def __init__(self, graph: PatternGraph, node: onnx.NodeProto, outer: tuple[int, ...]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self._graph = graph
        self._node = node
        self._outer = outer

    def turned_back(self, turn: onnx.NodeProto) -> str:
        """The keys as rows, by a Transpose where they do not lie so."""
        shape = self._graph.shape(turn.output[0]) or ()
        order = list(attribute(turn, "perm", range(len(shape))[::-1]))
        order[-2:] = order[:-3:-1]
        if order == sorted(order):
            return turn.input[0]
        wanted = (*shape[:-2], shape[-1], shape[-2])
        return self._add("Transpose", turn.input, wanted, perm=order)

    def counted(self, tensor: str) -> str:
        """The tensor with batch and heads counted as those of the result are."""
        import numpy as np

        shape = self._graph.shape(tensor) or ()
        wanted = (*self._outer, *shape[-2:])
        if shape == wanted:
            return tensor
        sizes = self._graph.constant_for(self._node, "sizes", np.asarray(wanted, dtype=np.int64))
        return self._add("Reshape", (tensor, sizes), wanted)

    def _add(
        self, operator: str, inputs: Sequence[str], shape: tuple[int, ...], **attributes: Any
    ) -> str:
        from onnx import helper

        word = f"{self._node.name or self._node.output[0]}/{operator.lower()}"
        name = self._graph.new_name(f"{word}_{len(self.nodes)}")
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        self._graph.shapes[name] = shape
        return name
