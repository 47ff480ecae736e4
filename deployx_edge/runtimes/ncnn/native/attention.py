"""Attention, which ncnn calls SDPA."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployx_edge.model import format_shape
from deployx_edge.runtimes.ncnn.native.axes import aligned
from deployx_edge.runtimes.ncnn.native.graph import Graph, Node, RefusedError
from deployx_edge.runtimes.ncnn.native.graph_builder import GraphBuilder, Parameter
from deployx_edge.runtimes.ncnn.native.permutation import permute_order
from deployx_edge.runtimes.ncnn.native.table import writes

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MUL = 2  # BinaryOp
_MASKED, _SCALE = 5, 6  # SDPA's parameters
_MASK = 3  # where the mask stands among the inputs
_EXCHANGED = (1, 0, 2)  # heads before rows, or rows before heads


@dataclass(frozen=True, kw_only=True)
class _Sizes:
    """How many samples, heads and groups of them, rows of queries and of keys; their widths.

    ``apart``: the heads have an axis of their own, before the rows.
    """

    batch: int
    heads: int
    groups: int
    queries: int
    keys: int
    size: int
    width: int
    apart: bool


@writes("Attention")
def attention(builder: GraphBuilder, node: Node) -> None:
    """SDPA; heads beside each other are first put one behind the other.

    Where there is a mask the queries are scaled before: ncnn would else divide the mask by the
    scale in between, which can overflow.
    """
    _refuse_forms(builder.graph, node)
    sizes = _sizes(builder.graph, node)
    mask = _mask(builder, node, sizes)
    scale = node.number("scale", 1.0 / math.sqrt(sizes.size))
    queries = _heads(builder, node, 0, (sizes.heads, sizes.queries, sizes.size), sizes)
    keys = _heads(builder, node, 1, (sizes.groups, sizes.keys, sizes.size), sizes)
    values = _heads(builder, node, 2, (sizes.groups, sizes.keys, sizes.width), sizes)
    if mask or scale == 0.0:
        queries = builder.step("BinaryOp", node, (queries,), {0: _MUL, 1: 1, 2: scale})
        scale = 1.0
    bottoms = (queries, keys, values, mask) if mask else (queries, keys, values)
    params: dict[int, Parameter] = {_MASKED: int(bool(mask)), _SCALE: scale}
    output = node.outputs[0]
    if sizes.apart or sizes.heads == 1:
        dims = (sizes.batch * sizes.heads, sizes.queries, sizes.width)
        builder.add("SDPA", node, bottoms, {output: dims}, params)
        return
    blob = builder.step("SDPA", node, bottoms, params)
    if sizes.batch > 1:
        blob = builder.reshape(node, blob, (sizes.batch, sizes.heads, sizes.queries, sizes.width))
    top = {output: _with_batch(sizes, (sizes.queries, sizes.heads, sizes.width))}
    builder.add("Permute", node, (blob,), top, {0: _exchange(sizes)})


def _refuse_forms(graph: Graph, node: Node) -> None:
    """What SDPA cannot do, or does otherwise."""
    if any(node.input(index) for index in (4, 5, 6)):
        raise RefusedError("it goes on from past keys, or has as many as an input says")
    if any(name and graph.is_used(name) for name in node.outputs[1:]):
        raise RefusedError("it also gives its keys, values or scores")
    if node.number("softcap", 0.0) != 0.0:
        raise RefusedError("it bounds its scores (softcap)")


def _sizes(graph: Graph, node: Node) -> _Sizes:
    queries, keys, values = (graph.shape(node.input(index)) for index in range(3))
    if len(queries) == 4:
        found = _Sizes(
            batch=queries[0],
            heads=queries[1],
            groups=keys[1],
            queries=queries[2],
            keys=keys[2],
            size=queries[3],
            width=values[3],
            apart=True,
        )
    else:
        heads, groups = node.integer("q_num_heads", 1), node.integer("kv_num_heads", 1)
        found = _Sizes(
            batch=queries[0],
            heads=heads,
            groups=groups,
            queries=queries[1],
            keys=keys[1],
            size=queries[2] // heads,
            width=values[2] // groups,
            apart=False,
        )
    if found.heads % found.groups:
        raise RefusedError(f"its {found.heads} heads are not a multiple of {found.groups}")
    return found


def _heads(
    builder: GraphBuilder, node: Node, index: int, dims: tuple[int, int, int], sizes: _Sizes
) -> str:
    """An operand as (batch × heads, rows, size)."""
    heads, rows, size = dims
    joined = (sizes.batch * heads, rows, size)
    tensor = node.input(index)
    if sizes.apart or heads == 1:
        return builder.take(tensor, joined)
    blob = builder.take(tensor, _with_batch(sizes, (rows, heads, size)))
    blob = builder.step("Permute", node, (blob,), {0: _exchange(sizes)})
    return blob if sizes.batch == 1 else builder.reshape(node, blob, joined)


def _with_batch(sizes: _Sizes, dims: tuple[int, ...]) -> tuple[int, ...]:
    return dims if sizes.batch == 1 else (sizes.batch, *dims)


def _exchange(sizes: _Sizes) -> int:
    """Permute's order that exchanges rows and heads."""
    if sizes.batch == 1:
        return permute_order(_EXCHANGED)
    return permute_order((0, *(place + 1 for place in _EXCHANGED)))


def _mask(builder: GraphBuilder, node: Node, sizes: _Sizes) -> str:
    """What is added to the scores, as (1 or batch × heads, queries, keys); "" for nothing."""
    tensor = node.input(_MASK)
    if node.integer("is_causal", 0):
        return builder.memory(node, _causal(builder.graph, node, sizes))
    if not tensor:
        return ""
    shape = _mask_shape(builder.graph, tensor, sizes)
    values = builder.graph.constants.get(tensor)
    if values is not None and values.dtype.kind == "b":
        blob = builder.memory(node, _added(values).reshape(_three(shape)))
    else:
        blob = builder.take(tensor, _three(shape))
    return _repeated(builder, node, blob, shape, sizes)


def _mask_shape(graph: Graph, tensor: str, sizes: _Sizes) -> tuple[int, ...]:
    found = graph.shape(tensor)
    wanted = (sizes.batch, sizes.heads, sizes.queries)
    shape = aligned(found, 4)
    fits = all(size in (1, most) for size, most in zip(shape, wanted, strict=False))
    if len(found) > 4 or shape[3] != sizes.keys or not fits:
        raise RefusedError(f"its mask {format_shape(found)} has not one value a key")
    return shape


def _three(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[0] * shape[1], *shape[2:])


def _repeated(
    builder: GraphBuilder, node: Node, blob: str, shape: tuple[int, ...], sizes: _Sizes
) -> str:
    """The mask with all its rows, and for all heads or for none of its own."""
    batch, heads = shape[:2]
    if batch * heads == 1:
        batch, heads = sizes.batch, sizes.heads
    repeats = (sizes.batch // batch, sizes.heads // heads, sizes.queries // shape[2], 1)
    if repeats == (1, 1, 1, 1):
        return blob
    if repeats[:2] == (1, 1):
        return builder.step("Tile", node, (blob,), {2: repeats[1:]})
    blob = builder.reshape(node, blob, shape)
    blob = builder.step("Tile", node, (blob,), {2: repeats})
    return builder.reshape(node, blob, (sizes.batch * sizes.heads, sizes.queries, sizes.keys))


def _causal(graph: Graph, node: Node, sizes: _Sizes) -> NDArray[Any]:
    """A mask that hides the keys behind each query, and what a constant mask hides."""
    import numpy as np

    if sizes.queries != sizes.keys:
        raise RefusedError(f"it is causal with {sizes.queries} queries and {sizes.keys} keys")
    seen = np.tril(np.ones((1, sizes.queries, sizes.keys), dtype=np.bool_))
    tensor = node.input(_MASK)
    if not tensor:
        return _added(seen)
    shape = _mask_shape(graph, tensor, sizes)
    if shape[:2] != (1, 1):
        raise RefusedError("it is causal, and its mask differs by head")
    values = graph.constant(tensor, "mask").reshape(shape[1:])
    added = _added(values) if values.dtype.kind == "b" else values.astype(np.float32)
    hidden: NDArray[Any] = np.where(seen, added, np.float32(-np.inf))
    return hidden


def _added(seen: NDArray[Any]) -> NDArray[Any]:
    """0 where something is seen, minus infinity elsewhere."""
    import numpy as np

    added: NDArray[Any] = np.where(seen, np.float32(0.0), np.float32(-np.inf))
    return added
