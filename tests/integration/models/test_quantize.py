"""int8: scales from data, ncnn's files, what they compute, and data that cannot calibrate."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from PIL import Image

from deployx_edge.bundle import Bundle, load_bundle
from deployx_edge.errors import AccuracyError, ModelError, UsageError, VerificationError
from deployx_edge.progress import silent
from deployx_edge.quantization.ppq import PpqModel, quantize_layers
from deployx_edge.quantization.report import calibration_hashes
from deployx_edge.quantization.values import PRESETS, QuantizationSettings, WeightLayout
from deployx_edge.runtime import RUNTIMES
from deployx_edge.runtimes import local_comparison
from deployx_edge.runtimes.converter import ConversionRequest, ConvertedModel, LayerScales
from deployx_edge.runtimes.ncnn.files import read_param, read_table
from deployx_edge.runtimes.ncnn.int8_reference import int8_reference, with_parameters
from deployx_edge.runtimes.ncnn.native.converter import NativeConverter
from deployx_edge.runtimes.quantizer import PpqTold
from deployx_edge.runtimes.reference import Reference
from deployx_edge.runtimes.runner import run_converted
from deployx_edge.sources.onnx.file import OnnxSource, SourceTensor, read_onnx
from deployx_edge.workflows.convert.bundle import BundleOptions
from deployx_edge.workflows.evaluate.evaluate import evaluate
from deployx_edge.workflows.measure.run import run_bundle_here
from deployx_edge.workflows.quantize.quantize import Quantized, QuantizeOptions, quantize
from deployx_edge.workflows.quantize.sensitivity import AccuracyGoal, quantize_by_sensitivity
from tests.integration.models.onnx_models import model, save, weights
from tests.runtimes import RUN_HERE, here

DIGITS = Path(__file__).parents[3] / "examples" / "digits"
MODEL, TEST = DIGITS / "digits_cnn.onnx", DIGITS / "digits_test.npz"
CALIBRATION = DIGITS / "digits_calibration.npz"
FAST = QuantizeOptions(preset="fast", settings=PRESETS["fast"], count=32)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Quantized:
    folder = tmp_path_factory.mktemp("digits")
    return quantize(MODEL, CALIBRATION, folder / "int8")


def accuracy(bundle: Bundle) -> float:
    with np.load(TEST) as file:
        scores = run_bundle_here(bundle, {"image": file["image"]})["scores"]
        return float((scores.argmax(axis=1) == file["labels"]).mean())


def test_the_int8_digits_are_as_good_as_the_float_ones(digits: Quantized) -> None:
    with np.load(TEST) as file:
        reference = Reference(read_onnx(MODEL, {}))
        found = [reference.run({"image": image[None]})["scores"] for image in file["image"]]
        wanted = float((np.concatenate(found).argmax(axis=1) == file["labels"]).mean())
    assert abs(accuracy(digits.bundle) - wanted) <= 0.01
    report = digits.report
    assert [layer.mode for layer in report.layers] == ["calibrated"] * 5
    assert report.bytes_after < 0.3 * report.bytes_before
    (output,) = report.outputs
    assert output.snr_db is not None
    assert output.snr_db > 35
    assert report.worst(1)[0].layer == "/features/features.6/Conv"
    verification = digits.bundle.provenance.verification
    assert (verification.status, verification.samples) == ("passed", 4)
    assert verification.intermediates is not None
    assert verification.intermediates.compared == 6


def test_the_bundle_keeps_the_scales_and_what_they_come_from(digits: Quantized) -> None:
    bundle = load_bundle(digits.bundle.folder)
    assert (bundle.precision, bundle.runtime) == ("int8", "ncnn")
    assert [file.role for file in bundle.files] == ["param", "bin", "table", "quantization"]
    said = json.loads(bundle.path("quantization").read_text(encoding="utf-8"))
    assert said["calibration"]["samples"] == 128
    assert len(calibration_hashes(bundle.path("quantization"))) == 128
    assert dict(bundle.provenance.tools)["esp-ppq"] == "1.3.12"
    layers = {layer.name: layer for layer in read_param(bundle.path("param"))}
    terms = [dict(layer.params).get(8) for layer in layers.values()]
    # The first two hand on codes; pooling wants floats.
    assert terms == [None, "102", "101", "2", None, "2", None, "2"]


def test_the_table_holds_the_scales_that_ppq_found(tmp_path: Path) -> None:
    with np.load(CALIBRATION) as file:
        samples = [{"image": image[None]} for image in file["image"][:32]]
    made = quantize(MODEL, CALIBRATION, tmp_path / "int8", replace(FAST, count=128))
    table = read_table(made.bundle.path("table"))
    assert sorted(table) == sorted(layer.layer for layer in made.report.layers)
    for layer in made.report.layers:
        assert layer.activation_scale is not None
        assert table[layer.layer].activation == pytest.approx(1 / layer.activation_scale, rel=1e-6)
    # Of the first layer's input the largest value is 1, so that one code is 1 / 127.
    assert max(float(arrays["image"].max()) for arrays in samples) == 1.0
    first = table["/features/features.0/Conv"]
    assert first.activation == pytest.approx(127.0, rel=1e-5)
    assert len(first.weights) == 16


def test_ncnn_alone_computes_the_same(digits: Quantized) -> None:
    """Nothing but the wheel and the two files."""
    import ncnn

    net = ncnn.Net()
    net.load_param(str(digits.bundle.path("param")))
    net.load_model(str(digits.bundle.path("bin")))
    with np.load(TEST) as file:
        images = file["image"][:8]
    ours = run_bundle_here(digits.bundle, {"image": images})["scores"]
    for image, wanted in zip(images, ours, strict=True):
        with net.create_extractor() as extractor:
            mat = ncnn.Mat(image).clone()
            extractor.input(digits.bundle.inputs[0].runtime_name, mat)
            _, found = extractor.extract(digits.bundle.outputs[0].runtime_name)
        np.testing.assert_allclose(np.array(found), wanted, rtol=1e-5, atol=1e-5)
    del net


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    options = replace(
        FAST,
        preset=None,
        settings=QuantizationSettings(
            algorithm="mse", correct_bias=True, tuning="lsq", tuning_steps=20, seed=3
        ),
    )
    first, second = (quantize(MODEL, CALIBRATION, tmp_path / name, options) for name in "ab")
    for role in ("param", "bin", "table"):
        assert first.bundle.file(role).sha256 == second.bundle.file(role).sha256
    other = replace(options, settings=replace(options.settings, seed=4))
    third = quantize(MODEL, CALIBRATION, tmp_path / "c", other)
    assert third.bundle.file("bin").sha256 != first.bundle.file("bin").sha256


@pytest.mark.parametrize(
    "settings",
    [
        QuantizationSettings(algorithm="kl"),
        QuantizationSettings(algorithm="percentile", equalize=True, correct_bias=True),
        QuantizationSettings(algorithm="mse", tuning="adaround", tuning_steps=20),
    ],
    ids=["kl", "equalized", "rounding"],
)
def test_every_way_to_scales_gives_a_good_model(
    tmp_path: Path, settings: QuantizationSettings
) -> None:
    options = replace(FAST, preset=None, settings=settings)
    made = quantize(MODEL, CALIBRATION, tmp_path / "int8", options)
    assert accuracy(made.bundle) > 0.94


def test_layers_stay_in_float_on_demand(tmp_path: Path, digits: Quantized) -> None:
    names = ("/features/features.6/Conv", "/classifier/Gemm")
    made = quantize(MODEL, CALIBRATION, tmp_path / "int8", replace(FAST, keep_float=names))
    modes = {layer.layer: layer.mode for layer in made.report.layers}
    assert [name for name, mode in modes.items() if mode == "float"] == list(names)
    assert made.report.layers[2].reason == "kept in float on demand"
    terms = {x.name: dict(x.params).get(8) for x in read_param(made.bundle.path("param"))}
    # What a float layer reads is no code.
    assert terms["/features/features.3/Conv"] == "1"
    assert terms["/classifier/Gemm"] is None
    with pytest.raises(UsageError, match="Did you mean /classifier/Gemm"):
        quantize(MODEL, CALIBRATION, tmp_path / "no", replace(FAST, keep_float=("classifier/Gem",)))
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("runtime", here(name for name in RUN_HERE if RUNTIMES[name].reads_onnx))
def test_runtimes_that_read_onnx_have_int8_too(tmp_path: Path, runtime: str) -> None:
    options = replace(FAST, bundle=BundleOptions(runtime=runtime))
    made = quantize(MODEL, CALIBRATION, tmp_path / "int8", options)
    graph = onnx.load(made.bundle.path("onnx")).graph
    kinds = {node.op_type for node in graph.node}
    assert {"QuantizeLinear", "DequantizeLinear", "Conv"} <= kinds
    assert (made.report.runtime, made.bundle.runtime) == (runtime, runtime)
    assert [layer.mode for layer in made.report.layers] == ["calibrated"] * 5
    assert accuracy(made.bundle) > 0.94
    kept = replace(options, keep_float=("/classifier/Gemm",))
    modes = [
        layer.mode for layer in quantize(MODEL, CALIBRATION, tmp_path / "b", kept).report.layers
    ]
    assert modes == ["calibrated"] * 4 + ["float"]


def sequence_model(path: Path) -> Path:
    """LSTM over 12 steps of 20, a matrix for each step, the mean, a matrix."""
    random = np.random.default_rng(0)

    def array(name: str, *shape: int) -> onnx.TensorProto:
        values = random.normal(0, 0.3, shape).astype(np.float32)
        return numpy_helper.from_array(values, name)

    return save(
        model(
            [
                helper.make_node(
                    "LSTM", ["x", "w", "r", "b"], ["a"], hidden_size=24, name="recurrent"
                ),
                helper.make_node("Squeeze", ["a", "axes"], ["s"], name="squeeze"),
                helper.make_node("MatMul", ["s", "m"], ["c"], name="steps"),
                helper.make_node("Relu", ["c"], ["d"], name="relu"),
                helper.make_node("ReduceMean", ["d"], ["e"], axes=[0], keepdims=0, name="mean"),
                helper.make_node("Gemm", ["e", "g", "h"], ["y"], transB=1, name="scores"),
            ],
            {"x": (12, 1, 20)},
            {"y": (1, 5)},
            [
                array("w", 1, 96, 20),
                array("r", 1, 96, 24),
                array("b", 1, 192),
                array("m", 24, 70),
                array("g", 5, 70),
                array("h", 5),
                numpy_helper.from_array(np.array([1], dtype=np.int64), "axes"),
            ],
        ),
        path,
    )


def test_recurrent_layers_and_matrices_find_scales_when_they_run(tmp_path: Path) -> None:
    path = sequence_model(tmp_path / "sequence.onnx")
    random = np.random.default_rng(1)
    np.savez(tmp_path / "data.npz", x=random.normal(size=(16, 12, 1, 20)).astype(np.float32))
    made = quantize(path, tmp_path / "data.npz", tmp_path / "int8", FAST)
    modes = {layer.layer: (layer.type, layer.mode) for layer in made.report.layers}
    assert modes == {
        "recurrent": ("LSTM", "run-time"),
        "steps": ("Gemm", "run-time"),
        "scores": ("InnerProduct", "calibrated"),
    }
    (output,) = made.report.outputs
    assert output.snr_db is not None
    assert output.snr_db > 25
    gemm = next(x for x in read_param(made.bundle.path("param")) if x.name == "steps")
    assert dict(gemm.params)[18] == "801"


def one_convolution(folder: Path, channels: int) -> tuple[OnnxSource, dict[str, LayerScales]]:
    """A 3x3 convolution whose weights are all the largest code, restored."""
    folder.mkdir(parents=True, exist_ok=True)
    values = np.ones((16, channels, 3, 3), dtype=np.float32)
    path = save(
        model(
            [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1] * 4, name="conv")],
            {"x": (1, channels, 12, 12)},
            {"y": (1, 16, 12, 12)},
            [numpy_helper.from_array(values, "w")],
        ),
        folder / "one.onnx",
    )
    step = np.full(16, 1 / 127, dtype=np.float32)
    scales = {"conv": LayerScales(activation_scale=1 / 127, weight_scales=step)}
    restored = {("conv", 1): values}
    return read_onnx(
        save(with_parameters(onnx.load(path), restored), folder / "restored.onnx"), {}
    ), scales


def emitted(
    source: OnnxSource, scales: Mapping[str, LayerScales], folder: Path, shape: Sequence[int]
) -> ConvertedModel:
    folder.mkdir()
    request = ConversionRequest(
        outputs=(SourceTensor(name="y", shape=tuple(shape)),),
        precision="int8",
        folder=folder,
        scales=scales,
    )
    return NativeConverter().convert(source, request)


def test_sums_that_winograd_would_overflow_go_another_way(tmp_path: Path) -> None:
    """64 channels of ones sum to 64·9·127² codes; 576 times that is beyond 32 bits."""
    source, scales = one_convolution(tmp_path, 64)
    made = emitted(source, scales, tmp_path / "made", (1, 16, 12, 12))
    ones = {"x": np.ones((1, 64, 12, 12), dtype=np.float32)}
    (found,) = run_converted(made, [ones])
    assert found["y"][0, 0, 5, 5] == pytest.approx(576.0, rel=1e-5)
    param = made.path("param")
    assert " 31=64" in param.read_text()
    param.write_text(param.read_text().replace(" 31=64", ""))
    (wrong,) = run_converted(made, [ones])
    assert abs(wrong["y"][0, 0, 5, 5] - 576.0) > 100, "ncnn has mended it: drop the mask"
    small, scales = one_convolution(tmp_path / "small", 16)
    assert (
        " 31="
        not in emitted(small, scales, tmp_path / "few", (1, 16, 12, 12)).path("param").read_text()
    )


def test_a_wrong_scale_is_caught(tmp_path: Path) -> None:
    """One channel of 16 whose scale is off by a tenth, in the file only."""
    source, scales = one_convolution(tmp_path, 8)
    entry = scales["conv"]
    reference = int8_reference(onnx.load(source.path), scales)
    right = read_onnx(save(reference, tmp_path / "reference.onnx"), {})
    inputs = [{"x": np.random.default_rng(i).random((1, 8, 12, 12), np.float32)} for i in range(3)]
    made = emitted(source, scales, tmp_path / "right", (1, 16, 12, 12))
    assert local_comparison.verify_locally(made, right, inputs).worst_error < 1e-5
    assert entry.weight_scales is not None
    content = made.path("bin").read_bytes()
    scale = np.float32(127.0).tobytes()
    where = content.index(scale)
    broken = content[:where] + np.float32(139.7).tobytes() + content[where + 4 :]
    made.path("bin").write_bytes(broken)
    with pytest.raises(VerificationError, match="does not compute what its scales say"):
        local_comparison.verify_locally(made, right, inputs)


def fragile(path: Path) -> Path:
    """The digits, in which one channel before a layer is 400 times larger, and smaller behind.

    It computes the same; but the layer's input has one scale for all channels.
    """
    graph = onnx.load(MODEL)
    arrays = {t.name: numpy_helper.to_array(t).copy() for t in graph.graph.initializer}
    arrays["features.4.weight"][0] *= 400
    arrays["features.4.bias"][0] *= 400
    arrays["features.6.weight"][:, 0] /= 400
    for tensor in graph.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(arrays[tensor.name], tensor.name))
    onnx.save(graph, path)
    return path


def calibration_with_labels(folder: Path) -> Path:
    """What was calibrated on, as something to measure on: a mistake to warn of."""
    with np.load(CALIBRATION) as file:
        images = file["image"]
    reference = Reference(read_onnx(MODEL, {}))
    scores = [reference.run({"image": image[None]})["scores"] for image in images]
    labels = np.concatenate(scores).argmax(axis=1)
    np.savez(folder / "same.npz", image=images, labels=labels)
    return folder / "same.npz"


def test_the_layer_that_was_made_fragile_is_found_and_kept(tmp_path: Path) -> None:
    path = fragile(tmp_path / "fragile.onnx")
    plain = quantize(path, CALIBRATION, tmp_path / "plain", FAST)
    assert accuracy(plain.bundle) < 0.9
    goal = AccuracyGoal(dataset=TEST, metric="top1", max_drop=0.02, limit=150)
    made, found = quantize_by_sensitivity(path, CALIBRATION, tmp_path / "kept", FAST, goal)
    assert found.layers[0].layer == "/features/features.6/Conv"
    assert found.keep_float == ("/features/features.6/Conv",)
    assert found.reference is not None
    assert accuracy(made.bundle) >= found.reference - 0.03
    measured = {trial.keep_float: trial.accuracy for trial in found.trials}
    assert measured[()] < found.reference - 0.02
    assert not found.notes
    same = replace(goal, dataset=calibration_with_labels(tmp_path))
    _, found = quantize_by_sensitivity(path, CALIBRATION, tmp_path / "same", FAST, same)
    assert "calibrated on 32 of these samples" in found.notes[0]
    with pytest.raises(AccuracyError, match="int8 is not what costs it"):
        goal = replace(goal, max_drop=-0.5)
        quantize_by_sensitivity(path, CALIBRATION, tmp_path / "no", FAST, goal)
    assert not (tmp_path / "no").exists()


def images(folder: Path, count: int) -> Path:
    random = np.random.default_rng(0)
    folder.mkdir()
    for index in range(count):
        pixels = random.integers(0, 255, (16, 16), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return folder


def refuse(path: Path, output: Path) -> str:
    with pytest.raises(UsageError) as caught:
        quantize(MODEL, path, output, FAST)
    assert not output.exists()
    return str(caught.value)


def test_data_that_cannot_calibrate_is_refused(tmp_path: Path) -> None:
    def arrays(name: str, values: np.ndarray) -> Path:
        np.savez(tmp_path / f"{name}.npz", image=values)
        return tmp_path / f"{name}.npz"

    random = np.random.default_rng(0).random((9, 1, 8, 8)).astype(np.float32)
    output = tmp_path / "int8"
    (tmp_path / "empty").mkdir()
    assert "holds no images" in refuse(tmp_path / "empty", output)
    assert "gives 3 samples" in refuse(images(tmp_path / "few", 3), output)
    assert "only 1 differ" in refuse(arrays("same", np.repeat(random[:1], 9, axis=0)), output)
    flat = random.copy()
    flat[4:6] = 0.5
    assert "gives 7 samples" in refuse(arrays("flat", flat), output)
    flat[:] = 0.5
    told = refuse(arrays("flat", flat), output)
    assert "None of the 9 samples can be used" in told
    assert "'flat.npz[0]' holds one value only" in told
    broken = random.copy()
    broken[2, 0, 1, 1] = np.nan
    assert "Sample 2" in refuse(arrays("nan", broken), output)
    assert "1x8x9" in refuse(arrays("shape", np.zeros((9, 1, 8, 9), np.float32)), output)
    assert "There is no data set" in refuse(tmp_path / "nothing", output)


def test_images_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    """Also those behind the samples that the figures come from."""
    folder = images(tmp_path / "images", 40)
    for name in ("broken.png", "zz.png"):
        (folder / name).write_bytes(b"\x89PNG no more")
    for name, value in (("0 black.png", 0), ("zz white.png", 255)):
        Image.new("L", (16, 16), value).save(folder / name)
    for file in sorted(folder.glob("1?.png")):  # of any depth
        Image.fromarray(np.asarray(Image.open(file)).astype(np.uint16) * 257).save(file)
    told: list[str] = []
    made = quantize(
        MODEL,
        folder,
        tmp_path / "int8",
        replace(FAST, count=64),
        progress=lambda event: told.append(event.text),
    )
    assert (made.report.calibration.samples, made.report.calibration.skipped) == (40, 4)
    left_out = [text for text in told if text.startswith("Left out")]
    assert len(left_out) == 4
    assert sum("holds one value only" in text for text in left_out) == 2
    assert made.report.compared == 32


def test_models_that_take_several_samples_are_refused(tmp_path: Path) -> None:
    path = save(
        model(
            [helper.make_node("Conv", ["x", "w"], ["y"], name="conv")],
            {"x": (4, 3, 8, 8)},
            {"y": (4, 2, 6, 6)},
            [weights("w", 2, 3, 3, 3)],
        ),
        tmp_path / "four.onnx",
    )
    np.savez(tmp_path / "data.npz", x=np.random.default_rng(0).random((9, 3, 8, 8), np.float32))
    with pytest.raises(UsageError, match="takes 4 samples at once"):
        quantize(path, tmp_path / "data.npz", tmp_path / "int8", FAST)


def test_a_model_that_comes_out_otherwise_is_refused() -> None:
    graph = onnx.load(MODEL)
    source = read_onnx(MODEL, {})
    expected = Reference(source).run({"image": np.ones((1, 1, 8, 8), dtype=np.float32)})
    wrong = {"scores": expected["scores"] + 1}
    data = [{"image": np.ones((1, 1, 8, 8), dtype=np.float32)}]
    with pytest.raises(ModelError, match="computes 'scores' otherwise than ONNX Runtime"):
        quantize_layers(
            PpqModel(model=graph, inputs=("image",), expected=wrong),
            data,
            {"/classifier/Gemm": WeightLayout(axis=0)},
            PRESETS["fast"],
            PpqTold(silent),
        )


def test_codes_between_layers_are_shown_as_values(digits: Quantized) -> None:
    """Whoever asks for a tensor that ncnn hands on in codes gets what the codes stand for."""
    bundle = digits.bundle
    with np.load(TEST) as file:
        inputs = {"image": file["image"][:1]}
    name = "/features/features.2/Relu_output_0"
    inside = run_bundle_here(bundle, inputs, dump=[name])[name]
    wanted = Reference(read_onnx(MODEL, {}), tensors=[name]).run(inputs)[name]
    step = 1 / read_table(bundle.path("table"))["/features/features.3/Conv"].activation
    codes = inside / step
    np.testing.assert_allclose(codes, np.rint(codes), atol=1e-3)
    # Half a code for its own rounding, and what the layer before it lost.
    assert np.abs(inside.reshape(wanted.shape) - wanted).max() < 2 * step


def test_the_command_tells_what_it_costs(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "deployx_edge", "quantize", MODEL, "--calibration", CALIBRATION]
    words += ["-o", tmp_path / "int8", "--preset", "fast", "--count", "32", "--json"]
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    assert said["kind"] == "quantization"
    assert said["preset"] == "fast"
    assert len(said["layers"]) == 5
    assert said["bundle"]["manifest"]["precision"] == "int8"
    words = [*words[:-3], "--preset", "quick"]
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--preset is fast, balanced, best" in done.stderr
    words = [*words[:-2], "--max-drop", "top1=0.01"]
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "belong to --sensitivity" in done.stderr


def test_a_model_without_int8_layers_is_refused(tmp_path: Path) -> None:
    path = save(
        model(
            [helper.make_node("Conv", ["x", "w"], ["y"], name="line")],
            {"x": (1, 3, 20)},
            {"y": (1, 2, 18)},
            [weights("w", 2, 3, 3)],
        ),
        tmp_path / "line.onnx",
    )
    np.savez(tmp_path / "data.npz", x=np.random.default_rng(0).random((9, 3, 20), np.float32))
    with pytest.raises(ModelError, match="ncnn has no int8 Convolution1D"):
        quantize(path, tmp_path / "data.npz", tmp_path / "int8", FAST)


def test_measuring_on_what_was_calibrated_on_is_told(tmp_path: Path, digits: Quantized) -> None:
    with np.load(CALIBRATION) as file:
        images = file["image"][:5]
    with np.load(TEST) as file:
        images = np.concatenate([images, file["image"][:5]])
    np.savez(tmp_path / "mixed.npz", image=images, labels=np.zeros(10, dtype=np.int64))
    found = evaluate(digits.bundle.folder, tmp_path / "mixed.npz", [])
    assert any("calibrated on 5 of these samples" in note for note in found.notes)
    assert not evaluate(digits.bundle.folder, TEST, []).notes
