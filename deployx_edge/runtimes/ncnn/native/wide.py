"""Layers that stay fp32 where a network runs in fp16: values or sums are beyond its range.

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
from deployx_edge.runtimes.converter import HalfOverflows, KeptFloat
from deployx_edge.runtimes.ncnn.files import Layer
from deployx_edge.runtimes.ncnn.native.graph import Graph, Node
from deployx_edge.runtimes.ncnn.native.graph_builder import BuiltLayer
from deployx_edge.runtimes.ncnn.native.names import Names

_FEATURE_MASK = 31
_NO_FP16_ARITHMETIC, _NO_FP16_STORAGE, _NO_BF16_STORAGE, _NO_WINOGRAD = 1, 2, 4, 64
_NUMBER = 2  # BinaryOp's second operand


def touches(graph: Graph, node: Node, absorbed: Collection[str], wide: Collection[str]) -> bool:
    """Whether the node, or one that its layer takes in, reads or makes a wide tensor."""
    nodes = [node, *(other for other in graph.nodes if other.name in absorbed)]
    return any(name in wide for each in nodes for name in (*each.inputs, *each.outputs))


def has_wide_weights(entry: BuiltLayer) -> bool:
    """Whether fp16 would turn one of the layer's weights, or its number, into infinity."""
    number = dict(entry.layer.params).get(_NUMBER, "0") if entry.layer.type == "BinaryOp" else "0"
    return abs(float(number)) > FP16_LARGEST or any(
        weight.values.size and abs(weight.values).max() > FP16_LARGEST for weight in entry.weights
    )


def kept_float(
    layers: Sequence[BuiltLayer],
    overflows: HalfOverflows,
    asked: Collection[str],
    int8: Collection[str],
) -> list[BuiltLayer]:
    """With those layers marked that stay fp32: ``asked`` for, or found to overflow.

    The layers of the nodes ``int8`` add whole numbers. REQUIRES: no Split yet.
    """
    marked = []
    for entry in layers:
        layer = entry.layer
        why = entry.float32
        if why == "whole":
            marked.append(entry)
            continue
        if layer.name in overflows.sums and entry.node not in int8:
            why = why or "sums"
        if any(blob in overflows.tensors for blob in (*layer.bottoms, *layer.tops)):
            why = "values"
        if _is_named(entry, asked):
            why = "asked"
        marked.append(replace(entry, float32=why if layer.type != "Input" else ""))
    return marked


def _is_named(entry: BuiltLayer, names: Collection[str]) -> bool:
    """Whether one of the names is the layer's, its node's, or that of the node it is a part of."""
    own = entry.layer.name
    is_part = not entry.node and any(own.startswith(f"{name}/") for name in names)
    return own in names or entry.node in names or is_part


def reasons(layers: Sequence[BuiltLayer], overflows: HalfOverflows) -> tuple[KeptFloat, ...]:
    """The layers that stay fp32, but for copies, and why."""
    kept = []
    for entry in layers:
        name, why = entry.layer.name, entry.float32
        if not why or entry.layer.type == "Split":
            continue
        tensor, largest = "", overflows.sums.get(name, 0.0) if why == "sums" else 0.0
        if why == "values":
            blobs = [b for b in (*entry.layer.bottoms, *entry.layer.tops) if b in overflows.tensors]
            tensor = max(blobs, key=overflows.tensors.__getitem__, default="")
            largest = overflows.tensors.get(tensor, 0.0)
        kept.append(KeptFloat(layer=name, why=why, tensor=tensor, largest=largest))
    return tuple(kept)


def masked(entry: BuiltLayer) -> Layer:
    """The layer, with the mask where it stays fp32 or may not go by Winograd's way."""
    mask = _NO_FP16_ARITHMETIC | _NO_FP16_STORAGE if entry.float32 else 0
    mask |= _NO_BF16_STORAGE if entry.float32 in ("asked", "whole") else 0
    mask |= _NO_WINOGRAD if entry.no_winograd else 0
    if not mask:
        return entry.layer
    return replace(entry.layer, params=(*entry.layer.params, (_FEATURE_MASK, str(mask))))


def fenced(layers: Sequence[BuiltLayer], names: Names) -> list[BuiltLayer]:
    """With a DeepCopy between every layer that may store half floats and a masked one."""
    halves = {
        top
        for entry in layers
        if not entry.float32 and entry.layer.type != "Input"
        for top in entry.layer.tops
    }
    result: list[BuiltLayer] = []
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
            result.append(BuiltLayer(layer=copy, weights=()))
        result.append(replace(entry, layer=replace(entry.layer, bottoms=tuple(bottoms))))
    return result
