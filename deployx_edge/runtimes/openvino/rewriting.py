"""What OpenVINO reads otherwise than ONNX means it, written so that it does not.

Each was seen with OpenVINO 2026.4.1, and a test converts models with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deployx_edge.graph.links import opset_of

if TYPE_CHECKING:
    import onnx

_OVER_ROWS = ("Hardmax", "LogSoftmax", "Softmax")
_ONE_AXIS_SINCE = 13  # the opset
_BY_ELEMENTS = {"Add", "Div", "Mul", "Sub"}
_SHIFT = 128  # from int8 to uint8


def rewrite(model: onnx.ModelProto) -> None:
    """Change the model in place; what it computes stays."""
    _drop_empty_inputs(model.graph)
    if opset_of(model) < _ONE_AXIS_SINCE:
        _flatten_softmaxes(model.graph)
    _restore_operands(model.graph)
    _shift_to_unsigned(model.graph)


def _drop_empty_inputs(graph: onnx.GraphProto) -> None:
    """Optional inputs at the end that are named "": it takes them for inputs of unknown rank."""
    for node in graph.node:
        while node.input and not node.input[-1]:
            node.input.pop()


def _flatten_softmaxes(graph: onnx.GraphProto) -> None:
    """Softmax before opset 13 runs over all axes from its own on; it is read as over one.

    x ── Softmax(axis) ── y   ⇒   x ── Flatten(axis) ── Softmax(1) ── Reshape(Shape(x)) ── y
    """
    from onnx import helper

    made = []
    for node in graph.node:
        if node.op_type not in _OVER_ROWS or node.domain:
            made.append(node)
            continue
        axis = next((each.i for each in node.attribute if each.name == "axis"), 1)
        (taken,), (given,) = node.input, node.output
        flat, rows, shape = (f"{given}/{part}" for part in ("flat", "rows", "shape"))
        made += [
            helper.make_node("Flatten", [taken], [flat], name=flat, axis=axis),
            helper.make_node(node.op_type, [flat], [rows], name=node.name, axis=1),
            helper.make_node("Shape", [taken], [shape], name=shape),
            helper.make_node("Reshape", [rows, shape], [given], name=f"{given}/back"),
        ]
    del graph.node[:]
    graph.node.extend(made)


def _restore_operands(graph: onnx.GraphProto) -> None:
    """Quantized constants that are added or multiplied become floats: it refuses them in int8.

    c ── QuantizeLinear ── DequantizeLinear ── Add ┄   ⇒   c' ── Add ┄
    """
    from onnx import numpy_helper

    tensors = {tensor.name: tensor for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    readers: dict[str, set[str]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, set()).add(node.op_type)
    for node in list(graph.node):
        before = makers.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        pair = [node] if before is None else [before, node]
        if (
            node.op_type == "DequantizeLinear"
            and readers.get(node.output[0], {""}) <= _BY_ELEMENTS
            and all(each.op_type.endswith("Linear") for each in pair)
            and pair[0].input[0] in tensors
            and all(name in tensors and not tensors[name].dims for name in _numbers(pair))
        ):
            names = [pair[0].input[0], *_numbers(pair)]
            known = {name: numpy_helper.to_array(tensors[name]) for name in names}
            restored = _restored(pair, known)
            graph.initializer.append(numpy_helper.from_array(restored, node.output[0]))
            graph.node.remove(node)


def _numbers(pair: Sequence[onnx.NodeProto]) -> list[str]:
    """Scales and zero points of nodes."""
    return [name for node in pair for name in node.input[1:]]


def _restored(pair: Sequence[onnx.NodeProto], known: Mapping[str, Any]) -> Any:
    """What Q and DQ of one scale for the whole tensor, or DQ alone, make of a constant."""
    import numpy as np

    values = known[pair[0].input[0]]
    if len(pair) > 1:
        scale, *zero = (known[name] for name in pair[0].input[1:])
        limits = np.iinfo(zero[0].dtype if zero else np.uint8)
        shifted = np.rint(values / scale) + (zero[0].astype(np.float32) if zero else 0)
        values = np.clip(shifted, limits.min, limits.max)
    scale, *zero = (known[name] for name in pair[-1].input[1:])
    counted = values.astype(np.float32) - (zero[0].astype(np.float32) if zero else 0)
    return np.array(counted * scale, dtype=np.float32)


def _shift_to_unsigned(graph: onnx.GraphProto) -> None:
    """Values quantized to int8 are quantized to uint8 instead, which restores the very same values.

    Behind a Concat, or the activation of one, OpenVINO loses the scale of int8: values of -5 ... 5
    became whole numbers. A tensor with other readers than DequantizeLinear stays.
    """
    import numpy as np
    from onnx import numpy_helper

    tensors = {tensor.name: tensor for tensor in graph.initializer}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    results = {value.name for value in graph.output}
    for node in graph.node:
        pair = [node, *readers.get(node.output[0], ())] if node.op_type == "QuantizeLinear" else []
        if not pair or node.output[0] in results or not _is_signed_pair(pair, tensors):
            continue
        for each in pair:
            name = f"{each.input[2]}/unsigned"
            if name not in tensors:
                zero = numpy_helper.to_array(tensors[each.input[2]]).astype(np.int16) + _SHIFT
                tensors[name] = numpy_helper.from_array(np.array(zero, dtype=np.uint8), name)
                graph.initializer.append(tensors[name])
            each.input[2] = name
        # By another name, as it holds other values than the source's.
        node.output[0] = f"{node.output[0]}/unsigned"
        for reader in pair[1:]:
            reader.input[0] = node.output[0]


def _is_signed_pair(
    pair: Sequence[onnx.NodeProto], tensors: Mapping[str, onnx.TensorProto]
) -> bool:
    """Whether a QuantizeLinear and all that reads it have constant zero points of int8."""
    from onnx import TensorProto

    return all(
        len(each.input) > 2
        and each.input[2] in tensors
        and tensors[each.input[2]].data_type == TensorProto.INT8
        for each in pair
    ) and all(each.op_type == "DequantizeLinear" for each in pair[1:])
