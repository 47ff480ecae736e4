"""What a model is made of: operators, parameters, multiply-accumulates."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deployx_edge.graph.links import OWN_DOMAINS
from deployx_edge.sources.onnx.canonical import CanonicalModel
from deployx_edge.sources.onnx.file import SourceTensor
from deployx_edge.sources.onnx.value_ranges import WideTensor

if TYPE_CHECKING:
    import onnx

Shapes = Mapping[str, tuple[int, ...]]

# Where the weights, or what stands for them, are among a node's inputs.
_WEIGHTS = {
    "Attention": 1,
    "Conv": 1,
    "ConvInteger": 1,
    "ConvTranspose": 1,
    "DeformConv": 1,
    "GRU": 1,
    "Gemm": 1,
    "LSTM": 1,
    "MatMul": 1,
    "MatMulInteger": 1,
    "QLinearConv": 3,
    "QLinearMatMul": 3,
    "RNN": 1,
}
# What these multiply is in a graph of their own, or in their equation.
_UNKNOWN = frozenset({"DFT", "Einsum", "If", "Loop", "STFT", "Scan", "SequenceMap"})


@dataclass(frozen=True, kw_only=True)
class RefusedNode:
    """A node that a runtime cannot run, and why."""

    node: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class OperatorUse:
    """How often a model holds an operator, and what that computes.

    ``macs`` are multiply-accumulates of one run, None where they are not known; ``refused`` the
    nodes of it by runtime.
    ``rewritten``: the file has it, the canonical model not: it was folded into constants or
    its neighbours, or a pass wrote it as other operators.
    """

    operator: str
    count: int
    macs: int | None
    refused: Mapping[str, tuple[RefusedNode, ...]] = field(default_factory=dict)
    rewritten: bool = False


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What can be said of a model before anything is converted.

    ``nodes`` counts those of the file; ``operators`` are those of the canonical model, the
    costliest first, and behind them those that it was rewritten from. ``parameters`` counts
    the elements of float constants. ``refused`` says by runtime why it cannot have the model
    at all, or nothing; ``wide`` are tensors beyond fp16's range; ``passes`` are those that
    found something to do for a runtime, with the number of places. ``presets`` says of each
    family of models what speaks against this being one, or nothing. ``own`` are by runtime the
    operators of our own (``ops/``) that it would run the model by.
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
    passes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    presets: Mapping[str, str] = field(default_factory=dict)
    own: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def macs(self) -> int | None:
        """Multiply-accumulates of one run; None where those of an operator are not known."""
        return _total(use.macs for use in self.operators)


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
    macs: dict[str, list[int | None]] = {}
    for node in graph.node:
        macs.setdefault(node.op_type, []).append(count_macs(node, shapes))
    uses = [
        OperatorUse(operator=operator, count=len(counts), macs=_total(counts))
        for operator, counts in macs.items()
    ]
    return tuple(sorted(uses, key=lambda use: (-(use.macs or 0), -use.count, use.operator)))


def _total(counts: Iterable[int | None]) -> int | None:
    """The sum, None where a part of it is not known."""
    total = 0
    for count in counts:
        if count is None:
            return None
        total += count
    return total


def count_macs(node: onnx.NodeProto, shapes: Shapes) -> int | None:
    """Multiply-accumulates of a node; 0 for what only adds, compares or moves.

    A convolution takes (channels / group × kernel) for each element of its output, a
    transposed one for each element of its input, a product of matrices its inner size for
    each element of its output, an attention twice the number of its keys for each element of
    its queries. None where that is not known: a shape is not, or what the node holds or does.
    """
    if node.domain not in OWN_DOMAINS or node.op_type in _UNKNOWN:
        return None
    if node.op_type not in _WEIGHTS:
        return 0
    names = [*node.input, *node.output]
    if any(name and name not in shapes for name in names):
        return None
    return _known_macs(node, shapes)


def _known_macs(node: onnx.NodeProto, shapes: Shapes) -> int:
    first, second = (shapes[node.input[index]] for index in (0, _WEIGHTS[node.op_type]))
    result = shapes[next(filter(None, node.output))]
    if node.op_type == "ConvTranspose":
        return math.prod(first) * math.prod(second[1:])
    if node.op_type.endswith(("Conv", "ConvInteger")):
        return math.prod(result) * math.prod(second[1:])
    if node.op_type == "Attention":
        # Scores of every query by every key, and their sums of the values.
        keys = second[-2] if len(second) > 2 else 0
        return (math.prod(first) + math.prod(shapes[node.output[0]])) * keys
    if node.op_type in ("LSTM", "GRU", "RNN"):
        steps, batch, _ = first
        return steps * batch * (math.prod(second) + math.prod(shapes[node.input[2]]))
    transposed = any(entry.name == "transA" and entry.i for entry in node.attribute)
    return math.prod(result) * first[0 if transposed else -1]
