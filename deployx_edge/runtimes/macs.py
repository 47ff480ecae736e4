"""What the layers of a converted model are in its graph, and how much they multiply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployx_edge.runtimes.converter import ConvertedModel
from deployx_edge.sources.onnx.inspection import count_macs

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, kw_only=True)
class LayerWork:
    """The node of the source that a layer is, or that does the work of those it is made of, and
    the layer's multiply-accumulates in one run: 0 for what only adds, compares or moves, None where
    they are not known. ``type`` is the node's, for layers of which the runtime tells none."""

    node: str
    macs: int | None
    type: str = ""


def onnx_graph(model: ConvertedModel) -> onnx.GraphProto:
    """The graph of a model whose file is ONNX, without its weights."""
    import onnx

    return onnx.load(model.path("onnx"), load_external_data=False).graph


def onnx_node_works(model: ConvertedModel, graph: onnx.GraphProto) -> dict[str, LayerWork]:
    """By the names of the graph's nodes, at the sizes that the model's inputs have."""
    shapes = _shapes(model, graph)
    return {
        node.name: LayerWork(node=node.name, macs=count_macs(node, shapes), type=node.op_type)
        for node in graph.node
        if node.name
    }


def _shapes(model: ConvertedModel, graph: onnx.GraphProto) -> Mapping[str, tuple[int, ...]]:
    import onnx

    whole = onnx.load(model.path("onnx"), load_external_data=False)
    sizes = {spec.name: spec.shape for spec in model.inputs}
    for value in whole.graph.input:
        dims = value.type.tensor_type.shape.dim
        for dim, size in zip(dims, sizes.get(value.name, ()), strict=False):
            dim.dim_value = size
    inferred = onnx.shape_inference.infer_shapes(whole, data_prop=True).graph
    shapes = {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in (*inferred.input, *inferred.value_info, *inferred.output)
        if value.type.tensor_type.HasField("shape")
        and all(dim.HasField("dim_value") for dim in value.type.tensor_type.shape.dim)
    }
    return {**shapes, **{tensor.name: tuple(tensor.dims) for tensor in graph.initializer}}
