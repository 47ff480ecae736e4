"""What TensorRT takes of models that come quantized: 8 bits and fewer, with zero points of 0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deployx_edge.errors import ModelError

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray


def refuse_zero_points(name: str, model: onnx.ModelProto) -> None:
    """ModelError where the model of that name is quantized with a zero point that is not 0."""
    from onnx import numpy_helper

    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    shifted = [
        node.name or node.output[0]
        for node in model.graph.node
        if node.op_type in ("QuantizeLinear", "DequantizeLinear")
        and any(numpy_helper.to_array(tensors[z]).any() for z in node.input[2:] if z in tensors)
    ]
    if shifted:
        more = f" and {len(shifted) - 1} more" if shifted[1:] else ""
        raise ModelError(
            f"{name} is quantized with zero points that are not 0 (node '{shifted[0]}'{more}); "
            "TensorRT computes none but 0.",
            remedy="Quantize the model in floats for it: deployx-edge quantize MODEL --runtime "
            "tensorrt.",
        )


def restore_wide(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with constants of 32 bits that are dequantized written as the floats that they
    stand for; the same where there are none. Other tools write biases so.

    What it computes stays: ``(value - zero point) * scale``, as ONNX defines it.
    """
    import onnx
    from onnx import numpy_helper

    if not _wide(model.graph):
        return model
    restored_model = onnx.ModelProto()
    restored_model.CopyFrom(model)
    graph = restored_model.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in _wide(graph):
        values, scale, *zero = (numpy_helper.to_array(tensors[name]) for name in node.input)
        axis = next((each.i for each in node.attribute if each.name == "axis"), 1)
        restored = _along(values.astype(scale.dtype), axis, scale, *zero)
        graph.initializer.append(numpy_helper.from_array(restored, node.output[0]))
        graph.node.remove(node)
    return restored_model


def _wide(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    from onnx import TensorProto

    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    return [
        node
        for node in graph.node
        if node.op_type == "DequantizeLinear"
        and all(name in types for name in node.input)
        and types[node.input[0]] == TensorProto.INT32
    ]


def _along(
    values: NDArray[Any], axis: int, scale: NDArray[Any], *zero: NDArray[Any]
) -> NDArray[Any]:
    """Several scales and zero points lie along the axis."""
    import numpy as np

    shape = [1] * values.ndim
    if scale.size > 1:
        shape[axis] = scale.size
    shifted = values - zero[0].astype(scale.dtype).reshape(shape) if zero else values
    return np.asarray(shifted * scale.reshape(shape), dtype=scale.dtype)
