"""Models that come quantized, as ONNX Runtime's own quantizer writes them (QDQ)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from onnx import helper

from deployx_edge.comparison import structured_inputs
from deployx_edge.sources.onnx.file import OnnxSource, read_onnx
from tests.integration.models.examples_as_onnx import ROOT, export_example
from tests.integration.models.onnx_models import model, save, weights

Arrays = Mapping[str, np.ndarray]


class _Reader:
    """Calibration data as ONNX Runtime's own quantizer asks for it."""

    def __init__(self, inputs: Iterator[Arrays]) -> None:
        self._inputs = inputs

    def get_next(self) -> Arrays | None:
        return next(self._inputs, None)


def quantized(
    path: Path,
    folder: Path,
    *,
    per_channel: bool = True,
    operators: Sequence[str] = (),
    symmetric: bool = False,
) -> OnnxSource:
    """The model in int8 by ONNX Runtime's quantizer, calibrated on made-up inputs.

    Only these ``operators``, where some are named; ``symmetric`` with zero points of 0.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    logging.disable(logging.WARNING)
    made = folder / f"{path.stem}-{'symmetric' if symmetric else 'qdq'}.onnx"
    try:
        quantize_static(
            str(path),
            str(made),
            _Reader(iter(structured_inputs(read_onnx(path, {}).inputs))),
            quant_format=QuantFormat.QDQ,
            per_channel=per_channel,
            activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=list(operators) or None,
            extra_options={"ActivationSymmetric": symmetric},
        )
    finally:
        logging.disable(logging.NOTSET)
    return read_onnx(made, {})


def attention(folder: Path) -> Path:
    """x (1, 12, 32) -> attention of one head, added to x, and a feed-forward layer -> y."""
    nodes = [
        *(helper.make_node("MatMul", ["x", f"w{each}"], [each], f"to_{each}") for each in "qkv"),
        helper.make_node("Transpose", ["k"], ["kt"], "turn", perm=[0, 2, 1]),
        helper.make_node("MatMul", ["q", "kt"], ["raw"], "scores"),
        helper.make_node("Softmax", ["raw"], ["share"], "softmax", axis=-1),
        helper.make_node("MatMul", ["share", "v"], ["mixed"], "mix"),
        helper.make_node("Add", ["x", "mixed"], ["sum"], "residual"),
        helper.make_node("MatMul", ["sum", "wide"], ["inner"], "widen"),
        helper.make_node("Relu", ["inner"], ["kept"], "relu"),
        helper.make_node("MatMul", ["kept", "narrow"], ["y"], "narrow_"),
    ]
    tables = [
        *(weights(f"w{each}", 32, 32) for each in "qkv"),
        weights("wide", 32, 64),
        weights("narrow", 64, 32),
    ]
    return save(
        model(nodes, {"x": (1, 12, 32)}, {"y": (1, 12, 32)}, tables), folder / "attention.onnx"
    )


def network(name: str, folder: Path) -> Path:
    """One of the networks in float."""
    if name == "transformer":
        return attention(folder)
    if name == "digits":
        return ROOT / "examples" / "digits" / "digits_cnn.onnx"
    return export_example(name, folder)
