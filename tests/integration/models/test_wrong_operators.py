"""Operators that are converted to something similar: the comparison must catch each of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from deployx_edge.errors import VerificationError
from tests.integration.models.onnx_models import constant, model, weights
from tests.integration.models.test_wrong_conversions import check, convert


def _chain(
    nodes: Sequence[onnx.NodeProto], shape: tuple[int, ...], constants: Sequence[onnx.TensorProto]
) -> onnx.ModelProto:
    """A model from the input ``x`` to the output ``y`` of any shape."""
    made = model(list(nodes), {"x": shape}, {"y": ()}, list(constants), opset=17)
    made.graph.output[0].type.tensor_type.ClearField("shape")
    return made


def _attention(scale: float = 0.5, axis: int = -1, turned: bool = True) -> onnx.ModelProto:
    swap = [0, 1, 3, 2] if turned else [0, 1, 2, 3]
    return _chain(
        [
            helper.make_node("MatMul", ["x", "wq"], ["q"], name="query"),
            helper.make_node("MatMul", ["x", "wk"], ["k"], name="key"),
            helper.make_node("Transpose", ["k"], ["kt"], perm=swap, name="turn"),
            helper.make_node("MatMul", ["q", "kt"], ["s"], name="scores"),
            helper.make_node("Mul", ["s", "scale"], ["ss"], name="scale"),
            helper.make_node("Softmax", ["ss"], ["p"], axis=axis, name="softmax"),
            helper.make_node("MatMul", ["p", "x"], ["y"], name="values"),
        ],
        (1, 2, 4, 4),
        [
            weights("wq", 4, 4),
            weights("wk", 4, 4),
            constant("scale", np.asarray(scale, dtype=np.float32)),
        ],
    )


def _lstm(order: Sequence[int] = (0, 1, 2, 3), direction: str = "forward") -> onnx.ModelProto:
    random = np.random.default_rng(5)
    gates = random.normal(size=(1, 4, 6, 5)).astype(np.float32)[:, list(order)]
    return _chain(
        [
            helper.make_node(
                "LSTM", ["x", "w", "r"], ["y"], hidden_size=6, direction=direction, name="lstm"
            )
        ],
        (7, 1, 5),
        [constant("w", gates.reshape(1, 24, 5)), weights("r", 1, 24, 6)],
    )


def _resize(
    mode: str = "linear", place: str = "half_pixel", cubic: float = -0.75
) -> onnx.ModelProto:
    return _chain(
        [
            helper.make_node(
                "Resize",
                ["x", "", "scales"],
                ["y"],
                mode=mode,
                coordinate_transformation_mode=place,
                cubic_coeff_a=cubic,
                name="resize",
            )
        ],
        (1, 2, 6, 5),
        [constant("scales", np.asarray([1, 1, 2, 2], dtype=np.float32))],
    )


def _single(operator: str, shape: tuple[int, ...], **attributes: object) -> onnx.ModelProto:
    return _chain([helper.make_node(operator, ["x"], ["y"], name="it", **attributes)], shape, [])


def _normalized(epsilon: float = 1e-5, gain: float = 1.0) -> onnx.ModelProto:
    values = np.linspace(0.5, 1.5, 8, dtype=np.float32)
    values[3] *= gain
    return _chain(
        [
            helper.make_node(
                "LayerNormalization", ["x", "g", "b"], ["y"], epsilon=epsilon, name="norm"
            )
        ],
        (1, 5, 8),
        [constant("g", values), weights("b", 8)],
    )


def _joined(*order: str) -> onnx.ModelProto:
    return _chain(
        [
            helper.make_node("Split", ["x", "parts"], ["a", "b"], axis=1, name="split"),
            helper.make_node("Concat", list(order), ["y"], axis=1, name="join"),
        ],
        (1, 6, 4, 4),
        [constant("parts", np.asarray([3, 3]))],
    )


IMAGE = (1, 8, 6, 6)
# What is right, and a conversion that makes something similar of it.
WRONG_OPERATORS = {
    "attention scaled by another root": (_attention(), _attention(scale=0.25)),
    "softmax along queries": (_attention(), _attention(axis=-2)),
    "keys not transposed": (_attention(), _attention(turned=False)),
    "gates in another order": (_lstm(), _lstm(order=(1, 0, 2, 3))),
    "a sequence read backwards": (_lstm(), _lstm(direction="reverse")),
    "corners aligned": (_resize(), _resize(place="align_corners")),
    "pixels without halves": (_resize(), _resize(place="asymmetric")),
    "another cubic kernel": (_resize(mode="cubic"), _resize(mode="cubic", cubic=-0.5)),
    "linear for cubic": (_resize(mode="cubic"), _resize()),
    "a norm's epsilon": (_normalized(), _normalized(epsilon=1e-1)),
    "one gain of a norm": (_normalized(), _normalized(gain=1.05)),
    "parts in another order": (_joined("a", "b"), _joined("b", "a")),
    "padding counted": (
        _single("AveragePool", IMAGE, kernel_shape=[3, 3], pads=[1] * 4),
        _single("AveragePool", IMAGE, kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1),
    ),
    "depth in another order": (
        _single("DepthToSpace", IMAGE, blocksize=2, mode="DCR"),
        _single("DepthToSpace", IMAGE, blocksize=2, mode="CRD"),
    ),
    "a slope": (_single("LeakyRelu", IMAGE, alpha=0.1), _single("LeakyRelu", IMAGE, alpha=0.11)),
    "elu for selu": (_single("Selu", IMAGE), _single("Elu", IMAGE)),
    "axes swapped": (
        _single("Transpose", (1, 4, 4, 4), perm=[0, 1, 3, 2]),
        _single("Transpose", (1, 4, 4, 4), perm=[0, 2, 1, 3]),
    ),
    "the mean of another axis": (
        _single("ReduceMean", (1, 5, 5, 5), axes=[1], keepdims=1),
        _single("ReduceMean", (1, 5, 5, 5), axes=[2], keepdims=1),
    ),
}


@pytest.mark.parametrize("name", WRONG_OPERATORS)
def test_every_wrong_operator_is_caught(tmp_path: Path, name: str) -> None:
    original, mutated = WRONG_OPERATORS[name]
    result = check(original, convert(original, tmp_path / "right"), tmp_path)
    assert [output.verdict for output in result.outputs] == ["same"]
    assert result.outputs[0].relative_error < 1e-4
    with pytest.raises(VerificationError, match="output 'y'"):
        check(original, convert(mutated, tmp_path / "wrong"), tmp_path)
