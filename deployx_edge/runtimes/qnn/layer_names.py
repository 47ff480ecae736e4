"""Which node a part of a layer is, by the name that QNN's provider gave it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from deployx_edge.runtimes.converter import ConvertedModel
from deployx_edge.runtimes.macs import LayerWork, onnx_graph, onnx_node_works

# Behind a name that the provider used before, as of what it makes of a node and of its weights.
_NUMBER = re.compile(r"_token_\d+$")


def qnn_layer_works(model: ConvertedModel, layers: Iterable[str]) -> dict[str, LayerWork]:
    """Of the layers that are nodes of the model, or made for one.

    Several may be made for a node: which of them multiplies is not known then.
    """
    works = onnx_node_works(model, onnx_graph(model))
    nodes = {layer: layer if layer in works else _NUMBER.sub("", layer) for layer in layers}
    counts = Counter(nodes.values())
    return {
        layer: works[node] if counts[node] == 1 else replace(works[node], macs=None)
        for layer, node in nodes.items()
        if node in works
    }
