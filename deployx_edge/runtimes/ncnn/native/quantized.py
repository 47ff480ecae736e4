"""int8 layers: which of a network's can be such, and their numbers as ncnn reads them.

Convolution, ConvolutionDepthWise and InnerProduct take one scale for what goes in and one an
output for their weights (``load_model`` in ``convolution.cpp`` and its neighbours); a
convolution that only such convolutions read may hand on its quantized values instead of floats.
Gemm, LSTM, GRU and RNN find the scale of what goes in at run time.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from deployx_edge.runtimes.converter import LayerScales
from deployx_edge.runtimes.ncnn.files import Layer, TableEntry, format_table
from deployx_edge.runtimes.ncnn.native.graph import Graph, Node
from deployx_edge.runtimes.ncnn.native.graph_builder import BuiltLayer, Weight

if TYPE_CHECKING:
    from numpy.typing import NDArray

CALIBRATED = ("Convolution", "ConvolutionDepthWise", "InnerProduct")
_CONVOLUTIONS = ("Convolution", "ConvolutionDepthWise")
RECURRENT = ("LSTM", "GRU", "RNN")
RUN_TIME = ("Gemm", *RECURRENT)
# The ids by which layers say that they are int8, and the value for each.
_INT8_TERM = 8
_TERMS = {"Convolution": 2, "ConvolutionDepthWise": 1, "InnerProduct": 2}
_REQUANTIZED = 100  # added to the value where quantized values are handed on
# Gemm's quantize_term: 8 bits, a scale for each 64 inputs of an output (and of a row).
_GEMM_TERM, _GEMM_BLOCKED = 18, 801
GEMM_BLOCK = 64
_INT8_LARGEST = 127
_PACK = 8  # channels that ncnn keeps together; groups of as many outputs come out as noise (x86)
# Winograd's F(4, 3) sums 576 times what a convolution does, in 32 bits
# (``convolution_3x3_winograd_int8.h``).
_WINOGRAD_FACTOR = 576
_WINOGRAD_LEAST = 8  # channels; ncnn transforms only what has more of either
_SUM_LIMIT = 2**31
# What makes no negative values, and what only passes on what it is given.
_POSITIVE = ("Relu", "Sigmoid", "HardSigmoid", "Softmax", "Softplus")
_PASSING = ("MaxPool", "GlobalMaxPool", "AveragePool", "GlobalAveragePool", "Concat", "Identity")


@dataclass(frozen=True, kw_only=True)
class QuantizableLayer:
    """A layer with weights, the node that it is named by, and how ncnn can run it in int8.

    ``mode``: "calibrated" (the scale of what goes in comes from data), "run-time" (it is found
    in each run), or "float", for the ``reason``. ``axis`` is that of the node's weights along
    which its outputs lie; where ``group`` is above 1, outputs of a group share a scale.
    """

    node: str
    type: str
    mode: str
    reason: str = ""
    axis: int = 0
    group: int = 1


def quantizable(layers: Sequence[BuiltLayer], graph: Graph) -> tuple[QuantizableLayer, ...]:
    """All layers that convolve or multiply by stored weights, in order."""
    nodes = {node.name: node for node in graph.nodes}
    return tuple(
        _described(entry, graph, nodes[entry.node])
        for entry in layers
        if entry.node in nodes and entry.weights and entry.weights[0].tagged
    )


def _described(entry: BuiltLayer, graph: Graph, node: Node) -> QuantizableLayer:
    type = entry.layer.type
    axis = 0
    if node.operator == "MatMul" or (node.operator == "Gemm" and not node.integer("transB", 0)):
        axis = 1
    if type in RUN_TIME:
        return QuantizableLayer(node=node.name, type=type, mode="run-time", axis=axis)
    reason = _why_float(entry.layer)
    if reason:
        return QuantizableLayer(node=node.name, type=type, mode="float", reason=reason)
    if not _as_in_model(entry, graph.constants[node.input(1)], axis):
        reason = "its weights take in what comes after it"
        return QuantizableLayer(node=node.name, type=type, mode="float", reason=reason)
    return QuantizableLayer(
        node=node.name, type=type, mode="calibrated", axis=axis, group=node.integer("group", 1)
    )


def _why_float(layer: Layer) -> str:
    """Why ncnn cannot run the layer with scales that come from data; empty where it can."""
    if layer.type not in CALIBRATED:
        return f"ncnn has no int8 {layer.type}"
    params = dict(layer.params)
    outputs, groups = int(params[0]), int(params.get(7, "1"))
    each = outputs // groups
    if layer.type == "ConvolutionDepthWise" and each > 1 and each % _PACK == 0:
        return f"ncnn computes int8 groups of {each} outputs wrongly"
    return ""


def _as_in_model(entry: BuiltLayer, weight: NDArray[Any], axis: int) -> bool:
    import numpy as np

    values = entry.weights[0].values
    by_output = np.moveaxis(weight, axis, 0).reshape(-1)
    return values.size == by_output.size and bool(np.array_equal(values.reshape(-1), by_output))


def quantized(
    layers: Sequence[BuiltLayer], scales: Mapping[str, LayerScales], graph: Graph
) -> list[BuiltLayer]:
    """With the layers of the nodes that ``scales`` names in int8.

    Their weights must be what quantized values stand for already: multiples of a scale of each
    output.
    """
    positive = _positive(graph)
    nodes = {node.name: node for node in graph.nodes}
    result = []
    for entry in layers:
        found = scales.get(entry.node) if entry.weights else None
        if found is None:
            result.append(entry)
        elif entry.layer.type in CALIBRATED:
            is_positive = nodes[entry.node].input(0) in positive
            result.append(_calibrated(entry, found, is_positive=is_positive))
        elif entry.layer.type == "Gemm":
            result.append(_blocked_gemm(entry))
        else:
            result.append(_recurrent(entry))
    return result


def table_of(layers: Sequence[BuiltLayer], scales: Mapping[str, LayerScales]) -> str:
    """The scales of the calibrated layers as the text of a ``.table``."""
    entries = {}
    for entry in layers:
        if entry.node in scales and entry.layer.type in CALIBRATED:
            weights = entry.weights[-2].values
            activation = entry.weights[-1].values
            entries[entry.layer.name] = TableEntry(
                activation=float(activation[0]),
                weights=tuple(float(scale) for scale in weights),
            )
    return format_table(entries)


def requantized(
    layers: Sequence[BuiltLayer], scales: Mapping[str, LayerScales], outputs: Collection[str]
) -> list[BuiltLayer]:
    """With quantized values handed on between int8 convolutions, directly or through a Split.

    That changes no value: what the reader would make of the float is what it is given.
    """
    readers: dict[str, list[BuiltLayer]] = {}
    for entry in layers:
        for blob in entry.layer.bottoms:
            readers.setdefault(blob, []).append(entry)
    result = []
    for entry in layers:
        is_int8 = entry.node in scales and entry.layer.type in _CONVOLUTIONS
        scale = _handed_on(entry.layer.tops[0], readers, scales, outputs) if is_int8 else None
        result.append(entry if scale is None else _handing_on(entry, scale))
    return result


def _calibrated(entry: BuiltLayer, scales: LayerScales, *, is_positive: bool) -> BuiltLayer:
    import numpy as np

    assert scales.activation_scale is not None
    assert scales.weight_scales is not None
    weight, *bias = entry.weights
    units = np.resize(scales.weight_scales, _outputs(entry.layer)).astype(np.float64)
    by_output = weight.values.reshape(len(units), -1).astype(np.float64)
    quantized = np.rint(by_output / units[:, None])
    assert np.abs(quantized).max(initial=0) <= _INT8_LARGEST
    by_scale = 1.0 / units
    if entry.layer.type == "ConvolutionDepthWise":
        groups = int(dict(entry.layer.params).get(7, "1"))
        by_scale = by_scale.reshape(groups, -1)[:, 0]
    weights = (
        Weight(values=quantized.astype(np.int8).reshape(-1), tagged=True),
        *bias,
        Weight(values=by_scale),
        Weight(values=np.array([1.0 / scales.activation_scale])),
    )
    params = (*entry.layer.params, (_INT8_TERM, str(_TERMS[entry.layer.type])))
    return replace(
        entry,
        layer=replace(entry.layer, params=params),
        weights=weights,
        no_winograd=_may_overflow(entry.layer, quantized, is_positive=is_positive),
    )


def _outputs(layer: Layer) -> int:
    return int(dict(layer.params)[0])


def _may_overflow(layer: Layer, quantized: NDArray[Any], *, is_positive: bool) -> bool:
    """Whether Winograd's sums could leave 32 bits for inputs of any values.

    They would wrap and give wrong numbers without a word; ncnn's own tools cut such weights to
    six bits instead.
    """
    import numpy as np

    params = dict(layer.params)
    window = [int(params.get(key, default)) for key, default in ((1, "0"), (2, "1"), (3, "1"))]
    tall = [int(params.get(key, str(window[i]))) for i, key in enumerate((11, 12, 13))]
    if layer.type != "Convolution" or window != [3, 1, 1] or tall != [3, 1, 1]:
        return False
    inputs = quantized.shape[1] // 9
    if max(inputs, len(quantized)) <= _WINOGRAD_LEAST:
        return False
    above = np.where(quantized > 0, quantized, 0).sum(axis=1)
    below = -np.where(quantized < 0, quantized, 0).sum(axis=1)
    most = np.maximum(above, below) if is_positive else above + below
    return bool(most.max() * _INT8_LARGEST * _WINOGRAD_FACTOR >= _SUM_LIMIT)


def _positive(graph: Graph) -> set[str]:
    found: set[str] = set()
    for node in graph.nodes:
        bounds = [graph.constants.get(node.input(1))] if node.operator == "Clip" else []
        clipped = any(bound is not None and bound.size and bound.min() >= 0 for bound in bounds)
        passed = node.operator in _PASSING and all(name in found for name in node.inputs if name)
        if node.operator in _POSITIVE or clipped or passed:
            found.update(node.outputs)
    return found


def _handed_on(
    blob: str,
    readers: Mapping[str, Sequence[BuiltLayer]],
    scales: Mapping[str, LayerScales],
    outputs: Collection[str],
) -> float | None:
    """The one scale by which all readers of the blob take quantized values; None where some want
    floats."""
    if blob in outputs:
        return None
    found_scales: set[float] = set()
    for entry in readers.get(blob, ()):
        if entry.layer.type == "Split":
            inner = {_handed_on(top, readers, scales, outputs) for top in entry.layer.tops}
            if None in inner:
                return None
            found_scales.update(scale for scale in inner if scale is not None)
            continue
        found = scales.get(entry.node)
        if entry.layer.type not in _CONVOLUTIONS or found is None:
            return None
        assert found.activation_scale is not None
        found_scales.add(found.activation_scale)
    return found_scales.pop() if len(found_scales) == 1 else None


def _handing_on(entry: BuiltLayer, handed: float) -> BuiltLayer:
    import numpy as np

    params = tuple(
        (key, str(int(value) + _REQUANTIZED) if key == _INT8_TERM else value)
        for key, value in entry.layer.params
    )
    scale = Weight(values=np.array([1.0 / handed]))
    return replace(
        entry, layer=replace(entry.layer, params=params), weights=(*entry.weights, scale)
    )


def block_scales(by_output: NDArray[Any], block: int) -> NDArray[Any]:
    """The scales of (outputs, inputs) weights, one for each ``block`` inputs of an output."""
    import numpy as np

    outputs, inputs = by_output.shape
    count = math.ceil(inputs / block)
    padded = np.zeros((outputs, count * block))
    padded[:, :inputs] = np.abs(by_output)
    largest = padded.reshape(outputs, count, block).max(axis=2)
    return np.where(largest > 0, largest, _INT8_LARGEST) / _INT8_LARGEST


def _blocked_gemm(entry: BuiltLayer) -> BuiltLayer:
    import numpy as np

    weight, *bias = entry.weights
    params = dict(entry.layer.params)
    by_output = weight.values.reshape(int(params[8]), int(params[9])).astype(np.float64)
    by_block = block_scales(by_output, GEMM_BLOCK)
    full = np.repeat(by_block, GEMM_BLOCK, axis=1)[:, : by_output.shape[1]]
    quantized = np.rint(by_output / full).astype(np.int8)
    weights = (Weight(values=quantized.reshape(-1)), *bias, Weight(values=1.0 / by_block))
    layer = replace(entry.layer, params=(*entry.layer.params, (_GEMM_TERM, str(_GEMM_BLOCKED))))
    return replace(entry, layer=layer, weights=weights)


def _recurrent(entry: BuiltLayer) -> BuiltLayer:
    """Weights of inputs and of states with a scale a row; biases stay floats."""
    import numpy as np

    inputs, bias, states = entry.weights
    hidden = _outputs(entry.layer)
    rows = states.values.size // hidden
    made = []
    scales = []
    for weight in (inputs, states):
        by_row = weight.values.reshape(rows, -1).astype(np.float64)
        by_block = block_scales(by_row, by_row.shape[1])
        quantized = np.rint(by_row / by_block).astype(np.int8)
        made.append(Weight(values=quantized.reshape(-1), tagged=True))
        scales.append(Weight(values=1.0 / by_block))
    layer = replace(entry.layer, params=(*entry.layer.params, (_INT8_TERM, "2")))
    return replace(entry, layer=layer, weights=(made[0], bias, made[1], *scales))
