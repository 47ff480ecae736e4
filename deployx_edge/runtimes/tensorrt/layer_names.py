"""What TensorRT's layers are: the names that it gives to nodes that it joined."""

from __future__ import annotations

import re
from collections.abc import Iterable

from deployx_edge.runtimes.converter import ConvertedModel
from deployx_edge.runtimes.macs import LayerWork, onnx_graph, onnx_node_works

# Nodes that became one layer; several that run beside each other stand in brackets.
_JOINED = re.compile(r" \+ | \|\| ")


def tensorrt_layer_works(model: ConvertedModel, layers: Iterable[str]) -> dict[str, LayerWork]:
    """By the names of layers, as far as they are those of nodes, alone or joined.

    A joined layer is the node of it that multiplies; where several do, it is the first of them
    with what all of them multiply. Those with names of TensorRT's own are left out.
    """
    works = onnx_node_works(model, onnx_graph(model))
    found = {}
    for layer in layers:
        names = _JOINED.split(layer) if layer not in works else [layer]
        parts = [works[name] for name in names if name in works]
        if len(parts) != len(names):
            continue
        busy = [part for part in parts if part.macs != 0] or parts[:1]
        macs = [part.macs for part in busy]
        whole = None if None in macs else sum(each for each in macs if each is not None)
        found[layer] = LayerWork(node=busy[0].node, macs=whole)
    return found
