"""Which tensors of a graph hold whole numbers or truth values.

ncnn has floats only. In fp32 they hold whole numbers exactly up to 2^24, so these tensors travel as
floats: through layers that stay fp32, and through operators that are exact on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from deployx_edge.graph.links import OWN_DOMAINS
from deployx_edge.operator_facts import find_operator

if TYPE_CHECKING:
    import onnx

WHOLE, TRUTH = "whole", "truth"
# Those of ncnn's own layers that hand such values on, or compute the same with floats.
EXACT = frozenset(
    {
        "Abs",
        "Add",
        "Cast",
        "Concat",
        "DepthToSpace",
        "Dropout",
        "Expand",
        "Flatten",
        "Gather",
        "GatherND",
        "Identity",
        "Max",
        "Min",
        "Mul",
        "Neg",
        "NonMaxSuppression",
        "Pad",
        "ReduceMax",
        "ReduceMin",
        "ReduceSum",
        "Reshape",
        "Sign",
        "Slice",
        "SpaceToDepth",
        "Split",
        "Squeeze",
        "Sub",
        "Tile",
        "Transpose",
        "Unsqueeze",
        "Where",
    }
)
_TYPES = {"bool": TRUTH, **dict.fromkeys(("int64", "int32"), WHOLE)}


def find_kinds(model: onnx.ModelProto, given: Mapping[str, str]) -> dict[str, str]:
    """WHOLE or TRUTH for each tensor that is such; ``given`` are those of constants."""
    opset = next((each.version for each in model.opset_import if each.domain in OWN_DOMAINS), 1)
    kinds = {tensor: kind for tensor, kind in given.items() if kind}
    for node in model.graph.node:
        for tensor, kind in zip(node.output, _made(node, kinds, opset), strict=False):
            if tensor and kind:
                kinds[tensor] = kind
    return kinds


def kind_of_type(name: str) -> str:
    """Of an element type as NumPy writes it."""
    if name == "bool":
        return TRUTH
    return WHOLE if name.startswith(("int", "uint")) else ""


def _made(node: onnx.NodeProto, kinds: Mapping[str, str], opset: int) -> Iterable[str]:
    """The kinds of the node's outputs, "" for floats."""
    import onnx

    if node.op_type == "Cast":
        to = next((each.i for each in node.attribute if each.name == "to"), onnx.TensorProto.FLOAT)
        return [kind_of_type(str(onnx.helper.tensor_dtype_to_np_dtype(to)))]
    facts = find_operator(node.domain, node.op_type)
    if facts is not None:
        types = [port.type for port in facts.inputs]
        outputs = [port.type for port in facts.outputs]
        return [_by_type(node, kinds, types, each) for each in outputs]
    if node.domain not in OWN_DOMAINS or not onnx.defs.has(node.op_type, domain=""):
        return [""] * len(node.output)
    try:
        schema = onnx.defs.get_schema(node.op_type, max(opset, 1), "")
    except onnx.defs.SchemaError:  # newer than the model's opset, as fusions write them
        schema = onnx.defs.get_schema(node.op_type)
    types = [port.type_str for port in schema.inputs]
    outputs = [port.type_str for port in schema.outputs]
    outputs += outputs[-1:] * (len(node.output) - len(outputs))  # the last may be any number
    return [_by_type(node, kinds, types, each) for each in outputs]


def _by_type(node: onnx.NodeProto, kinds: Mapping[str, str], types: list[str], made: str) -> str:
    """The kind of an output of that type: its own, or that of the inputs of the same type."""
    name = made.removeprefix("tensor(").removesuffix(")")
    if name in _TYPES or made.startswith("tensor("):
        return _TYPES.get(name, kind_of_type(name))
    for place, tensor in enumerate(node.input):
        if tensor in kinds and types[min(place, len(types) - 1)] == made:
            return kinds[tensor]
    return ""
