"""What is asked of a quantization, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALGORITHMS = ("minmax", "percentile", "kl", "mse")
TUNINGS = ("none", "lsq", "adaround")
# What lies between layers, with the bits of each value.
ACTIVATIONS: Mapping[str, int] = {"int8": 8, "int16": 16}


@dataclass(frozen=True, kw_only=True)
class QuantizationSettings:
    """How scales and weights are found.

    ``algorithm``: what becomes of a tensor's values over the calibration data, one of
    ALGORITHMS. ``equalize`` evens out channels over neighbouring layers first (Nagel et al.
    2019), ``correct_bias`` takes the mean error off the biases, ``tuning`` trains weights
    against the float model block by block: "lsq" with the scales (Esser et al. 2020),
    "adaround" only which way each weight is rounded; ``tuning_steps`` for each block. ``seed``
    is of whatever is random. ``activations`` is one of ACTIVATIONS; weights are int8 in any case.
    """

    algorithm: str = "percentile"
    equalize: bool = False
    correct_bias: bool = False
    tuning: str = "none"
    tuning_steps: int = 300
    seed: int = 0
    activations: str = "int8"


@dataclass(frozen=True, kw_only=True)
class NodeForm:
    """How a runtime's int8 kernels want QuantizeLinear and DequantizeLinear nodes placed.

    ``fused`` are the activations that are computed together with the layer before them, with no
    pair in between; ``per_output`` the layers whose weights have a scale for each output, others
    have one for all. ``unsigned``: what lies between layers is uint8 with a zero point, so that
    values of one sign have all codes; else int8 around 0. ``bits`` are those of what lies between
    layers, ``widest`` the most that the kernels take there.
    """

    fused: tuple[str, ...] = ("Relu", "Clip", "Sigmoid", "Swish", "Mish", "LeakyRelu")
    per_output: tuple[str, ...] = ("Conv", "ConvTranspose", "Gemm")
    unsigned: bool = False
    bits: int = 8
    widest: int = 8


USUAL_FORM = NodeForm()

PRESETS: Mapping[str, QuantizationSettings] = {
    "fast": QuantizationSettings(algorithm="minmax"),
    "balanced": QuantizationSettings(algorithm="mse", correct_bias=True),
    "best": QuantizationSettings(algorithm="mse", correct_bias=True, tuning="lsq"),
}


@dataclass(frozen=True, kw_only=True)
class WeightLayout:
    """A layer whose weights are quantized: which axis of them counts outputs, and its groups.

    Outputs of one group share a scale where there are several (as ncnn has it), unless
    ``per_output``.
    """

    axis: int
    group: int = 1
    per_output: bool = True


@dataclass(frozen=True, kw_only=True)
class QuantizedLayer:
    """A layer's numbers: a value is its quantized value times the scale.

    ``quantized`` are the weights (int8, -127 … 127) in ONNX's shape, ``weight_scales`` one an
    output along ``axis``; ``activation_scale`` is that of what goes in, None where it is found at
    run time. ``bias`` as it was corrected, None where there is none or it stayed.
    """

    quantized: NDArray[Any]
    weight_scales: NDArray[Any]
    axis: int
    activation_scale: float | None
    bias: NDArray[Any] | None

    def weights(self) -> NDArray[Any]:
        """The weights that the quantized values stand for, float32."""
        import numpy as np

        shape = [1] * self.quantized.ndim
        shape[self.axis] = -1
        scales = self.weight_scales.astype(np.float32).reshape(shape)
        return self.quantized.astype(np.float32) * scales
