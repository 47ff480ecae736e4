"""What the layers of an ncnn model add up inside, looked at as its blobs are made.

A part of ncnn's process (``wheel_process``), which says what is there; ``half_sums`` says what is
looked for.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ncnn
import numpy as np

from deployx_edge.runtimes.ncnn import winograd
from deployx_edge.runtimes.ncnn.wheel_options import configure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

_LARGEST = 65504.0
# The ids of parameters, by what they say.
_OUTPUTS, _KERNEL, _DILATION, _STRIDE = 0, 1, 2, 3
_KERNEL_HIGH, _DILATION_HIGH, _STRIDE_HIGH = 11, 12, 13
_ACTIVATION = (9, 10, -23310)
_WEIGHTED = (
    "Convolution",
    "Convolution1D",
    "ConvolutionDepthWise",
    "ConvolutionDepthWise1D",
    "Deconvolution",
    "Deconvolution1D",
    "DeconvolutionDepthWise",
    "DeconvolutionDepthWise1D",
    "InnerProduct",
    "Gemm",
)
_RECURRENT = ("LSTM", "GRU", "RNN")
_OTHERS = (
    "BatchNorm",
    "InstanceNorm",
    "Interp",
    "MatMul",
    "Pooling",
    "SDPA",
    "Softmax",
    "UnaryOp",
)
# UnaryOp's numbers: asinh and acosh; floor, ceil and trunc.
_SQUARING, _WHOLE = ("23", "25"), ("2", "3", "19")


class LayerSums:
    """What half floats cannot hold in runs of a model whose blobs are shown one by one.

    Every blob is read by one layer at most. ``found`` maps "tensors" and "sums" to the largest
    absolute values by the names of blobs and layers.
    """

    def __init__(
        self, layers: list[dict[str, Any]], weights: str, *, threads: int, is_large: bool
    ) -> None:
        """``layers`` as ``StoredLayer``, their weights in the file ``weights``."""
        self.layers = layers
        self.found: dict[str, dict[str, float]] = {"tensors": {}, "sums": {}}
        self._readers = {blob: layer for layer in layers for blob in layer["bottoms"]}
        self._waiting: dict[str, Array] = {}
        self._threads, self._is_large = threads, is_large
        is_empty = not Path(weights).stat().st_size
        self._weights = b"" if is_empty else np.memmap(weights, dtype=np.uint8, mode="r")

    def begin(self) -> None:
        """A run begins."""
        self._waiting.clear()

    def take(self, blob: str, values: Array, *, is_input: bool) -> None:
        """Look at a blob, and at what the layer that reads it adds up once it has all it reads.

        That is before it runs: large images are then not held beside what ncnn needs.
        """
        if not is_input:
            _note(self.found["tensors"], blob, _peak(values))
        layer = self._readers.get(blob)
        if layer is None or not _adds(layer):
            return
        if len(layer["bottoms"]) == 1:
            _note(self.found["sums"], layer["name"], sums_inside(self, layer, [values]))
            return
        self._waiting[blob] = np.array(values)
        if all(name in self._waiting for name in layer["bottoms"]):
            bottoms = [self._waiting.pop(name) for name in layer["bottoms"]]
            _note(self.found["sums"], layer["name"], sums_inside(self, layer, bottoms))

    def weights(self, layer: dict[str, Any]) -> list[Array]:
        """The layer's weights, each in one row."""
        return [
            np.frombuffer(self._weights[begin:end], dtype="<f4") for begin, end in layer["weights"]
        ]

    def absolute(self, layer: dict[str, Any], bottoms: Sequence[Array]) -> float:
        """What the layer gives at most with absolute weights on absolute inputs.

        No order in which its terms can be added comes to more anywhere in between.
        """
        names = [f"in{index}" for index in range(len(bottoms))]
        params = [f"{k}={v}" for k, v in layer["params"] if k not in _activation_of(layer)]
        line = [layer["type"], "layer", str(len(names)), "1", *names, "out", *params]
        lines = [f"Input {name} 0 1 {name}" for name in names]
        text = ["7767517", f"{len(names) + 1} {len(names) + 1}", *lines, " ".join(line)]
        stored = np.frombuffer(self._weights[layer["begin"] : layer["end"]], dtype="<u4")
        with tempfile.TemporaryDirectory(prefix="deployx-edge-layer-") as folder:
            param, weights = Path(folder) / "one.param", Path(folder) / "one.bin"
            param.write_text("\n".join(text) + "\n", encoding="utf-8")
            (stored & np.uint32(0x7FFFFFFF)).tofile(weights)
            net = self._open(param, weights)
        if net is None:
            return math.inf
        with net.create_extractor() as extractor:
            arrays = [np.abs(array) for array in bottoms]  # a Mat does not keep its array alive
            mats = [ncnn.Mat(array).clone() for array in arrays]
            for name, mat in zip(names, mats, strict=True):
                extractor.input(name, mat)
            code, mat = extractor.extract("out")
            return _peak(np.asarray(mat.numpy())) if code == 0 else math.inf

    def _open(self, param: Path, weights: Path) -> Any:
        net = ncnn.Net()
        configure(net, "fp32", self._threads, is_large=self._is_large)
        refused = net.load_param(str(param)) != 0 or net.load_model(str(weights)) != 0
        return None if refused else net


def sums_inside(net: LayerSums, layer: dict[str, Any], bottoms: Sequence[Array]) -> float:
    """A bound of what the layer adds up inside, where the layer adds in half floats at all.

    A cheap bound first; only where that is too much, one of the values themselves.
    """
    kind, params = layer["type"], dict(layer["params"])
    peaks = [_peak(array) for array in bottoms]
    if kind in _WEIGHTED and layer["weights"]:
        return _weighted(net, layer, params, bottoms, peaks)
    if kind in ("MatMul", "Gemm"):
        terms = max(bottoms[0].shape)
        bound = terms * math.prod(peaks[:2]) + sum(peaks[2:])
        return bound if bound <= _LARGEST else net.absolute(layer, bottoms)
    if kind == "SDPA":
        return _scores(params, bottoms, peaks)
    if kind == "Pooling" and params.get(0) == "1" and not {4, 7}.intersection(params):
        wide = int(params[_KERNEL])
        area = wide * int(params.get(_KERNEL_HIGH, wide))
        bound = area * peaks[0]
        return bound if bound <= _LARGEST else area * net.absolute(layer, bottoms)
    if kind == "Softmax":
        return float(bottoms[0].shape[int(params.get(0, 0))])
    if kind == "InstanceNorm":
        return _moments(net.weights(layer), params, bottoms[0])
    if kind == "BatchNorm":
        return _affine(net.weights(layer), params)
    if kind in _RECURRENT:
        return _gates(net.weights(layer), params, peaks)
    if kind == "UnaryOp":
        return _unary(params.get(0, "0"), peaks[0])
    if kind == "Interp" and params.get(0) == "3":
        return 2.25 * peaks[0]  # 1.5 is the most that a row of cubic weights comes to
    return 0.0


def _weighted(
    net: LayerSums,
    layer: dict[str, Any],
    params: dict[int, str],
    bottoms: Sequence[Array],
    peaks: Sequence[float],
) -> float:
    kind = layer["type"]
    weight, *rest = net.weights(layer)
    outputs = int(params[8 if kind == "Gemm" else _OUTPUTS])
    bias = _peak(rest[0]) if rest else 0.0
    largest = float(np.abs(weight.reshape(outputs, -1)).sum(axis=1, dtype=np.float64).max())
    bound = largest * peaks[0] + bias
    if bound > _LARGEST:
        bound = net.absolute(layer, bottoms)
    if bound <= _LARGEST and kind == "Convolution" and _is_winograd(params, bottoms[0], outputs):
        kernel = weight.reshape(outputs, -1, 3, 3)
        return max(
            bound, winograd.largest_inside(bottoms[0], kernel, _pads(params), limit=_LARGEST)
        )
    return bound


def _is_winograd(params: dict[int, str], image: Array, outputs: int) -> bool:
    """Whether ncnn would run the convolution so, in half floats."""
    sizes = [int(params.get(key, 1)) for key in (_DILATION, _STRIDE)]
    high = [int(params.get(key, size)) for key, size in zip((12, 13), sizes, strict=True)]
    kernel = int(params[_KERNEL])
    square = kernel == int(params.get(_KERNEL_HIGH, kernel)) == 3
    return square and {*sizes, *high} == {1} and max(len(image), outputs) >= 16


def _pads(params: dict[int, str]) -> winograd.Pads:
    left = int(params.get(4, 0))
    top = int(params.get(14, left))
    right, bottom = int(params.get(15, left)), int(params.get(16, top))
    if min(left, top, right, bottom) < 0:  # SAME: one on every side for a kernel of 3
        left = top = right = bottom = 1
    return (top, bottom), (left, right)


def _scores(params: dict[int, str], bottoms: Sequence[Array], peaks: Sequence[float]) -> float:
    """The products of queries and keys, before they are scaled, and the mask."""
    queries, keys = bottoms[0], bottoms[1]
    mask = peaks[3] if params.get(5) == "1" else 0.0
    bound = float(queries.shape[-1] * peaks[0] * peaks[1] + mask)
    if bound <= _LARGEST:
        return bound
    queries, keys = np.abs(queries.reshape(-1, *queries.shape[-2:])), np.abs(keys)
    keys = keys.reshape(-1, *keys.shape[-2:])
    heads = len(queries) // len(keys)
    products = (queries[index] @ keys[index // heads].T for index in range(len(queries)))
    return mask + max(map(_peak, products))


def _moments(weights: Sequence[Array], params: dict[int, str], image: Array) -> float:
    """Sums and sums of squares of each channel, and the factor and summand made of them."""
    values = image.reshape(len(image), -1)
    total = np.abs(values).sum(axis=1, dtype=np.float64)
    mean = values.mean(axis=1, dtype=np.float64)
    squares = np.square(values - mean[:, np.newaxis]).sum(axis=1, dtype=np.float64)
    factor = 1.0 / np.sqrt(squares / values.shape[1] + float(params.get(1, "1e-3")))
    shift = np.zeros(1)
    if len(weights) == 2:
        factor, shift = factor * weights[0], weights[1]
    return max(_peak(each) for each in (total, squares, factor, shift - mean * factor))


def _affine(weights: Sequence[Array], params: dict[int, str]) -> float:
    """The factor and the summand that ncnn makes of a batch norm."""
    slope, mean, variance, bias = (array.astype(np.float64) for array in weights)
    factor = slope / np.sqrt(variance + float(params.get(1, "0")))
    return max(_peak(factor), _peak(bias - mean * factor))


def _gates(weights: Sequence[Array], params: dict[int, str], peaks: Sequence[float]) -> float:
    """What a gate comes to before it is squashed; a hidden state is at most 1, or what is given."""
    inner, bias, outer = weights[:3]
    hidden = int(params.get(3, params[0]))
    size = len(inner) * hidden // max(len(outer), 1) or 1
    of_input = np.abs(inner.reshape(-1, size)).sum(axis=1).max(initial=0.0)
    of_state = np.abs(outer.reshape(-1, hidden)).sum(axis=1).max(initial=0.0)
    return float(of_input * peaks[0] + of_state * max(1.0, *peaks[1:], 1.0) + 2.0 * _peak(bias))


def _unary(operation: str, peak: float) -> float:
    """What a function of single values has in between."""
    if operation in _SQUARING:
        return peak * peak
    # Through whole numbers of 16 bits, which end at half of what half floats hold.
    return 2.0 * peak if operation in _WHOLE else 0.0


def _activation_of(layer: dict[str, Any]) -> tuple[int, ...]:
    return _ACTIVATION if layer["type"] in _WEIGHTED and layer["type"] != "Gemm" else ()


def _peak(array: Array) -> float:
    """The largest absolute value; infinities and NaN count for themselves."""
    values = np.asarray(array)
    if not values.size:
        return 0.0
    largest = max(float(values.max()), -float(values.min()))  # without a copy of all of them
    if math.isfinite(largest):
        return largest
    return float(np.max(np.abs(values), initial=0.0, where=np.isfinite(values)))


def _adds(layer: dict[str, Any]) -> bool:
    """Whether such a layer adds in half floats on some processor."""
    return layer["type"] in (*_WEIGHTED, *_RECURRENT, *_OTHERS)


def _note(largest: dict[str, float], name: str, value: float) -> None:
    if value > max(largest.get(name, 0.0), _LARGEST):
        largest[name] = min(value, sys.float_info.max)
