"""Layers that stay fp32 where a network runs in fp16, as their values are beyond its range.

ncnn's mask says what a layer may not use of the network's options (``get_masked_option`` in
``net.cpp``). A masked layer is given what the layer before it stored, half floats too, and
reads them as floats: it must be fenced off. DeepCopy takes no half floats, so that ncnn
converts what goes into one, and gives floats.

    half ── masked      ⇒      half ── DeepCopy ── masked
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from deployx_edge.comparison import FP16_LARGEST
from deployx_edge.ncnn_format import Layer
from deployx_edge.runtimes.emitter.draft import DraftLayer
from deployx_edge.runtimes.emitter.graph import Graph, Node
from deployx_edge.runtimes.emitter.names import Names

_FEATURE_MASK = 31
_NO_FP16_ARITHMETIC, _NO_FP16_STORAGE, _NO_WINOGRAD = 1, 2, 64


def touches(graph: Graph, node: Node, absorbed: Collection[str], wide: Collection[str]) -> bool:
    """Whether the node, or one that its layer takes in, reads or makes a wide tensor."""
    nodes = [node, *(other for other in graph.nodes if other.name in absorbed)]
    return any(name in wide for each in nodes for name in (*each.inputs, *each.outputs))


def has_wide_weights(entry: DraftLayer) -> bool:
    """Whether fp16 would turn one of the layer's weights into infinity."""
    return any(
        weight.values.size and abs(weight.values).max() > FP16_LARGEST for weight in entry.weights
    )


def masked(entry: DraftLayer) -> Layer:
    """The layer, with the mask where it stays fp32 or may not go by Winograd's way."""
    mask = _NO_FP16_ARITHMETIC | _NO_FP16_STORAGE if entry.float32 else 0
    mask |= _NO_WINOGRAD if entry.no_winograd else 0
    if not mask:
        return entry.layer
    return replace(entry.layer, params=(*entry.layer.params, (_FEATURE_MASK, str(mask))))


def fenced(layers: Sequence[DraftLayer], names: Names) -> list[DraftLayer]:
    """With a DeepCopy between every layer that may store half floats and a masked one."""
    halves = {
        top
        for entry in layers
        if not entry.float32 and entry.layer.type != "Input"
        for top in entry.layer.tops
    }
    result: list[DraftLayer] = []
    for entry in layers:
        bottoms = []
        for blob in entry.layer.bottoms:
            if not (entry.float32 and blob in halves):
                bottoms.append(blob)
                continue
            name = names.layer(f"{blob}/float")
            bottoms.append(names.blob(name))
            copy = Layer(
                type="DeepCopy", name=name, bottoms=(blob,), tops=(bottoms[-1],), params=()
            )
            result.append(DraftLayer(layer=copy, weights=()))
        result.append(replace(entry, layer=replace(entry.layer, bottoms=tuple(bottoms))))
    return result
