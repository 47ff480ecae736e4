"""What a model is made of: operators, parameters, multiply-accumulates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deployx_edge.sources.canonical import CanonicalModel
from deployx_edge.sources.magnitudes import WideTensor
from deployx_edge.sources.onnx_file import SourceTensor

if TYPE_CHECKING:
    import onnx

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class RefusedNode:
    """A node that a runtime cannot run, and why."""

    node: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class OperatorUse:
    """How often a model holds an operator, and what that computes.

    ``macs`` are multiply-accumulates of one run; ``refused`` the nodes of it by runtime.
    ``rewritten``: the file has it, the canonical model not: it was folded into constants or
    its neighbours, or a pass wrote it as other operators.
    """

    operator: str
    count: int
    macs: int
    refused: Mapping[str, tuple[RefusedNode, ...]] = field(default_factory=dict)
    rewritten: bool = False


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What can be said of a model before anything is converted.

    ``nodes`` counts those of the file; ``operators`` are those of the canonical model, the
    costliest first, and behind them those that it was rewritten from. ``parameters`` counts
    the elements of float constants. ``refused`` says by runtime why it cannot have the model
    at all, or nothing; ``wide`` are tensors beyond fp16's range; ``passes`` are those that
    found something to do on the way to ncnn, with the number of places.
    """

    name: str
    opset: int
    nodes: int
    inputs: tuple[SourceTensor, ...]
    outputs: tuple[SourceTensor, ...]
    parameters: int
    operators: tuple[OperatorUse, ...]
    refused: Mapping[str, str] = field(default_factory=dict)
    wide: tuple[WideTensor, ...] = ()
    passes: Mapping[str, int] = field(default_factory=dict)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one run."""
        return sum(use.macs for use in self.operators)


def count_parameters(canonical: CanonicalModel) -> int:
    """The elements of all float constants of the model."""
    import onnx

    floats = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE}
    tensors = canonical.model.graph.initializer
    return sum(math.prod(tensor.dims) for tensor in tensors if tensor.data_type in floats)


def operator_uses(canonical: CanonicalModel) -> tuple[OperatorUse, ...]:
    """Operators with their number and multiply-accumulates, the costliest first."""
    graph = canonical.model.graph
    shapes = dict(canonical.shapes)
    shapes.update({tensor.name: tuple(tensor.dims) for tensor in graph.initializer})
    counts: dict[str, int] = {}
    macs: dict[str, int] = {}
    for node in graph.node:
        counts[node.op_type] = counts.get(node.op_type, 0) + 1
        macs[node.op_type] = macs.get(node.op_type, 0) + count_macs(node, shapes)
    uses = [
        OperatorUse(operator=operator, count=count, macs=macs[operator])
        for operator, count in counts.items()
    ]
    return tuple(sorted(uses, key=lambda use: (-use.macs, -use.count, use.operator)))


def count_macs(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Multiply-accumulates of a node; 0 for what only adds, compares or moves.

    A convolution takes (channels / group × kernel) for each element of its output, a
    transposed one for each element of its input, a product of matrices its inner size for
    each element of its output, an attention twice the number of its keys for each element of
    its queries. 0 where a shape is not known.
    """
    names = [*node.input, *node.output]
    if any(name and name not in shapes for name in names):
        return 0
    if node.op_type == "Conv":
        return math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:])
    if node.op_type == "ConvTranspose":
        return math.prod(shapes[node.input[0]]) * math.prod(shapes[node.input[1]][1:])
    if node.op_type in ("MatMul", "Gemm"):
        transposed = any(entry.name == "transA" and entry.i for entry in node.attribute)
        inner = shapes[node.input[0]][0 if transposed else -1]
        return math.prod(shapes[node.output[0]]) * inner
    if node.op_type == "Attention":
        # Scores of every query by every key, and their sums of the values.
        keys = shapes[node.input[1]][-2] if len(shapes[node.input[1]]) > 2 else 0
        queries, values = shapes[node.input[0]], shapes[node.output[0]]
        return (math.prod(queries) + math.prod(values)) * keys
    if node.op_type in ("LSTM", "GRU", "RNN"):
        steps, batch, _ = shapes[node.input[0]]
        weights = math.prod(shapes[node.input[1]]) + math.prod(shapes[node.input[2]])
        return steps * batch * weights
    return 0
