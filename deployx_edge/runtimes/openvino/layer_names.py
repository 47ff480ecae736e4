"""What OpenVINO's layers are: the names that it gives to what it joins."""

from __future__ import annotations

from collections.abc import Iterable

from deployx_edge.runtimes.converter import ConvertedModel
from deployx_edge.runtimes.macs import LayerWork, onnx_graph, onnx_node_works

# A layer that took a bias in is called after the product without it.
_UNBIASED = "/WithoutBiases"


def openvino_layer_works(model: ConvertedModel, layers: Iterable[str]) -> dict[str, LayerWork]:
    """By the names of layers, which are those of nodes, or of what nodes give.

    Those that it made up itself are left out.
    """
    graph = onnx_graph(model)
    works = onnx_node_works(model, graph)
    given = {name: works[n.name] for n in graph.node for name in n.output if n.name in works}
    named = {**given, **works}
    return {
        layer: named[layer.removesuffix(_UNBIASED)]
        for layer in layers
        if layer.removesuffix(_UNBIASED) in named
    }
