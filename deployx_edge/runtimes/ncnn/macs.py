"""Multiply-accumulates of ncnn's layers: weights by the places that they are used at."""

from __future__ import annotations

import math
from collections.abc import Mapping

from deployx_edge.runtimes.converter import ConvertedModel
from deployx_edge.runtimes.macs import LayerWork
from deployx_edge.runtimes.ncnn.files.param import Layer, read_param

Dims = tuple[int, ...]

# The ids of parameters: of most layers the outputs, and how many weights there are.
_OUTPUTS, _CONVOLUTION_WEIGHTS, _MATRIX_WEIGHTS = 0, 6, 2
_RECURRENT_WEIGHTS, _DIRECTION, _LSTM_HIDDEN = 1, 2, 3
_BOTH_DIRECTIONS = 2
_GEMM_TRANSPOSED_A, _GEMM_CONSTANT_A, _GEMM_K = 2, 4, 9
_CONVOLUTIONS = (
    "Convolution",
    "Convolution1D",
    "Convolution3D",
    "ConvolutionDepthWise",
    "ConvolutionDepthWise1D",
    "ConvolutionDepthWise3D",
)
_DECONVOLUTIONS = tuple(name.replace("Convolution", "Deconvolution") for name in _CONVOLUTIONS)
_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
# What these multiply is not in their parameters.
_UNKNOWN = ("DeformableConv2D", "Einsum", "MultiHeadAttention", "SDPA")


def ncnn_layer_works(model: ConvertedModel, outputs: Mapping[str, Dims]) -> dict[str, LayerWork]:
    """By layer, which has the name of its node; ``outputs`` are the dims of each layer's first
    output as it ran."""
    dims: dict[str, Dims] = {}
    found = {}
    for layer in read_param(model.path("param")):
        macs = _macs(layer, dims, outputs.get(layer.name))
        found[layer.name] = LayerWork(node=layer.name, macs=macs)
        size = _input_dims(layer) if layer.type == "Input" else outputs.get(layer.name)
        if size and layer.type == "Split":
            dims.update(dict.fromkeys(layer.tops, size))
        elif size and layer.tops:
            dims[layer.tops[0]] = size
    return found


def _input_dims(layer: Layer) -> Dims:
    """Slowest first; ncnn counts width, height, depth and channels."""
    params = dict(layer.params)
    return tuple(int(params[key]) for key in (2, 11, 1, 0) if int(params.get(key, 0)))


def _macs(layer: Layer, dims: Mapping[str, Dims], result: Dims | None) -> int | None:
    if layer.type in _UNKNOWN:
        return None
    first = dims.get(layer.bottoms[0]) if layer.bottoms else None
    params = {key: int(value) for key, value in layer.params if value.lstrip("-").isdigit()}
    if layer.type in _CONVOLUTIONS:
        return params[_CONVOLUTION_WEIGHTS] * math.prod(result[1:]) if result else None
    if layer.type in _DECONVOLUTIONS:
        return params[_CONVOLUTION_WEIGHTS] * math.prod(first[1:]) if first else None
    if layer.type == "InnerProduct":
        rows = math.prod(result) // params[_OUTPUTS] if result else None
        return None if rows is None else params[_MATRIX_WEIGHTS] * rows
    if layer.type in ("Gemm", "MatMul"):
        inner = _inner_size(layer, params, first)
        return math.prod(result) * inner if result and inner else None
    if layer.type in _GATES:
        return _recurrent(layer, params, first)
    return 0


def _inner_size(layer: Layer, params: Mapping[int, int], first: Dims | None) -> int | None:
    """How many products are added up for each element of a matrix product."""
    if layer.type == "Gemm" and params.get(_GEMM_CONSTANT_A):
        return params.get(_GEMM_K) or None
    if not first:
        return None
    transposed = layer.type == "Gemm" and params.get(_GEMM_TRANSPOSED_A) and len(first) > 1
    return first[-2] if transposed else first[-1]


def _recurrent(layer: Layer, params: Mapping[int, int], first: Dims | None) -> int | None:
    if not first:
        return None
    outputs = params[_OUTPUTS]
    hidden = params.get(_LSTM_HIDDEN, outputs) if layer.type == "LSTM" else outputs
    directions = 2 if params.get(_DIRECTION) == _BOTH_DIRECTIONS else 1
    repeated = outputs * hidden * _GATES[layer.type] * directions
    return first[0] * (params[_RECURRENT_WEIGHTS] + repeated)
