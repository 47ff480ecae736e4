"""What is beyond ncnn in fp32: ONNX Runtime, half floats and their range, open axes, samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from deployx_edge.errors import ModelError, UsageError, VerificationError
from deployx_edge.runtimes.ncnn.files import read_param
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from deployx_edge.workflows.convert.inspect import inspect_model
from deployx_edge.workflows.measure.run import run_anywhere, run_bundle_here
from tests.integration.models.onnx_models import constant, model, save, small_cnn, weights

DIGITS = Path(__file__).parents[3] / "examples" / "digits"
HERE = "tests.integration.models.torch_models"
HALF = 65504.0


def digits() -> np.ndarray:
    with np.load(DIGITS / "digits_test.npz") as file:
        return np.asarray(file["image"][:5])


def wide_model(path: Path, factor: float = 3e5) -> Path:
    """Conv, Relu, times ``factor``, Conv, times its inverse: the middle is beyond fp16.

    The second convolution takes the inverse into its weights.
    """
    return save(
        model(
            [
                helper.make_node("Conv", ["x", "w1"], ["a"], pads=[1] * 4, name="first"),
                helper.make_node("Relu", ["a"], ["b"], name="relu"),
                helper.make_node("Mul", ["b", "up"], ["c"], name="grow"),
                helper.make_node("Conv", ["c", "w2"], ["d"], pads=[1] * 4, name="middle"),
                helper.make_node("Mul", ["d", "down"], ["y"], name="shrink"),
            ],
            {"x": (1, 3, 8, 8)},
            {"y": (1, 4, 8, 8)},
            [
                weights("w1", 8, 3, 3, 3),
                weights("w2", 4, 8, 3, 3),
                constant("up", np.asarray(factor, dtype=np.float32)),
                constant("down", np.asarray(1 / factor, dtype=np.float32)),
            ],
        ),
        path,
    )


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_onnx_runtime_runs_what_was_made_for_it(tmp_path: Path, precision: str) -> None:
    options = BundleOptions(runtime="onnxruntime", precision=precision)
    bundle = make_bundle(DIGITS / "digits_cnn.onnx", tmp_path / "b", options)
    assert (bundle.runtime, bundle.precision) == ("onnxruntime", precision)
    made = onnx.load(bundle.path("onnx"))
    types = {t.data_type for t in made.graph.initializer if len(t.dims) > 1}
    wanted_type = TensorProto.FLOAT if precision == "fp32" else TensorProto.FLOAT16
    assert types == {wanted_type}
    assert not [n for n in made.graph.node if n.op_type == "BatchNormalization"]
    images = digits()
    found = run_bundle_here(bundle, {"image": images})["scores"]
    source = run_anywhere(DIGITS / "digits_cnn.onnx", [str(DIGITS / "digits_test.npz")], None)
    wanted = source.arrays["scores"][:5]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 if precision == "fp32" else 0.1)
    intermediates = bundle.provenance.verification.intermediates
    assert intermediates is not None
    assert intermediates.compared == 11


def test_a_quantized_model_passes_through(tmp_path: Path) -> None:
    scale = constant("scale", np.asarray(0.02, dtype=np.float32))
    zero = constant("zero", np.asarray(0, dtype=np.int8))
    made = model(
        [
            helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"], name="q"),
            helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["dq"], name="dq"),
            helper.make_node("Conv", ["dq", "w"], ["y"], name="conv"),
        ],
        {"x": (1, 3, 8, 8)},
        {"y": (1, 4, 6, 6)},
        [scale, zero, weights("w", 4, 3, 3, 3)],
    )
    path = save(made, tmp_path / "qdq.onnx")
    bundle = make_bundle(path, tmp_path / "b", BundleOptions(runtime="onnxruntime"))
    operators = [node.op_type for node in onnx.load(bundle.path("onnx")).graph.node]
    assert operators == ["QuantizeLinear", "DequantizeLinear", "Conv"]


def test_whole_numbers_go_in_where_the_runtime_takes_them(tmp_path: Path) -> None:
    inputs = ("ids:1x7:int64", "mask:1x7")
    options = BundleOptions(runtime="onnxruntime", input_shapes=inputs)
    bundle = make_bundle(Path(f"{HERE}:embedded"), tmp_path / "b", options)
    assert [spec.dtype for spec in bundle.inputs] == ["int64", "float32"]
    arrays = {"ids": np.arange(7)[None], "mask": np.ones((1, 7), dtype=np.float32)}
    assert run_bundle_here(bundle, arrays)["output"].shape == (1, 7, 8)
    with pytest.raises(UsageError, match="'ids' is int64, the array given for it is int32"):
        run_bundle_here(bundle, {**arrays, "ids": arrays["ids"].astype(np.int32)})


def test_axes_stay_open_between_their_bounds(tmp_path: Path) -> None:
    inputs = ("image:1x3x{8..12..16}x{8..16}",)
    options = BundleOptions(runtime="onnxruntime", input_shapes=inputs)
    bundle = make_bundle(Path(f"{HERE}:convolutional"), tmp_path / "b", options)
    (spec,) = bundle.inputs
    assert spec.shape == (1, 3, 12, 16)
    for size in (8, 11, 16):
        array = np.ones((1, 3, size, size), dtype=np.float32)
        assert run_bundle_here(bundle, {"image": array})["output"].shape == (1, 8)
    for size in (7, 17):
        array = np.ones((1, 3, size, size), dtype=np.float32)
        with pytest.raises(UsageError, match=r"Input 'image' has the shape Nx3x\{8\.\.16\}x"):
            run_bundle_here(bundle, {"image": array})
    with pytest.raises(ModelError, match="'image' has axes that stay open"):
        make_bundle(
            Path(f"{HERE}:convolutional"), tmp_path / "n", BundleOptions(input_shapes=inputs)
        )


@pytest.mark.parametrize("runtime", ["ncnn", "onnxruntime"])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_layers_beyond_the_range_of_half_floats_stay_fp32(
    tmp_path: Path, runtime: str, precision: str
) -> None:
    path = wide_model(tmp_path / "wide.onnx")
    bundle = make_bundle(path, tmp_path / "b", BundleOptions(runtime=runtime, precision=precision))
    if runtime == "onnxruntime" and precision == "fp32":
        assert bundle.provenance.notes == ()
        return
    (note,) = bundle.provenance.notes
    assert "stay fp32 where half floats are used: grow, middle;" in note
    assert "fp16 ends at 65504" in note
    if runtime == "ncnn":
        layers = {layer.name: layer for layer in read_param(bundle.path("param"))}
        masked = [name for name, layer in layers.items() if (31, "3") in layer.params]
        assert masked == ["grow", "middle"]
        assert layers["grow"].bottoms == layers["b/float"].tops
        assert layers["b/float"].type == "DeepCopy"


def test_small_values_keep_no_layer(tmp_path: Path) -> None:
    path = wide_model(tmp_path / "m.onnx", factor=3.0)
    bundle = make_bundle(path, tmp_path / "b", BundleOptions(precision="fp16"))
    assert bundle.provenance.notes == ()
    assert "31=3" not in bundle.path("param").read_text()


def test_inspect_lists_what_is_beyond_half_floats(tmp_path: Path) -> None:
    found = inspect_model(wide_model(tmp_path / "wide.onnx"))
    assert [item.tensor for item in found.wide] == ["c", "d"]
    assert all(item.largest > HALF for item in found.wide)
    assert inspect_model(wide_model(tmp_path / "m.onnx", factor=3.0)).wide == ()


def test_a_weight_beyond_half_floats_stays_fp32(tmp_path: Path) -> None:
    made = small_cnn()
    for tensor in made.graph.initializer:
        if tensor.name == "w3":
            values = np.array(onnx.numpy_helper.to_array(tensor))
            values[0, 0, 0, 0] = 7e4
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, "w3"))
    path = save(made, tmp_path / "m.onnx")
    bundle = make_bundle(path, tmp_path / "b", BundleOptions(precision="fp16"))
    assert "strided" in bundle.provenance.notes[0]


def test_bf16_is_as_exact_as_it_can_be(tmp_path: Path) -> None:
    bundle = make_bundle(
        DIGITS / "digits_cnn.onnx", tmp_path / "b", BundleOptions(precision="bf16")
    )
    (check,) = bundle.provenance.verification.outputs
    assert 2**-12 < check.relative_error < 2**-5  # bf16 has 8 bits
    size = {file.role: file.size for file in bundle.files}["bin"]
    whole = make_bundle(DIGITS / "digits_cnn.onnx", tmp_path / "f")
    assert 0.49 < size / {file.role: file.size for file in whole.files}["bin"] < 0.52
    with pytest.raises(UsageError, match="bf16 is not available for onnxruntime"):
        make_bundle(
            DIGITS / "digits_cnn.onnx",
            tmp_path / "o",
            BundleOptions(runtime="onnxruntime", precision="bf16"),
        )


def test_samples_of_the_user_are_compared_first(tmp_path: Path) -> None:
    for samples, count in (
        ((DIGITS / "digits_test.npz",), 16),
        ((DIGITS,), 3),  # the images in the folder
        ((DIGITS / "digit_3.png",), 1),
    ):
        bundle = make_bundle(
            DIGITS / "digits_cnn.onnx", tmp_path / "b", BundleOptions(samples=samples)
        )
        verification = bundle.provenance.verification
        assert (verification.samples, verification.inputs) == (count, count + 6)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"pixels": np.ones((1, 1, 8, 8))}, "no array for the input 'image', only pixels"),
        ({"image": np.ones((2, 1, 8, 9))}, "the input is (1, 1, 8, 8)"),
        ({"image": np.full((1, 1, 8, 8), np.nan)}, "hold NaN"),
    ],
)
def test_samples_that_do_not_fit(tmp_path: Path, arrays: dict[str, np.ndarray], words: str) -> None:
    np.savez(tmp_path / "s.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(UsageError) as caught:
        make_bundle(
            DIGITS / "digits_cnn.onnx",
            tmp_path / "b",
            BundleOptions(samples=(tmp_path / "s.npz",)),
        )
    assert words in str(caught.value)


def test_a_source_that_gives_nan(tmp_path: Path) -> None:
    made = model(
        [
            helper.make_node("Sqrt", ["x"], ["r"], name="root"),
            helper.make_node("Sub", ["r", "two"], ["s"], name="minus"),
            helper.make_node("Log", ["s"], ["y"], name="log"),
        ],
        {"x": (1, 3, 8, 8)},
        {"y": (1, 3, 8, 8)},
        [constant("two", np.asarray(2, dtype=np.float32))],
    )
    path = save(made, tmp_path / "nan.onnx")
    with pytest.raises(VerificationError, match="gives NaN or infinite values for 6 of 6"):
        make_bundle(path, tmp_path / "b")
