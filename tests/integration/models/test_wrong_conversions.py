"""Conversions that are wrong on purpose: the comparison must catch every one of them.

The converter here converts a mutated model while the reference stays the original's, or
its .param/.bin is changed after the conversion.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from deployx_edge.bundle import Verification
from deployx_edge.comparison import structured_inputs
from deployx_edge.errors import VerificationError
from deployx_edge.runtimes import ncnn as ncnn_runtime
from deployx_edge.runtimes.converter import ConversionRequest, ConvertedModel
from deployx_edge.runtimes.ncnn.native.converter import NativeConverter
from deployx_edge.runtimes.reference import Reference
from deployx_edge.runtimes.verification import verify
from deployx_edge.sources.onnx.file import OnnxSource, SourceTensor, read_onnx
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from tests.integration.models.onnx_models import (
    bypass,
    initializer,
    model,
    node,
    replace_initializer,
    save,
    small_cnn,
    weights,
)

Mutation = Callable[[onnx.ModelProto], None]


def convert(made: onnx.ModelProto, folder: Path, precision: str = "fp32") -> ConvertedModel:
    folder.mkdir(exist_ok=True)
    source = read_onnx(save(made, folder / "source.onnx"), {})
    first = Reference(source).run(structured_inputs(source.inputs)[0])
    outputs = tuple(SourceTensor(name=n, shape=a.shape) for n, a in first.items())
    request = ConversionRequest(outputs=outputs, precision=precision, folder=folder)
    return NativeConverter().convert(source, request)


def check(
    original: onnx.ModelProto, converted: ConvertedModel, folder: Path, **options: bool
) -> Verification:
    source = read_onnx(save(original, folder / "original.onnx"), {})
    return verify(converted, Reference(source), structured_inputs(source.inputs), **options)


def _swapped_axes(made: onnx.ModelProto) -> None:
    replace_initializer(made, "w1", initializer(made, "w1").transpose(0, 1, 3, 2))


def _missing_bias(made: onnx.ModelProto) -> None:
    del node(made, "strided").input[2]


def _missing_last_bias(made: onnx.ModelProto) -> None:
    replace_initializer(made, "b4", np.zeros(6))


def _wrong_padding(made: onnx.ModelProto) -> None:
    strided = node(made, "strided")
    next(a for a in strided.attribute if a.name == "pads").ints[:] = [0, 0, 2, 2]


def _shifted_crop(made: onnx.ModelProto) -> None:
    depthwise = node(made, "depthwise")
    next(a for a in depthwise.attribute if a.name == "pads").ints[:] = [0, 1, 2, 1]


def _transposed_weights(made: onnx.ModelProto) -> None:
    values = initializer(made, "w4")
    replace_initializer(made, "w4", values.T.reshape(values.shape))


def _missing_activation(made: onnx.ModelProto) -> None:
    bypass(made, "relu2")


def _scaled_weight(made: onnx.ModelProto) -> None:
    replace_initializer(made, "w2", initializer(made, "w2") * 1.05)


def _one_scaled_filter(made: onnx.ModelProto) -> None:
    values = initializer(made, "w3").copy()
    values[5] *= 0.9
    replace_initializer(made, "w3", values)


def _dropped_batch_norm(made: onnx.ModelProto) -> None:
    bypass(made, "norm1")


def _average_for_maximum(made: onnx.ModelProto) -> None:
    node(made, "pool").op_type = "AveragePool"


def _reordered_scores(made: onnx.ModelProto) -> None:
    order = [1, 0, 2, 3, 4, 5]
    replace_initializer(made, "w4", initializer(made, "w4")[order])
    replace_initializer(made, "b4", initializer(made, "b4")[order])


def _swapped_colours(made: onnx.ModelProto) -> None:
    replace_initializer(made, "w1", initializer(made, "w1")[:, ::-1])


MUTATIONS: tuple[Mutation, ...] = (
    _swapped_axes,
    _missing_bias,
    _missing_last_bias,
    _wrong_padding,
    _shifted_crop,
    _transposed_weights,
    _missing_activation,
    _scaled_weight,
    _one_scaled_filter,
    _dropped_batch_norm,
    _average_for_maximum,
    _reordered_scores,
    _swapped_colours,
)


@pytest.mark.parametrize(
    ("precision", "last_bias"), [("fp32", 0.1), ("fp32", 1000.0), ("fp16", 0.1)]
)
def test_a_right_conversion_passes_with_room(
    tmp_path: Path, precision: str, last_bias: float
) -> None:
    original = small_cnn(last_bias=last_bias)
    result = check(original, convert(original, tmp_path / "c", precision), tmp_path)
    (output,) = result.outputs
    assert result.status == "passed"
    assert result.inputs == 6
    assert output.relative_error < {"fp32": 1e-4, "fp16": 5e-3}[precision]


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda m: m.__name__.strip("_"))
@pytest.mark.parametrize("last_bias", [0.1, 1000.0], ids=["plain", "bias-dominated"])
def test_every_wrong_conversion_is_caught(
    tmp_path: Path, mutate: Mutation, last_bias: float
) -> None:
    original, mutated = small_cnn(last_bias=last_bias), small_cnn(last_bias=last_bias)
    mutate(mutated)
    converted = convert(mutated, tmp_path / "c")
    with pytest.raises(VerificationError, match="output 'scores' is off by"):
        check(original, converted, tmp_path)


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda m: m.__name__.strip("_"))
def test_every_wrong_conversion_is_caught_in_half_precision(
    tmp_path: Path, mutate: Mutation
) -> None:
    mutated = small_cnn()
    mutate(mutated)
    with pytest.raises(VerificationError, match="output 'scores' is off by"):
        check(small_cnn(), convert(mutated, tmp_path / "c", "fp16"), tmp_path)


def test_a_bias_dominated_output_has_a_cosine_of_one_when_wrong(tmp_path: Path) -> None:
    """Why the error is measured against the variation: the raw outputs look alike."""
    original, mutated = small_cnn(last_bias=1000.0), small_cnn(last_bias=1000.0)
    _dropped_batch_norm(mutated)
    source = read_onnx(save(original, tmp_path / "a.onnx"), {})
    other = read_onnx(save(mutated, tmp_path / "b.onnx"), {})
    for arrays in structured_inputs(source.inputs):
        first = Reference(source).run(arrays)["scores"].ravel().astype(np.float64)
        second = Reference(other).run(arrays)["scores"].ravel().astype(np.float64)
        cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
        assert cosine > 0.99999


@pytest.mark.parametrize("mutate", [None, *MUTATIONS], ids=lambda m: m and m.__name__.strip("_"))
def test_a_saturated_softmax_proves_nothing(tmp_path: Path, mutate: Mutation | None) -> None:
    def made() -> onnx.ModelProto:
        saturated = small_cnn(scores_gain=0.01, tail="Softmax")
        replace_initializer(saturated, "b4", np.asarray([60, 0, 0, 0, 0, 0]))
        return saturated

    mutated = made()
    if mutate is not None:
        mutate(mutated)
    converted = convert(mutated, tmp_path / "c")
    wanted = "is off by|proves nothing"
    with pytest.raises(VerificationError, match="proves nothing" if mutate is None else wanted):
        check(made(), converted, tmp_path)


def test_an_unproven_output_may_be_accepted_but_not_a_wrong_one(tmp_path: Path) -> None:
    def made(winner: int) -> onnx.ModelProto:
        saturated = small_cnn(scores_gain=0.01, tail="Softmax")
        replace_initializer(saturated, "b4", np.eye(6)[winner] * 60)
        return saturated

    right, wrong = convert(made(0), tmp_path / "r"), convert(made(1), tmp_path / "w")
    accepted = check(made(0), right, tmp_path, accept_unproven=True)
    assert accepted.status == "accepted"
    assert [output.verdict for output in accepted.outputs] == ["unproven"]
    with pytest.raises(VerificationError, match="is off by"):
        check(made(0), wrong, tmp_path, accept_unproven=True)


def _two_outputs() -> onnx.ModelProto:
    return model(
        [
            helper.make_node("Conv", ["left", "w"], ["c"], pads=[1] * 4),
            helper.make_node("Conv", ["right", "v"], ["d"], pads=[1] * 4),
            helper.make_node("Add", ["c", "d"], ["sum"]),
            helper.make_node("Tanh", ["d"], ["gate"]),
        ],
        {"left": (1, 3, 12, 12), "right": (1, 3, 12, 12)},
        {"sum": (1, 4, 12, 12), "gate": (1, 4, 12, 12)},
        [weights("w", 4, 3, 3, 3), weights("v", 4, 3, 3, 3)],
    )


def test_permuted_inputs_and_outputs_are_caught(tmp_path: Path) -> None:
    converted = convert(_two_outputs(), tmp_path / "c")
    assert check(_two_outputs(), converted, tmp_path).status == "passed"
    (left, right), (total, gate) = converted.inputs, converted.outputs
    for swapped in (
        replace(
            converted,
            outputs=(
                replace(total, runtime_name=gate.runtime_name),
                replace(gate, runtime_name=total.runtime_name),
            ),
        ),
        replace(
            converted,
            inputs=(
                replace(left, runtime_name=right.runtime_name),
                replace(right, runtime_name=left.runtime_name),
            ),
        ),
    ):
        with pytest.raises(VerificationError, match="output 'sum' is off by"):
            check(_two_outputs(), swapped, tmp_path)


def _edit_param(pattern: str, replacement: str) -> Callable[[ConvertedModel], None]:
    def edit(converted: ConvertedModel) -> None:
        path = converted.path("param")
        text = path.read_text()
        changed = re.sub(pattern, replacement, text, count=1, flags=re.MULTILINE)
        assert changed != text
        path.write_text(changed)

    return edit


def _edit_bin(converted: ConvertedModel) -> None:
    path = converted.path("bin")
    content = bytearray(path.read_bytes())
    start = 4 + 4 * 10  # the tag, then the tenth weight of the first layer
    content[start : start + 4] = np.float32(0.0).tobytes()
    path.write_bytes(bytes(content))


PARAM_EDITS = {
    "stride": _edit_param(r"^(Convolution .*) 3=2", r"\1 3=1"),
    "padding": _edit_param(r"^(ConvolutionDepthWise .*) 4=1", r"\1 4=0"),
    "padding-value": _edit_param(r"^(Convolution .*)$", r"\1 18=1.0"),
    "activation": _edit_param(r"^(Convolution .*) 9=1", r"\1"),
    "leaky-activation": _edit_param(r"^(Convolution .*) 9=1", r"\1 9=2 -23310=1,0.01"),
    "pooling": _edit_param(r"^(Pooling .*) 0=0", r"\1 0=1"),
    "pooling-stride": _edit_param(r"^(Pooling .*) 2=2", r"\1 2=1"),
    "weight": _edit_bin,
}


@pytest.mark.parametrize("name", PARAM_EDITS)
def test_edited_files_are_caught(tmp_path: Path, name: str) -> None:
    original = small_cnn()
    converted = convert(original, tmp_path / "c")
    PARAM_EDITS[name](converted)
    with pytest.raises(VerificationError):
        check(original, converted, tmp_path)


def test_a_small_wrong_channel_beside_a_large_right_one_is_caught(tmp_path: Path) -> None:
    """Boxes of 0 … 600 and scores of 0 … 1 in one output: the scores must not drown."""

    def made(gain: float) -> onnx.ModelProto:
        return model(
            [
                helper.make_node("Conv", ["image", "w"], ["c"], pads=[1] * 4),
                helper.make_node("Mul", ["c", "gains"], ["all"]),
            ],
            {"image": (1, 3, 16, 16)},
            {"all": (1, 4, 16, 16)},
            [
                weights("w", 4, 3, 3, 3),
                helper.make_tensor(
                    "gains", onnx.TensorProto.FLOAT, [1, 4, 1, 1], [600.0, 600.0, 600.0, gain]
                ),
            ],
        )

    assert check(made(1.0), convert(made(1.0), tmp_path / "r"), tmp_path).status == "passed"
    with pytest.raises(VerificationError, match="worst slice"):
        check(made(1.0), convert(made(1.1), tmp_path / "w"), tmp_path)


def test_a_shape_that_depends_on_values_is_refused(tmp_path: Path) -> None:
    """As many numbers as the input's largest value, rounded down, times a hundred."""
    counting = model(
        [
            helper.make_node("Mul", ["x", "hundred"], ["large"]),
            helper.make_node("ReduceMax", ["large"], ["limit"], keepdims=0),
            helper.make_node("Range", ["zero", "limit", "one"], ["y"]),
        ],
        {"x": (1, 8)},
        {"y": ("count",)},
        [
            helper.make_tensor("hundred", onnx.TensorProto.FLOAT, [], [100.0]),
            helper.make_tensor("zero", onnx.TensorProto.FLOAT, [], [0.0]),
            helper.make_tensor("one", onnx.TensorProto.FLOAT, [], [1.0]),
        ],
    )
    fixed = model([helper.make_node("Relu", ["x"], ["y"])], {"x": (1, 8)}, {"y": (1, 8)})
    with pytest.raises(VerificationError, match="shape of the output 'y' depends on the input"):
        check(counting, convert(fixed, tmp_path / "c"), tmp_path)


class _Scaled(NativeConverter):
    """Converts with one layer's weights off by 5 %: less than what 16 bits may cost."""

    def convert(self, source: OnnxSource, request: ConversionRequest) -> ConvertedModel:
        made = onnx.load(source.path)
        _scaled_weight(made)
        other = read_onnx(save(made, request.folder / "other.onnx"), {})
        return super().convert(other, request)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_mistakes_that_fewer_bits_would_hide_show_in_fp32(
    tmp_path: Path, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(small_cnn(), tmp_path / "m.onnx")
    make_bundle(path, tmp_path / "right", BundleOptions(precision=precision))
    monkeypatch.setattr(ncnn_runtime, "converters", lambda: {"native": _Scaled})
    with pytest.raises(VerificationError, match=r"\(fp32\) differ from its source"):
        make_bundle(path, tmp_path / "wrong", BundleOptions(precision=precision))
