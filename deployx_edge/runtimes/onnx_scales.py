"""Scales of quantized tensors as runtimes that read ONNX want them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployx_edge.graph.subgraphs import tensors_read

if TYPE_CHECKING:
    import onnx

_PAIR = ("QuantizeLinear", "DequantizeLinear")


def write_as_scalars(model: onnx.ModelProto) -> None:
    """Scales and zero points of one element lose their axis; what they mean stays.

    Other tools write them as a row of one. ONNX Runtime joins such nodes to operators of its own,
    of which QLinearAdd and QLinearMul refuse a scale with an axis.
    """
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type not in _PAIR:
            continue
        found = [constants.get(name) for name in node.input[1:]]
        if not found or any(each is None or list(each.dims) != [1] for each in found):
            continue
        for place, tensor in enumerate(found, start=1):
            assert tensor is not None
            name = f"{tensor.name}/scalar"
            if name not in constants:
                scalar = numpy_helper.from_array(numpy_helper.to_array(tensor).reshape(()), name)
                constants[name] = scalar
                model.graph.initializer.append(scalar)
            node.input[place] = name
        kept = [each for each in node.attribute if each.name != "axis"]
        del node.attribute[:]
        node.attribute.extend(kept)
    _drop_unread(model)


def _drop_unread(model: onnx.ModelProto) -> None:
    """Rows of one that nobody reads any more."""
    rows = {t.name for t in model.graph.initializer if list(t.dims) == [1]}
    read = {name for node in model.graph.node for name in tensors_read(node)}
    read |= {value.name for value in model.graph.output}
    kept = [t for t in model.graph.initializer if t.name in read or t.name not in rows]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
