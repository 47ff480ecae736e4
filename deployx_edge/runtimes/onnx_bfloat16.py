"""bfloat16 in ONNX files: 8 bits of a float's 24, and all of its range.

Such a file is made of one with half floats, which differ from it in nothing but the type.
ONNX Runtime computes no layer in bfloat16 on processors. So what the file says is held against its
source by one more file: the same nodes in floats, with each tensor that the file has in bfloat16
rounded to that, as a GPU rounds what it has added up in floats.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from deployx_edge.errors import ModelError

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

# Of onnx.TensorProto.
_FLOAT, _HALF, _BFLOAT16 = 1, 10, 16


def float_weights(model: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    """The float32 weights by name; ModelError for a model that holds half floats itself."""
    from onnx import numpy_helper

    graph = model.graph
    types = {value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)}
    types |= {tensor.data_type for tensor in graph.initializer}
    if _HALF in types:
        raise ModelError(
            "The model holds half floats, which bfloat16 would round once more.",
            remedy="Convert it with --precision fp16, or export it in fp32.",
        )
    return {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in graph.initializer
        if tensor.data_type == _FLOAT
    }


def with_bfloat16(halved: onnx.ModelProto, weights: Mapping[str, NDArray[Any]]) -> onnx.ModelProto:
    """The model with bfloat16 in the place of half floats; ``weights`` as they were in floats."""
    for graph in _graphs(halved.graph):
        for tensor in (*graph.initializer, *_attribute_tensors(graph)):
            if tensor.data_type == _HALF:
                _store(tensor, weights.get(tensor.name), _BFLOAT16)
        for value in (*graph.value_info, *graph.input, *graph.output):
            if value.type.tensor_type.elem_type == _HALF:
                value.type.tensor_type.elem_type = _BFLOAT16
        for node in graph.node:
            for attribute in _casts(node, _HALF):
                attribute.i = _BFLOAT16
    return halved


def in_floats(model: onnx.ModelProto) -> onnx.ModelProto:
    """A file that computes what one in bfloat16 says, by ONNX Runtime: in floats, rounded."""
    import onnx

    made = onnx.shape_inference.infer_shapes(model)
    for graph in _graphs(made.graph):
        rounded = _bfloat16_tensors(graph)
        for tensor in (*graph.initializer, *_attribute_tensors(graph)):
            if tensor.data_type == _BFLOAT16:
                _store(tensor, None, _FLOAT)
        nodes = []
        for node in graph.node:
            nodes.append(node)
            for attribute in _casts(node, _BFLOAT16):
                attribute.i = _FLOAT
            for index, name in enumerate(node.output):
                if name in rounded:
                    exact, short = f"{name}/exact", f"{name}/bfloat16"
                    node.output[index] = exact
                    nodes.append(_cast(exact, short, _BFLOAT16))
                    nodes.append(_cast(short, name, _FLOAT))
        del graph.node[:], graph.value_info[:]
        graph.node.extend(nodes)
        for value in (*graph.input, *graph.output):
            if value.type.tensor_type.elem_type == _BFLOAT16:
                value.type.tensor_type.elem_type = _FLOAT
    return made


def _bfloat16_tensors(graph: onnx.GraphProto) -> set[str]:
    """The tensors that the graph's nodes make in bfloat16."""
    known = {
        value.name
        for value in (*graph.value_info, *graph.output)
        if value.type.tensor_type.elem_type == _BFLOAT16
    }
    return known | {node.output[0] for node in graph.node if any(_casts(node, _BFLOAT16))}


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph, and those of its branches and loops."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _graphs(inner)


def _attribute_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t


def _casts(node: onnx.NodeProto, to: int) -> Iterator[onnx.AttributeProto]:
    if node.op_type == "Cast":
        yield from (each for each in node.attribute if each.name == "to" and each.i == to)


def _cast(source: str, output: str, to: int) -> onnx.NodeProto:
    from onnx import helper

    # Without a name: a node of the model may be called as its tensor is.
    return helper.make_node("Cast", [source], [output], to=to)


def _store(tensor: onnx.TensorProto, floats: NDArray[Any] | None, kind: int) -> None:
    """Give the tensor another type; ``floats`` are its values where it holds them rounded."""
    import ml_dtypes
    import numpy as np
    from onnx import numpy_helper

    array = numpy_helper.to_array(tensor) if floats is None else floats
    exact = np.asarray(array).astype(np.float32)
    stored = exact if kind == _FLOAT else exact.astype(ml_dtypes.bfloat16)
    name, dims = tensor.name, list(tensor.dims)
    tensor.Clear()
    tensor.name, tensor.data_type, tensor.raw_data = name, kind, stored.tobytes()
    tensor.dims.extend(dims)
