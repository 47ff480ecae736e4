"""What ONNX Runtime's layers are: the names that its optimizations give to joined nodes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from deployx_edge.runtimes.converter import ConvertedModel
from deployx_edge.runtimes.macs import LayerWork, onnx_graph, onnx_node_works

if TYPE_CHECKING:
    import onnx

# A node in blocks of channels is called after the tensor that it gives, which may be an
# activation's that it took in.
_BLOCKED = "_nchwc"
_ACTIVATIONS = ("Relu", "LeakyRelu", "Clip", "Sigmoid", "Tanh", "HardSigmoid")
# Others are called after one of the joined nodes; of these joinings none multiplies more than it.
_JOINED = re.compile(
    r"fused (?P<first>.+)|(?P<second>.+)/(?:MatMulAdd|MatMulScale|MatmulTranspose|QuickGelu|"
    r"FastGelu|BiasGelu|Gelu|LayerNorm|SimplifiedLayerNorm|SkipLayerNorm|GatherSliceToSplit)Fusion/?"
)
# Between blocks and plain order: they move.
_REORDER = ("ReorderInput", "ReorderOutput")


def onnxruntime_layer_works(model: ConvertedModel, layers: Iterable[str]) -> dict[str, LayerWork]:
    """By the names of layers, as far as they tell; those that do not are left out."""
    graph = onnx_graph(model)
    works = onnx_node_works(model, graph)
    producers = {name: node for node in graph.node for name in node.output}
    found = {}
    for layer in layers:
        if layer.startswith(_REORDER) and layer not in works:
            found[layer] = LayerWork(node=layer, macs=0)
            continue
        node = layer if layer in works else _node_of(layer, producers)
        if node in works:
            found[layer] = works[node]
    return found


def _node_of(layer: str, producers: dict[str, onnx.NodeProto]) -> str:
    """The name of the node that does the layer's work; "" where its name does not say."""
    if layer.endswith(_BLOCKED):
        node = producers.get(layer.removesuffix(_BLOCKED))
        while node is not None and node.op_type in _ACTIVATIONS:
            node = producers.get(node.input[0])
        return node.name if node is not None else ""
    joined = _JOINED.fullmatch(layer)
    return (joined["first"] or joined["second"]) if joined else ""
