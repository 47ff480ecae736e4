"""What the HTP wants otherwise than PPQ writes it; the values stay the very same.

Each was seen with onnxruntime-qnn 2.7.0, and a test converts models with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

# They cut values off and change no others.
CUTTING = ("Clip", "Relu")
_MOVING = (
    *("DepthToSpace", "Flatten", "MaxPool", "Reshape", "Slice"),
    *("SpaceToDepth", "Squeeze", "Transpose", "Unsqueeze"),
)
_WITH_WEIGHTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def rewrite(model: onnx.ModelProto) -> None:
    """Change the model in place."""
    _quantize_before_cuts(model.graph)
    _quantize_behind_moves(model.graph)


def _quantize_before_cuts(graph: onnx.GraphProto) -> None:
    """A layer is int8 only where a pair follows it at once; cut values are quantized to the same.

    layer ── Relu ── Q(s) ── DQ(s)   ⇒   layer ── Q(s) ── DQ(s) ── Relu ── Q(s) ── DQ(s)
    """
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    results = {value.name for value in graph.output}
    made = []
    for node in graph.node:
        made.append(node)
        after = readers.get(node.output[0], []) if node.op_type in _WITH_WEIGHTS else []
        if len(after) != 1 or after[0].op_type not in CUTTING or node.output[0] in results:
            continue
        quantizing = readers.get(after[0].output[0], [])
        if {each.op_type for each in quantizing} != {"QuantizeLinear"}:
            continue
        tensor = node.output[0]
        # By other names, as they hold other values than the source's: those are cut off already.
        node.output[0], quantized, restored = (f"{tensor}/{e}" for e in ("float", "codes", "cut"))
        after[0].input[0] = restored
        made += _pair(quantizing[0], node.output[0], quantized, restored)
    del graph.node[:]
    graph.node.extend(made)


def _quantize_behind_moves(graph: onnx.GraphProto) -> None:
    """What only moves quantized values hands them on as such, so that layers behind it are int8.

    DQ(s) ── Flatten ── Gemm   ⇒   DQ(s) ── Flatten ── Q(s) ── DQ(s) ── Gemm
    """
    makers = {name: node for node in graph.node for name in node.output}
    quantized = {node.input[0] for node in graph.node if node.op_type == "QuantizeLinear"}
    made = []
    for node in graph.node:
        made.append(node)
        before = makers.get(node.input[0]) if node.op_type in _MOVING else None
        if before is None or before.op_type != "DequantizeLinear" or len(before.input) < 3:
            continue
        if len(node.output) != 1 or node.output[0] in quantized or _has_axis(before, graph):
            continue
        tensor = node.output[0]
        node.output[0] = f"{tensor}/moved"
        made += _pair(before, node.output[0], f"{tensor}/codes", tensor)
        makers[tensor] = made[-1]
    del graph.node[:]
    graph.node.extend(made)


def _has_axis(node: onnx.NodeProto, graph: onnx.GraphProto) -> bool:
    """Whether it has a scale for each slice."""
    return any(each.name == node.input[1] and each.dims for each in graph.initializer)


def _pair(like: onnx.NodeProto, tensor: str, quantized: str, restored: str) -> list[onnx.NodeProto]:
    """QuantizeLinear and DequantizeLinear with the numbers of another such node."""
    from onnx import helper

    return [
        helper.make_node(
            operator,
            [taken, *like.input[1:]],
            [given],
            name=f"{given}/{operator}",
            domain=like.domain,
        )
        for operator, taken, given in (
            ("QuantizeLinear", tensor, quantized),
            ("DequantizeLinear", quantized, restored),
        )
    ]
