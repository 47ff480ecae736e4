"""What the HTP wants otherwise than PPQ writes it; the values stay the very same.

Each was seen with onnxruntime-qnn 2.7.0, and a test converts models with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

# They cut values off and change no others.
CUTTING = ("Clip", "Relu")
_WITH_WEIGHTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def rewrite(model: onnx.ModelProto) -> None:
    """Change the model in place."""
    _quantize_before_cuts(model.graph)


def _quantize_before_cuts(graph: onnx.GraphProto) -> None:
    """A layer is int8 only where a pair follows it at once; cut values are quantized to the same.

    layer ── Relu ── Q(s) ── DQ(s)   ⇒   layer ── Q(s) ── DQ(s) ── Relu ── Q(s) ── DQ(s)
    """
    from onnx import helper

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
        tensor, numbers = node.output[0], list(quantizing[0].input[1:])
        # By other names, as they hold other values than the source's: those are cut off already.
        node.output[0], quantized, restored = (f"{tensor}/{e}" for e in ("float", "codes", "cut"))
        after[0].input[0] = restored
        for operator, taken, given in (
            ("QuantizeLinear", node.output[0], quantized),
            ("DequantizeLinear", quantized, restored),
        ):
            made.append(
                helper.make_node(
                    operator,
                    [taken, *numbers],
                    [given],
                    name=f"{given}/{operator}",
                    domain=quantizing[0].domain,
                )
            )
    del graph.node[:]
    graph.node.extend(made)
