"""What an ONNX graph says of an input or output: its element type and its sizes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from deployx_edge.errors import ModelError
from deployx_edge.graph.subgraphs import nodes_within

if TYPE_CHECKING:
    import onnx

# Initializers of fewer bytes may decide on shapes; larger ones are weights.
_SMALL = 2**12
_MAKES_NO_TENSOR = re.compile("Sequence|Optional|ZipMap")


def dtype_of(path: Path, kind: str, value: onnx.ValueInfoProto) -> str:
    """The element type by NumPy's name; ModelError for what is not a tensor."""
    import onnx

    if not value.type.HasField("tensor_type"):
        raise ModelError(f"The {kind} '{value.name}' of {path.name} is not a tensor.")
    found = value.type.tensor_type.elem_type
    word = onnx.TensorProto.DataType.Name(found).lower()
    return {"float": "float32", "double": "float64"}.get(word, word)


def sizes_of(value: onnx.ValueInfoProto) -> tuple[int | None, ...] | None:
    """The axes' sizes, None for a dynamic one; None where not even their number is known."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return tuple(
        int(dim.dim_value) if dim.HasField("dim_value") and dim.dim_value >= 0 else None
        for dim in tensor.shape.dim
    )


def spell_sizes(value: onnx.ValueInfoProto) -> str:
    """The sizes as people read them, open ones by the file's own words."""
    if not value.type.tensor_type.HasField("shape"):
        return "of unknown rank"
    dims = value.type.tensor_type.shape.dim
    return "x".join(
        str(dim.dim_value) if dim.HasField("dim_value") else dim.dim_param or "?" for dim in dims
    )


def suggest_shape(dims: tuple[int | None, ...] | None) -> str:
    """A shape of the right rank: 1 sample, and 224 for the other axes that are unknown."""
    if dims is None:
        return "1x3x224x224"
    return "x".join(
        str(size if size is not None else 1 if axis == 0 else 224) for axis, size in enumerate(dims)
    )


def without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy for inference of types and shapes, without the data of large initializers.

    What is inferred from is copied three times on the way; weights decide on nothing.
    """
    import onnx

    light = onnx.ModelProto(ir_version=model.ir_version)
    light.opset_import.extend(model.opset_import)
    light.functions.extend(model.functions)
    graph, whole = light.graph, model.graph
    graph.name = whole.name
    for field in ("node", "input", "output", "value_info", "sparse_initializer"):
        getattr(graph, field).extend(getattr(whole, field))
    for tensor in whole.initializer:
        small = tensor.ByteSize() < _SMALL and not tensor.external_data
        graph.initializer.append(
            tensor
            if small
            else onnx.TensorProto(name=tensor.name, dims=tensor.dims, data_type=tensor.data_type)
        )
    return light


def no_tensors(model: onnx.ModelProto) -> set[str]:
    """The names of the graph's values that are sequences, optional values or maps."""
    import onnx

    bodies = (model.graph.node, *(function.node for function in model.functions))
    if not any(_MAKES_NO_TENSOR.search(n.op_type) for body in bodies for n in nodes_within(body)):
        return set()
    inferred = onnx.shape_inference.infer_shapes(without_weights(model))
    values = (*inferred.graph.value_info, *inferred.graph.output)
    kinds = {value.name: value.type.WhichOneof("value") for value in values}
    return {name for name, kind in kinds.items() if kind not in (None, "tensor_type")}
