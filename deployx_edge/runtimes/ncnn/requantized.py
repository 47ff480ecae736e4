"""Blobs that hold quantized values: what int8 convolutions hand on to int8 convolutions in ncnn.

Whoever asks for such a blob gets these, as floats; they become values by the scale of the layer
that reads them, which is in the model's ``.table``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from deployx_edge.runtimes.converter import ConvertedModel
from deployx_edge.runtimes.ncnn.files import Layer, read_param, read_table
from deployx_edge.runtimes.ncnn.native.names import readable

if TYPE_CHECKING:
    from deployx_edge.model import Array

_INT8_TERM, _HANDS_ON = 8, 100
_INT8_LARGEST = 127
_CONVOLUTIONS = ("Convolution", "ConvolutionDepthWise")


def restored(scales: Mapping[str, float], blobs: Mapping[str, Array]) -> dict[str, Array]:
    """The blobs with values in place of quantized ones; ``scales`` are those of
    ``scales_of_quantized``."""
    return {
        name: array / scales[name] if name in scales else array for name, array in blobs.items()
    }


def rounded(scales: Mapping[str, float], tensors: Mapping[str, Array]) -> dict[str, Array]:
    """Tensors in floats, by the source's names, rounded where the model hands on quantized ones."""
    return {
        name: _rounded(array, scales[readable(name)]) if readable(name) in scales else array
        for name, array in tensors.items()
    }


def _rounded(values: Array, scale: float) -> Array:
    import numpy as np

    scaled = np.abs(values) * np.float32(scale)
    quantized = np.minimum(np.floor(scaled + 0.5), _INT8_LARGEST)
    return np.asarray(np.sign(values) * quantized / scale, dtype=np.float32)


def scales_of_quantized(model: ConvertedModel) -> dict[str, float]:
    """By blob that holds quantized values, how many of their units make 1."""
    files = dict(model.files)
    if "table" not in files:
        return {}
    layers = read_param(files["param"])
    table = read_table(files["table"])
    readers = {blob: layer for layer in layers for blob in layer.bottoms}
    found: dict[str, float] = {}
    for layer in layers:
        if layer.type in _CONVOLUTIONS and _hands_on(layer):
            blob = layer.tops[0]
            reader = readers[blob]
            copies = reader.tops if reader.type == "Split" else ()
            first = readers[copies[0]] if copies else reader
            found.update(dict.fromkeys((blob, *copies), table[first.name].activation))
    return found


def _hands_on(layer: Layer) -> bool:
    return int(dict(layer.params).get(_INT8_TERM, "0")) > _HANDS_ON
