"""Sums inside a layer that half floats cannot hold, where every tensor is small enough."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

from deployx_edge.errors import UsageError
from deployx_edge.runtimes.converter import ConversionRequest, HalfOverflows
from deployx_edge.runtimes.ncnn import winograd
from deployx_edge.runtimes.ncnn.files import read_param
from deployx_edge.runtimes.ncnn.native.converter import NativeConverter
from deployx_edge.runtimes.onnx_converter import OnnxConverter
from deployx_edge.runtimes.reference import Reference
from deployx_edge.runtimes.runner import open_converted
from deployx_edge.sources.onnx.file import SourceTensor, read_onnx
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from tests.integration.models.onnx_models import constant, model, save

CHANNELS, SIDE = 256, 12
# The first half of the terms is added, the second taken away: what comes out is small.
SIGNS = np.repeat([1.0, -1.0], CHANNELS // 2)
RANDOM = np.random.default_rng(7)
# By node, whether its sums are made in half floats anywhere.
ADDING = {
    "conv": True,
    "conv3": True,
    "transposed": True,
    "gemm": True,
    "scaled": True,
    "matmul": True,
    "scores": True,
    "norm": True,
    "attention": True,
    "gru": True,
    "layer": False,
    "rms": False,
    "window": True,
    "asinh": True,
    "average": False,
    "mean": False,
    "soft": False,
}


def adding(path: Path) -> Path:
    """One operator of each kind that adds, beside each other, of an image of 256 channels."""
    make = helper.make_node
    nodes = [
        make("Conv", ["x", "w"], ["conv"], name="conv"),
        make("Conv", ["x", "w3"], ["conv3"], name="conv3", pads=[1] * 4),
        make("ConvTranspose", ["x", "wt"], ["transposed"], name="transposed"),
        make("GlobalAveragePool", ["x"], ["average"], name="average"),
        make("Flatten", ["average"], ["flat"], name="flat"),
        make("Gemm", ["flat", "fc"], ["gemm"], name="gemm"),
        make("Gemm", ["flat", "flat"], ["scaled"], name="scaled", alpha=1e-4, transB=1),
        make("Reshape", ["x", "shape"], ["rows"], name="rows"),
        make("Transpose", ["rows"], ["tokens"], perm=[0, 2, 1], name="tokens"),
        make("MatMul", ["tokens", "fc"], ["matmul"], name="matmul"),
        make("Mul", ["rows", "signs"], ["signed"], name="signed"),
        make("MatMul", ["tokens", "signed"], ["scores"], name="scores"),
        make("Transpose", ["signed"], ["keys"], perm=[0, 2, 1], name="keys"),
        make("Attention", ["tokens", "keys", "tokens"], ["attention"], name="attention",
             scale=1e-3, q_num_heads=1, kv_num_heads=1),
        make("InstanceNormalization", ["x", "ones", "zeros"], ["norm"], name="norm"),
        make("LayerNormalization", ["tokens", "ones"], ["layer"], name="layer"),
        make("RMSNormalization", ["tokens", "ones"], ["rms"], name="rms"),
        make("ReduceMean", ["x", "axes"], ["mean"], name="mean"),
        make("AveragePool", ["x"], ["window"], name="window", kernel_shape=[10, 10]),
        make("Asinh", ["x"], ["asinh"], name="asinh"),
        make("Softmax", ["tokens"], ["soft"], name="soft"),
        make("Transpose", ["tokens"], ["steps"], perm=[1, 0, 2], name="steps"),
        make("GRU", ["steps", "wg", "rg"], ["gru"], name="gru", hidden_size=4,
             linear_before_reset=1),
    ]  # fmt: skip
    w = np.tile(SIGNS.reshape(1, -1, 1, 1), (8, 1, 1, 1))
    values = {
        "w": w,
        "w3": np.tile(w / 9, (1, 1, 3, 3)),
        "wt": np.tile(w.transpose(1, 0, 2, 3) / 4, (1, 1, 2, 2)),
        "fc": w.reshape(8, CHANNELS).T,
        "signs": SIGNS.reshape(-1, 1) * 1e-3,
        "ones": np.ones(CHANNELS),
        "zeros": np.zeros(CHANNELS),
        "wg": np.tile(SIGNS, (1, 12, 1)),
        "rg": np.zeros((1, 12, 4)),
    }
    constants = [
        *(constant(name, np.ascontiguousarray(v, dtype=np.float32)) for name, v in values.items()),
        constant("shape", np.asarray([1, CHANNELS, SIDE * SIDE])),
        constant("axes", np.asarray([2, 3])),
    ]
    made = model(nodes, {"x": (1, CHANNELS, SIDE, SIDE)}, {}, constants, opset=23, ir_version=10)
    made.graph.output.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ADDING
    )
    return save(made, path)


def image(mean: float) -> dict[str, NDArray[Any]]:
    """Values that are nearly the same everywhere, so that what is taken away is what was added."""
    noise = RANDOM.standard_normal((1, CHANNELS, SIDE, SIDE)).astype(np.float32)
    return {"x": np.float32(mean) * (1 + np.float32(0.01) * noise)}


def found_by(overflows: HalfOverflows) -> set[str]:
    """The nodes whose layers would be kept in fp32."""
    return {name.partition("/")[0] for name in (*overflows.sums, *overflows.tensors)}


def test_sums_beyond_half_floats_are_found_where_ncnn_makes_them_in_half_floats(
    tmp_path: Path,
) -> None:
    source, inputs = read_onnx(adding(tmp_path / "m.onnx"), {}), image(800.0)
    found = NativeConverter().find_overflows(source, [inputs], "fp32")
    assert found_by(found) == {name for name, adds in ADDING.items() if adds}
    # What stands behind it: the halves that the sum is made of, added one after the other.
    with np.errstate(over="ignore"):
        halves = np.add.accumulate((SIGNS * inputs["x"][0, :, 0, 0]).astype(np.float16))
    assert np.isinf(halves).any()
    assert found.sums["conv"] == pytest.approx(CHANNELS * 800.0, rel=0.01)
    assert set(found.tensors) == {"scaled/matmul"}  # before it is multiplied by alpha


def test_a_run_that_shows_what_is_inside_finds_them_as_well(tmp_path: Path) -> None:
    """So a model is run once, where it is proven."""
    source, inputs = read_onnx(adding(tmp_path / "m.onnx"), {}), image(800.0)
    given = Reference(source).run(inputs)
    outputs = tuple(SourceTensor(name=name, shape=given[name].shape) for name in ADDING)
    (tmp_path / "made").mkdir()
    request = ConversionRequest(outputs=outputs, precision="fp32", folder=tmp_path / "made")
    made = NativeConverter().convert(source, request)
    assert made.layers
    with open_converted(made) as opened:
        opened.run(inputs, ("conv",))
        assert opened.overflows is None
        opened.run(inputs, ("conv",), measure=True)
        found = opened.overflows
    wanted = NativeConverter().find_overflows(source, [inputs], "fp32")
    assert found is not None
    assert set(found.sums) == set(wanted.sums)
    assert set(found.tensors) == set(wanted.tensors)
    assert [found.sums[name] for name in wanted.sums] == pytest.approx(list(wanted.sums.values()))


def test_smaller_sums_keep_no_layer(tmp_path: Path) -> None:
    source = read_onnx(adding(tmp_path / "m.onnx"), {})
    for converter in (NativeConverter(), OnnxConverter("onnxruntime")):
        found = converter.find_overflows(source, [image(10.0)], "fp16")
        assert found == HalfOverflows()


def test_sums_of_a_file_for_onnx_runtime_are_found(tmp_path: Path) -> None:
    source, inputs = read_onnx(adding(tmp_path / "m.onnx"), {}), image(800.0)
    converter = OnnxConverter("onnxruntime")
    assert converter.find_overflows(source, [inputs], "fp32") == HalfOverflows()
    found = converter.find_overflows(source, [inputs], "fp16")
    products = {"conv", "conv3", "transposed", "gemm", "scaled", "matmul", "scores"}
    assert set(found.sums) == {*products, "average", "window"}
    assert found.sums["average"] == pytest.approx(SIDE * SIDE * 800.0, rel=0.01)
    assert found.sums["conv"] == pytest.approx(CHANNELS * 800.0, rel=0.01)


@pytest.mark.parametrize(
    ("runtime", "verify"), [("ncnn", False), ("ncnn", True), ("onnxruntime", False)]
)
def test_layers_with_such_sums_stay_fp32_and_the_bundle_says_why(
    tmp_path: Path, runtime: str, verify: bool
) -> None:
    np.savez(tmp_path / "sample.npz", **image(800.0))  # type: ignore[arg-type]
    options = BundleOptions(
        runtime=runtime,
        precision="fp16",
        samples=(tmp_path / "sample.npz",),
        verify=verify,
        accept_unproven=True,
        keep_float=("soft",),
    )
    bundle = make_bundle(adding(tmp_path / "m.onnx"), tmp_path / "b", options)
    notes = " ".join(bundle.provenance.notes)
    assert "stay fp32 where half floats are used: conv, conv3, transposed and " in notes
    assert re.search(r"adds up inside may reach \d\.\d\de\+0\d, fp16 ends at 65504", notes)
    assert "soft; they were asked for (--keep-float)" in notes
    if runtime == "onnxruntime":
        graph = onnx.load(bundle.path("onnx")).graph
        stored = {tensor.name: tensor.data_type for tensor in graph.initializer}
        convs = [node for node in graph.node if node.name in ("conv", "conv3")]
        assert {stored[node.input[1]] for node in convs} == {onnx.TensorProto.FLOAT}
        return
    masks = {
        layer.name: dict(layer.params).get(31)
        for layer in read_param(bundle.path("param"))
        if layer.type not in ("Split", "DeepCopy")
    }
    assert {name for name, mask in masks.items() if mask} >= {"conv", "conv3", "scores", "norm"}
    assert (masks["soft"], masks["conv"], masks["layer"]) == ("7", "3", None)


@pytest.mark.parametrize("runtime", ["ncnn", "onnxruntime"])
def test_a_layer_to_keep_that_there_is_not_is_refused_with_near_names(
    tmp_path: Path, runtime: str
) -> None:
    options = BundleOptions(runtime=runtime, precision="fp16", keep_float=("conv33",))
    with pytest.raises(UsageError, match=r"no layer 'conv33' .* Did you mean conv3 or conv\?"):
        make_bundle(adding(tmp_path / "m.onnx"), tmp_path / "b", options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (BundleOptions(converter="pnnx", keep_float=("a",)), "pnnx renames them"),
        (BundleOptions(runtime="onnxruntime", keep_float=("a",)), "fp32 throughout"),
    ],
)
def test_layers_cannot_be_kept_where_that_means_nothing(
    tmp_path: Path, options: BundleOptions, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        make_bundle(adding(tmp_path / "m.onnx"), tmp_path / "b", options)


@pytest.mark.parametrize("use", [winograd.FOUR, winograd.SIX], ids=["4x4", "6x6"])
def test_winograds_transforms_are_a_convolution(use: winograd.Transform) -> None:
    size = len(use.image)
    tile, kernel = RANDOM.standard_normal((size, size)), RANDOM.standard_normal((3, 3))
    inner = (use.kernel @ kernel @ use.kernel.T) * (use.image @ tile @ use.image.T)
    wanted = [
        [(tile[y : y + 3, x : x + 3] * kernel).sum() for x in range(use.step)]
        for y in range(use.step)
    ]
    np.testing.assert_allclose(use.result @ inner @ use.result.T, wanted, atol=1e-12)


@pytest.mark.parametrize("channels", [16, 160])
@pytest.mark.parametrize("pads", [((0, 0), (0, 0)), ((1, 1), (1, 1)), ((2, 0), (0, 1))])
def test_what_winograd_has_in_between_is_never_more_than_what_is_found(
    channels: int, pads: winograd.Pads
) -> None:
    image = RANDOM.standard_normal((channels, 13, 17)).astype(np.float32)
    kernel = RANDOM.standard_normal((24, channels, 3, 3)).astype(np.float32)
    found = winograd.largest_inside(image, kernel, pads, limit=0.0)
    bound = winograd.largest_inside(image, kernel, pads, limit=np.inf)
    use = winograd.chosen(channels, 24)
    padded = np.pad(image, ((0, 0), *pads))
    inner = use.kernel @ kernel @ use.kernel.T
    size = len(use.image)
    largest = 0.0
    for y in range(0, padded.shape[1] - size + 1, use.step):
        for x in range(0, padded.shape[2] - size + 1, use.step):
            turned = use.image @ padded[:, y : y + size, x : x + size] @ use.image.T
            summed = np.cumsum(inner * turned, axis=1)
            back = use.result @ summed[:, -1] @ use.result.T
            largest = max(largest, *(abs(each).max() for each in (turned, summed, back)))
    assert largest <= found <= 60 * largest
    assert found <= bound * (1 + 1e-5)
    # What is held by the bound is looked at no closer, the rest is.
    assert winograd.largest_inside(image, kernel, pads, limit=found) <= bound
