"""Gemm and MatMul."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deployx_edge.model import MAX_RUNTIME_DIMS, format_shape
from deployx_edge.runtimes.ncnn.native.axes import Dims, aligned, spread
from deployx_edge.runtimes.ncnn.native.graph import Graph, Node, RefusedError
from deployx_edge.runtimes.ncnn.native.graph_builder import GraphBuilder, Parameter, Weight
from deployx_edge.runtimes.ncnn.native.table import writes

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PER_COLUMN = 4  # Gemm: C has one value a column
_NO_C = -1
_TRANSPOSED = 1  # Permute's order that exchanges two dimensions
_ADD, _MUL = 0, 2
_COUNTED_OTHERWISE = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity")


@writes("Einsum")
def einsum(builder: GraphBuilder, node: Node) -> None:
    """None: the pass ``einsum`` writes every equation as what ncnn has."""
    raise RefusedError(
        f"its equation '{node.text('equation', '')}' names an index of the result twice or not at "
        "all in its operands, or one for axes of different sizes; write it as products and sums"
    )


@writes("Gemm")
def gemm(builder: GraphBuilder, node: Node) -> None:
    """InnerProduct or Gemm where B is constant, else MatMul with what belongs to it."""
    import numpy as np

    graph = builder.graph
    right = graph.constants.get(node.input(1))
    bias = _bias_of_gemm(graph, node)
    if right is None or node.integer("transA", 0) or (node.input(2) and bias is None):
        _gemm_of_tensors(builder, node)
        return
    weight = np.asarray(right, dtype=np.float32)
    by_output = weight if node.integer("transB", 0) else weight.T
    by_output = by_output * np.float32(node.number("alpha", 1.0))
    inner_product(builder, node, by_output, bias, node.outputs[0])


def _bias_of_gemm(graph: Graph, node: Node) -> NDArray[Any] | None:
    """One constant a column, where that is what C says."""
    import numpy as np

    values = graph.constants.get(node.input(2))
    if values is None:
        return None
    scaled = np.asarray(values, dtype=np.float32) * np.float32(node.number("beta", 1.0))
    full = spread(scaled, graph.shape(node.outputs[0]))
    return np.ascontiguousarray(full[0]) if (full == full[:1]).all() else None


@writes("MatMul")
def matmul(builder: GraphBuilder, node: Node) -> None:
    """With a constant matrix on the right InnerProduct or Gemm, else MatMul."""
    import numpy as np

    graph = builder.graph
    right = graph.constants.get(node.input(1))
    if right is None or right.ndim != 2:
        _matmul(builder, node)
        return
    bias, tensor = _bias_behind(builder, node, right.shape[1])
    by_output = np.ascontiguousarray(right.T, dtype=np.float32)
    inner_product(builder, node, by_output, bias, tensor)


def inner_product(
    builder: GraphBuilder, node: Node, weight: NDArray[Any], bias: NDArray[Any] | None, tensor: str
) -> None:
    """y = x W^T + b for every row x; ``weight`` is (outputs, inputs)."""
    weight, bias, tensor = _with_norm_behind(builder, weight, bias, tensor)
    shape = builder.graph.shape(node.input(0))
    outputs, inputs = weight.shape
    rows = math.prod(shape) // inputs
    weights = [Weight(values=weight.reshape(-1), tagged=True)]
    if rows == 1:
        bottom = builder.take(node.input(0), (inputs,))
        tensor, activation = builder.fused_activation(tensor)
        params: dict[int, Parameter] = {
            0: outputs,
            1: int(bias is not None),
            2: weight.size,
            **activation,
        }
        if bias is not None:
            weights.append(Weight(values=bias))
        builder.add("InnerProduct", node, (bottom,), {tensor: (outputs,)}, params, weights)
        return
    bottom = builder.take(node.input(0), (rows, inputs))
    params = {
        2: 0,
        3: 1,
        4: 0,
        5: 1,
        6: 1,
        7: 0,
        8: outputs,
        9: inputs,
        10: _NO_C if bias is None else _PER_COLUMN,
    }
    if bias is not None:
        weights.append(Weight(values=bias, tagged=True))
    builder.add("Gemm", node, (bottom,), {tensor: (rows, outputs)}, params, weights)


def _bias_behind(
    builder: GraphBuilder, node: Node, columns: int
) -> tuple[NDArray[Any] | None, str]:
    """The constant that the only consumer adds to every row, and the tensor that comes out."""
    import numpy as np

    graph = builder.graph
    tensor = node.outputs[0]
    consumer = graph.sole_consumer(tensor)
    if consumer is None or consumer.operator != "Add":
        return None, tensor
    other = next(name for name in consumer.inputs if name != tensor)
    values = graph.constants.get(other)
    if values is None or values.size not in (1, columns):
        return None, tensor
    if values.size > 1 and values.shape[-1:] != (columns,):
        return None, tensor
    if math.prod(graph.shape(consumer.outputs[0])) != math.prod(graph.shape(tensor)):
        return None, tensor
    builder.absorbed.add(consumer.name)
    return np.resize(values, columns), consumer.outputs[0]


def _with_norm_behind(
    builder: GraphBuilder, weight: NDArray[Any], bias: NDArray[Any] | None, tensor: str
) -> tuple[NDArray[Any], NDArray[Any] | None, str]:
    """Weight and bias with the batch norm of the columns in them, and what comes out of that.

    The rows may be counted otherwise in between, as batch norms know no tokens.
    """
    import numpy as np

    graph = builder.graph
    passed = []
    made, consumer = tensor, graph.sole_consumer(tensor)
    while consumer is not None and consumer.operator in _COUNTED_OTHERWISE:
        passed.append(consumer.name)
        made = consumer.outputs[0]
        if graph.shape(made)[-1:] != weight.shape[:1]:
            return weight, bias, tensor
        consumer = graph.sole_consumer(made)
    is_norm = consumer is not None and consumer.operator == "BatchNormalization"
    if consumer is None or not is_norm or len(graph.shape(made)) != 2:
        return weight, bias, tensor
    values = [graph.constants.get(name) for name in consumer.inputs[1:5]]
    if any(value is None for value in values):
        return weight, bias, tensor
    scale, shift, mean, variance = (np.asarray(value, dtype=np.float64) for value in values)
    factor = scale / np.sqrt(variance + consumer.number("epsilon", 1e-5))
    before = np.zeros_like(mean) if bias is None else bias
    builder.absorbed.update((*passed, consumer.name))
    return (
        np.asarray(weight * factor[:, np.newaxis], dtype=np.float32),
        np.asarray((before - mean) * factor + shift, dtype=np.float32),
        consumer.outputs[0],
    )


def _gemm_of_tensors(builder: GraphBuilder, node: Node) -> None:
    graph = builder.graph
    rows, columns = graph.shape(node.outputs[0])
    transposed = node.integer("transB", 0)
    left = builder.take(node.input(0), graph.shape(node.input(0)))
    if node.integer("transA", 0):
        left = builder.step("Permute", node, (left,), {0: _TRANSPOSED})
    right = builder.take(node.input(1), graph.shape(node.input(1)))
    blob = builder.step("MatMul", node, (left, right), {0: transposed})
    if node.number("alpha", 1.0) != 1.0:
        blob = builder.step(
            "BinaryOp", node, (blob,), {0: _MUL, 1: 1, 2: node.number("alpha", 1.0)}
        )
    if not node.input(2):
        builder.view_of_blob(node.outputs[0], blob, (rows, columns))
        return
    added = builder.take(node.input(2), aligned(graph.shape(node.input(2)), 2))
    if node.number("beta", 1.0) != 1.0:
        factor = node.number("beta", 1.0)
        added = builder.step("BinaryOp", node, (added,), {0: _MUL, 1: 1, 2: factor})
    top = {node.outputs[0]: (rows, columns)}
    builder.add("BinaryOp", node, (blob, added), top, {0: _ADD})


def _matmul(builder: GraphBuilder, node: Node) -> None:
    """Two tensors, of which all axes but the last two are broadcast."""
    graph = builder.graph
    left, right = graph.shape(node.input(0)), graph.shape(node.input(1))
    if len(left) == 1:
        left = (1, *left)
    if len(right) == 1:
        right = (*right, 1)
    batch = _common_batch(left[:-2], right[:-2])
    if batch is None:
        raise RefusedError(
            f"its operands {format_shape(left)} and {format_shape(right)} broadcast along more "
            f"than {MAX_RUNTIME_DIMS - 2} axes"
        )
    first, second = (*batch[0], *left[-2:]), (*batch[1], *right[-2:])
    bottoms = (builder.take(node.input(0), first), builder.take(node.input(1), second))
    outer = tuple(max(a, b) for a, b in zip(*batch, strict=True))
    top = {node.outputs[0]: (*outer, left[-2], right[-1])}
    builder.add("MatMul", node, bottoms, top, {0: 0})


def _common_batch(left: Sequence[int], right: Sequence[int]) -> tuple[Dims, Dims] | None:
    """The outer axes of both, of equal number and with equal neighbours taken together."""
    rank = max(len(left), len(right))
    pairs = [
        pair
        for pair in zip(aligned(left, rank), aligned(right, rank), strict=True)
        if pair != (1, 1)
    ]
    joined: list[tuple[int, int]] = []
    for a, b in pairs:
        if joined and joined[-1][0] == joined[-1][1] and a == b:
            joined[-1] = (joined[-1][0] * a, joined[-1][1] * b)
        else:
            joined.append((a, b))
    if len(joined) > MAX_RUNTIME_DIMS - 2:
        return None
    return tuple(a for a, _ in joined), tuple(b for _, b in joined)
