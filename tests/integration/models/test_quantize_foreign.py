"""Operators that PPQ does not know or errs at, and what is told while scales are found."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from deployx_edge.errors import ModelError, UsageError
from deployx_edge.progress import Share, Stage
from deployx_edge.quantization.values import PRESETS
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from deployx_edge.workflows.measure.run import run_bundle_here
from deployx_edge.workflows.quantize.quantize import QuantizeOptions, quantize
from deployx_edge.workflows.quantize.sensitivity import AccuracyGoal, quantize_by_sensitivity
from tests.integration.models.onnx_models import model, save, weights

DIGITS = Path(__file__).parents[3] / "examples" / "digits"
CALIBRATION, TEST = DIGITS / "digits_calibration.npz", DIGITS / "digits_test.npz"
FAST = QuantizeOptions(preset="fast", settings=PRESETS["fast"], count=16)
# Every pass that PPQ has.
ALL = replace(PRESETS["best"], equalize=True, tuning_steps=4)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model of two inputs, with windows that say little and operators that PPQ does not have."""
    folder = tmp_path_factory.mktemp("mixed")
    nodes = [
        helper.make_node("Conv", ["image", "w0"], ["a"], name="first", auto_pad="SAME_LOWER"),
        helper.make_node("Mish", ["a"], ["b"], name="mish"),
        helper.make_node("MaxPool", ["b"], ["c"], name="pool", kernel_shape=[2, 2]),
        helper.make_node("Conv", ["c", "w1", ""], ["d"], name="second"),
        helper.make_node("LRN", ["d"], ["e"], name="lrn", size=3),
        helper.make_node("ConvTranspose", ["e", "w2"], ["f"], name="up", output_shape=[15, 15]),
        helper.make_node("Resize", ["f", "", "scales"], ["g"], name="larger", mode="linear"),
        helper.make_node("GlobalMaxPool", ["g"], ["h"], name="largest"),
        helper.make_node("Flatten", ["h"], ["i"], name="flat"),
        helper.make_node("Concat", ["i", "meta"], ["j"], name="joined", axis=1),
        helper.make_node("Gemm", ["j", "w3"], ["y"], name="sums"),
    ]
    made = model(
        nodes,
        {"image": (1, 3, 15, 15), "meta": (1, 4)},
        {"y": (1, 5)},
        [
            weights("w0", 8, 3, 3, 3),
            weights("w1", 6, 8, 1, 1),
            weights("w2", 6, 4, 3, 3),
            weights("w3", 8, 5),
            numpy_helper.from_array(np.array([1, 1, 2, 2], dtype=np.float32), "scales"),
        ],
        opset=18,
    )
    random = np.random.default_rng(0)
    np.savez(
        folder / "data.npz",
        image=random.standard_normal((16, 3, 15, 15)).astype(np.float32),
        meta=random.standard_normal((16, 4)).astype(np.float32) * 3,
    )
    return save(made, folder / "mixed.onnx"), folder / "data.npz"


@pytest.mark.parametrize("runtime", ["ncnn", "onnxruntime"])
def test_what_ppq_does_not_know_stays_in_float_and_in_the_report(
    mixed: tuple[Path, Path], tmp_path: Path, runtime: str
) -> None:
    events: list[Any] = []
    options = replace(FAST, preset=None, settings=ALL, bundle=BundleOptions(runtime=runtime))
    made = quantize(*mixed, tmp_path / "int8", options, progress=events.append)
    assert {(item.node, item.type) for item in made.report.foreign} == {
        ("mish", "Mish"),
        ("lrn", "LRN"),
    }
    modes = {layer.layer: layer.mode for layer in made.report.layers}
    transposed = "float" if runtime == "ncnn" else "calibrated"
    wanted = dict.fromkeys(("first", "second", "sums"), "calibrated")
    assert modes == {**wanted, "up": transposed}
    (output,) = made.report.outputs
    assert output.snr_db is not None
    assert output.snr_db > 20
    # A line for each phase, and in it how much of it is done.
    stages = [event.text for event in events if isinstance(event, Stage)]
    assert len(stages) == len(set(stages)) + stages.count("PPQ: Weights") - 1
    assert len(stages) < 20
    shares = [event for event in events if isinstance(event, Share)]
    assert all(0 <= share.done <= share.total for share in shares)


@pytest.mark.parametrize("runtime", ["ncnn", "onnxruntime"])
def test_a_node_that_cannot_be_quantized_is_named(tmp_path: Path, runtime: str) -> None:
    path = save(
        model(
            [
                helper.make_node("Log", ["x"], ["a"], name="logarithm"),
                helper.make_node("Conv", ["a", "w"], ["y"], name="after"),
            ],
            {"x": (1, 3, 6, 6)},
            {"y": (1, 2, 4, 4)},
            [weights("w", 2, 3, 3, 3)],
        ),
        tmp_path / "log.onnx",
    )
    data = np.random.default_rng(0).standard_normal((9, 3, 6, 6)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=data)
    options = replace(FAST, bundle=BundleOptions(runtime=runtime))
    with pytest.raises(ModelError, match=r"node '(after|logarithm)' .*NaN or infinite"):
        quantize(path, tmp_path / "data.npz", tmp_path / "int8", options)


def test_biases_behind_dead_channels_stay_what_they_are(tmp_path: Path) -> None:
    """ONNX Runtime keeps a bias in steps of input and weight: next to nothing for weights of 0."""
    random = np.random.default_rng(0)
    kernel = random.standard_normal((4, 3, 1, 1)).astype(np.float32)
    kernel[1] = 0
    bias = np.array([0.5, 30.0, -1.0, 2.0], dtype=np.float32)
    path = save(
        model(
            [helper.make_node("Conv", ["x", "w", "b"], ["y"], name="conv")],
            {"x": (1, 3, 4, 4)},
            {"y": (1, 4, 4, 4)},
            [numpy_helper.from_array(kernel, "w"), numpy_helper.from_array(bias, "b")],
        ),
        tmp_path / "dead.onnx",
    )
    data = random.standard_normal((9, 3, 4, 4)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=data)
    options = replace(FAST, bundle=BundleOptions(runtime="onnxruntime"))
    made = quantize(path, tmp_path / "data.npz", tmp_path / "int8", options)
    found = run_bundle_here(made.bundle, {"x": data[:1]})["y"]
    np.testing.assert_allclose(found[0, 1], 30.0, rtol=0.01)


@pytest.mark.parametrize("opset", [7, 11])
def test_old_opsets_have_a_scale_for_each_channel_too(tmp_path: Path, opset: int) -> None:
    """Below opset 13 ONNX's own QuantizeLinear takes one a tensor, below 10 there is none."""
    kernel = np.random.default_rng(0).standard_normal((4, 3, 1, 1)).astype(np.float32)
    kernel *= np.array([1, 1e-3, 1e-2, 1], dtype=np.float32)[:, None, None, None]
    path = save(
        model(
            [
                helper.make_node("Conv", ["x", "w", "b"], ["a"], name="conv"),
                helper.make_node("Softmax", ["a"], ["y"], name="softmax", axis=2),
            ],
            {"x": (1, 3, 4, 4)},
            {"y": (1, 4, 4, 4), "a": (1, 4, 4, 4)},
            [numpy_helper.from_array(kernel, "w"), weights("b", 4)],
            opset=opset,
        ),
        tmp_path / "old.onnx",
    )
    data = np.random.default_rng(1).standard_normal((9, 3, 4, 4)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=data)
    options = replace(FAST, bundle=BundleOptions(runtime="onnxruntime"))
    made = quantize(path, tmp_path / "data.npz", tmp_path / "int8", options)
    graph = onnx.load(made.bundle.path("onnx")).graph
    scales = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    assert any(array.shape == (4,) for name, array in scales.items() if name.endswith("/scale"))
    softmax = next(node for node in graph.node if node.op_type == "Softmax")
    assert helper.get_attribute_value(softmax.attribute[0]) == 2


def test_a_data_set_that_does_not_fit_is_told_before_scales_are_sought(tmp_path: Path) -> None:
    events: list[Any] = []
    (tmp_path / "list.csv").write_text("file,label\nnowhere.png,3\n", encoding="utf-8")
    for dataset, metric, told in (
        (tmp_path / "nowhere.npz", "top1", "There is no data set"),
        (TEST, "topp", "There is no metric 'topp'"),
        (TEST, "map", "map"),
        (tmp_path / "list.csv", "top1", "--images names another folder"),
    ):
        goal = AccuracyGoal(dataset=dataset, metric=metric, max_drop=0.1)
        with pytest.raises(UsageError, match=told):
            quantize_by_sensitivity(
                DIGITS / "digits_cnn.onnx",
                CALIBRATION,
                tmp_path / "int8",
                FAST,
                goal,
                progress=events.append,
            )
    assert not any(event.text.startswith("PPQ") for event in events)


def test_a_bundle_stands_for_its_source_where_that_can_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = DIGITS / "digits_cnn.onnx"
    options = BundleOptions(name="mine", preprocess=("std=2",))
    for folder in ("other", "here"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    make_bundle(source, tmp_path / "other" / "bundle", options)
    with pytest.raises(UsageError, match=r"the source 'digits_cnn.onnx' .* lies neither beside it"):
        quantize(tmp_path / "other" / "bundle", CALIBRATION, tmp_path / "no", FAST)
    shutil.copy(source, tmp_path / "other")
    made = quantize(tmp_path / "other" / "bundle", CALIBRATION, tmp_path / "int8", FAST)
    assert made.bundle.name == "mine"
    assert made.bundle.preprocessing[0].std == (2.0,)
    assert made.bundle.precision == "int8"
