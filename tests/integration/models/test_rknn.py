"""Rockchip's NPUs without a board: the real toolkit converts, and its simulator computes."""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from deployx_edge.bundle import load_bundle
from deployx_edge.errors import DeployxError, MissingToolError, ModelError, UsageError
from deployx_edge.measurement.values import RunOptions
from deployx_edge.quantization.values import PRESETS
from deployx_edge.report.quantization import quantization_document
from deployx_edge.runtime import RUNTIMES
from deployx_edge.runtimes.reference import Reference
from deployx_edge.runtimes.rknn import toolkit
from deployx_edge.runtimes.rknn.socs import INT8_ONLY, PLATFORMS
from deployx_edge.sources.onnx.file import read_onnx
from deployx_edge.workflows.choose.candidates import Wanted, make_candidates
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from deployx_edge.workflows.convert.inspect import inspect_model
from deployx_edge.workflows.convert.partition import make_sequence
from deployx_edge.workflows.measure.compare import compare
from deployx_edge.workflows.measure.run import run_bundle_here
from deployx_edge.workflows.quantize.quantize import QuantizeOptions, quantize
from tests.integration.models.onnx_models import model, save, weights
from tests.integration.test_examples import deployx
from tests.runtimes import missing

EXAMPLES = Path(__file__).parents[3] / "examples" / "digits"
DIGITS, TEST = EXAMPLES / "digits_cnn.onnx", EXAMPLES / "digits_test.npz"
CALIBRATION = EXAMPLES / "digits_calibration.npz"
NAME = "rknn"
LACKING = missing(NAME)
needs_toolkit = pytest.mark.skipif(bool(LACKING), reason=LACKING)
OPTIONS = BundleOptions(runtime=NAME)


@pytest.fixture(scope="module")
def int8(tmp_path_factory):
    """The digits in int8, with PPQ's scales."""
    folder = tmp_path_factory.mktemp("int8") / "bundle"
    return quantize(DIGITS, CALIBRATION, folder, QuantizeOptions(bundle=OPTIONS)).bundle


@needs_toolkit
def test_the_digits_are_right_in_half_floats_layer_by_layer(tmp_path):
    made = make_bundle(DIGITS, tmp_path / "b", OPTIONS)
    assert (made.precision, [file.role for file in made.files]) == ("fp16", ["rknn", "onnx"])
    assert made.path("rknn").read_bytes().startswith(b"RKNN")
    proof = made.provenance.verification
    assert proof.status == "passed"
    assert proof.intermediates.compared == 11
    assert dict(made.provenance.tools)[toolkit.PACKAGE] == toolkit.version()


@needs_toolkit
def test_the_simulator_is_within_a_point_of_the_reference(pytestconfig, request):
    """In half floats; the commands of docs/rockchip.md, which are tested, do it in int8."""
    check_evaluation([str(DIGITS), "--runtime", NAME], "fp16")
    if pytestconfig.getoption("--all"):
        folder = request.getfixturevalue("int8").folder
        check_evaluation([str(folder), "--reference", str(DIGITS)], "int8")


def check_evaluation(words, precision):
    done = deployx("evaluate", *words, "--dataset", str(TEST), "--json")
    found = json.loads(done.stdout)
    (place,) = found["places"]
    assert (place["place"], place["precision"]) == ("this computer (simulated)", precision)
    assert place["samples_per_second"] is None
    assert abs(place["figures"][0]["value"] - found["reference"]["figures"][0]["value"]) <= 0.01


@needs_toolkit
def test_the_first_layer_that_differs_is_found(int8, tmp_path):
    """A layer of the source has other weights than the bundle was made from."""
    found = compare(DIGITS, int8.folder)
    assert len(found.layers) == 11
    assert all(layer.check.verdict != "differs" for layer in found.layers)
    changed = onnx.load(DIGITS)
    (tensor,) = (t for t in changed.graph.initializer if t.name == "features.3.weight")
    tensor.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(tensor), tensor.name))
    found = compare(save(changed, tmp_path / "changed.onnx"), int8.folder)
    first = next(layer for layer in found.layers if layer.check.verdict == "differs")
    assert first.layer == "/features/features.3/Conv"


@needs_toolkit
def test_each_chip_gets_its_file(int8, tmp_path):
    assert set(RUNTIMES[NAME].socs) == set(PLATFORMS)
    made = {}
    with toolkit.open_toolkit("digits") as process:
        for chip in sorted(set(PLATFORMS.values())):
            path = tmp_path / f"{chip}.rknn"
            onnx_path = str(int8.path("onnx"))
            process.ask({"do": "convert", "onnx": onnx_path, "soc": chip, "rknn": str(path)})
            made[chip] = path.read_bytes()
    for chip, content in made.items():
        assert content.startswith(b"RKNN")
        assert chip.encode() in content


@needs_toolkit
def test_what_a_chip_or_the_toolkit_cannot_is_one_sentence(tmp_path):
    with pytest.raises(UsageError, match=f"NPU of {INT8_ONLY[0]} has no half floats"):
        make_bundle(DIGITS, tmp_path / "b", BundleOptions(runtime=NAME, soc=INT8_ONLY[0]))
    with pytest.raises(UsageError, match="makes no files for 'rk9999'") as caught:
        make_bundle(DIGITS, tmp_path / "b", BundleOptions(runtime=NAME, soc="rk9999"))
    assert "rk3588" in caught.value.remedy
    with pytest.raises(UsageError, match="cannot stay fp32"):
        options = BundleOptions(runtime=NAME, keep_float=("/classifier/Gemm",), precision="fp16")
        make_bundle(DIGITS, tmp_path / "b", options)
    same = {"auto_pad": "SAME_LOWER", "group": 4}
    nodes = [helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="up", **same)]
    shapes = {"x": (1, 4, 9)}, {"y": (1, 4, 9)}
    path = save(model(nodes, *shapes, [weights("w", 4, 1, 3)]), tmp_path / "up.onnx")
    with pytest.raises(ModelError, match=r"rknn-toolkit2 2\.5\.0 refuses up\.onnx: \w+") as refused:
        make_bundle(path, tmp_path / "b", OPTIONS)
    assert "Traceback" not in refused.value.message
    assert "--partition" in refused.value.remedy
    assert not (tmp_path / "b").exists()
    assert "refuses up.onnx" in inspect_model(path, runtime=NAME).refused[NAME]


@needs_toolkit
def test_what_the_toolkit_refuses_runs_as_a_part_of_its_own(tmp_path, request):
    if not request.config.getoption("--all"):
        pytest.skip("takes a quarter of a minute: pytest --all")
    same = {"auto_pad": "SAME_LOWER", "group": 4}
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["a"], name="first", pads=[1, 1]),
        helper.make_node("ConvTranspose", ["a", "w"], ["b"], name="up", **same),
        helper.make_node("Conv", ["b", "v"], ["y"], name="last", pads=[1, 1]),
    ]
    constants = [weights("k", 4, 4, 3), weights("w", 4, 1, 3), weights("v", 4, 4, 3)]
    path = save(model(nodes, {"x": (1, 4, 9)}, {"y": (1, 4, 9)}, constants), tmp_path / "up.onnx")
    made = make_sequence(path, tmp_path / "parts", ["a", f"b={NAME}"], OPTIONS)
    assert [part.runtime for part in made.bundles] == [NAME, "onnxruntime", NAME]
    data = np.random.default_rng(0).random((2, 4, 9), dtype=np.float32)
    reference = Reference(read_onnx(path, {}))
    wanted = [reference.run({"x": each[None]})["y"] for each in data]
    np.savez(tmp_path / "data.npz", x=data, **{"target:y": np.concatenate(wanted)})
    words = ("--dataset", str(tmp_path / "data.npz"), "--metric", "mse", "--json")
    (place,) = json.loads(deployx("evaluate", str(tmp_path / "parts"), *words).stdout)["places"]
    assert place["figures"][0]["value"] < 1e-6
    assert (place["place"], place["samples_per_second"]) == ("this computer (simulated)", None)
    ran = deployx("run", str(tmp_path / "parts"), "-i", str(tmp_path / "data.npz"))
    assert "(emulated)" in ran.stdout


@needs_toolkit
def test_newer_opsets_are_lowered(tmp_path):
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"], name="product"),
        helper.make_node("Tanh", ["p"], ["y"], name="tanh"),
    ]
    shapes = {"x": (3, 5)}, {"y": (3, 4)}
    newest = model(nodes, *shapes, [weights("w", 5, 4)], opset=21, ir_version=10)
    made = make_bundle(save(newest, tmp_path / "new.onnx"), tmp_path / "b", OPTIONS)
    assert made.provenance.verification.status == "passed"
    assert made.outputs[0].shape == (3, 4)


@needs_toolkit
def test_a_table_of_runtimes_goes_on_though_no_board_runs_it(tmp_path):
    named = RunOptions(named=(("spinning", "off"),))
    wanted = Wanted(
        model=DIGITS, runtimes=("onnxruntime", NAME), precisions=("fp16",), options=(named,)
    )
    candidates, refused = make_candidates(wanted, tmp_path)
    assert [each.bundle.runtime for each in candidates] == ["onnxruntime", NAME]
    assert [each.options.named for each in candidates] == [named.named, ()]
    assert not refused


OPEN = {"do": "open", "onnx": "m.onnx", "soc": "rk3588", "alone": False, "ranges": ""}


@needs_toolkit
def test_a_toolkit_that_dies_or_hangs_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    with toolkit.open_toolkit("m.onnx") as process:
        os.kill(process._child.pid, signal.SIGKILL)
        with pytest.raises(DeployxError, match=r"exit code -9"):
            process.ask(
                {"do": "open", "onnx": "m.onnx", "soc": "rk3588", "alone": False, "ranges": ""}
            )
    monkeypatch.setattr(toolkit, "LONGEST", 0.2)
    with toolkit.open_toolkit("m.onnx") as process:
        os.kill(process._child.pid, signal.SIGSTOP)
        with pytest.raises(DeployxError, match=r"was ended after 0 s in its phase"):
            process.ask(
                {"do": "open", "onnx": "m.onnx", "soc": "rk3588", "alone": False, "ranges": ""}
            )
        assert process._child.returncode == -signal.SIGKILL


def product_of_quantized(folder):
    """A product of two quantized tensors, of which the toolkit joins operators without end."""
    scale = numpy_helper.from_array(np.array(0.05, np.float32), "s")
    zero = numpy_helper.from_array(np.array(0, np.int8), "z")
    kernel = np.random.default_rng(0).integers(-9, 9, (8, 5), np.int8)

    def restored(name, result):
        return helper.make_node("DequantizeLinear", [name, "s", "z"], [result], f"dq_{result}")

    def rounded(name, result):
        codes = f"{name}_q"
        quantize = helper.make_node("QuantizeLinear", [name, "s", "z"], [codes], f"q_{name}")
        return quantize, restored(codes, result)

    nodes = [
        *rounded("x", "x_d"),
        restored("w", "w_d"),
        helper.make_node("MatMul", ["x_d", "w_d"], ["f"], "first"),
        *rounded("f", "a"),
        helper.make_node("Transpose", ["a"], ["t"], "turn", perm=[0, 2, 1]),
        helper.make_node("MatMul", ["a", "t"], ["p"], "product"),
        *rounded("p", "y"),
    ]
    constants = [numpy_helper.from_array(kernel, "w"), scale, zero]
    made = model(nodes, {"x": (1, 6, 8)}, {"y": (1, 6, 6)}, constants)
    return save(made, folder / "product.onnx")


@needs_toolkit
def test_a_toolkit_that_goes_round_and_round_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(toolkit, "_MOST_ROUNDS", 20)
    monkeypatch.setattr(toolkit, "_LOOK_EVERY", 0.05)
    with pytest.raises(ModelError, match=r"joins operators of product\.onnx without end") as caught:
        make_bundle(product_of_quantized(tmp_path), tmp_path / "b", OPTIONS)
    assert "--partition" in caught.value.remedy


@needs_toolkit
def test_where_it_takes_no_scales_of_ppq_s_its_own_calibration_does(tmp_path, monkeypatch, request):
    if not request.config.getoption("--all"):
        pytest.skip("takes half a minute: pytest --all")
    monkeypatch.setattr(toolkit, "_MOST_ROUNDS", 20)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], "first"),
        helper.make_node("Transpose", ["a"], ["t"], "turn", perm=[0, 2, 1]),
        helper.make_node("MatMul", ["a", "t"], ["y"], "product"),
    ]
    source = model(nodes, {"x": (1, 6, 8)}, {"y": (1, 6, 6)}, [weights("w", 8, 5)])
    path = save(source, tmp_path / "product.onnx")
    data = np.random.default_rng(0).random((16, 6, 8), dtype=np.float32)
    np.savez(tmp_path / "data.npz", x=data)
    settings = PRESETS["fast"]
    options = QuantizeOptions(count=16, preset="fast", settings=settings, bundle=OPTIONS)
    made = quantize(path, tmp_path / "data.npz", tmp_path / "b", options)
    bundle, report = load_bundle(tmp_path / "b"), made.report
    roles = {file.role for file in bundle.files}
    assert roles == {"rknn", "onnx", "ranges", "quantization"}
    told = quantization_document(bundle, report, None)["own_calibration"]
    assert "without end" in told
    assert "its own calibration found the scales" in told
    (note,) = (note for note in bundle.provenance.notes if note.startswith("int8:"))
    assert "on 16 samples of data.npz, not by PPQ" in note
    assert [(layer.layer, layer.mode) for layer in report.layers] == [("first", "calibrated")]
    assert report.outputs[0].snr_db > 20
    check = bundle.provenance.verification.outputs[0]
    assert 0 < check.relative_error < 0.3
    # Built again from the bundle it gives the same, and a number of fewer bits than the source's.
    found = [run_bundle_here(bundle, {"x": data[:2]})["y"] for _ in range(2)]
    np.testing.assert_array_equal(*found)
    wanted = Reference(read_onnx(path, {})).run({"x": data[:1]})["y"]
    assert 0 < np.abs(found[0][:1] - wanted).max() < 0.1 * np.abs(wanted).max()
    assert [layer.check.output for layer in compare(path, bundle.folder).layers] == ["y"]


def test_without_the_toolkit_the_command_that_gets_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("DEPLOYX_EDGE_CACHE", str(tmp_path / "cache"))
    for story in (
        lambda: make_bundle(DIGITS, tmp_path / "b", OPTIONS),
        lambda: quantize(DIGITS, CALIBRATION, tmp_path / "b", QuantizeOptions(bundle=OPTIONS)),
    ):
        with pytest.raises(MissingToolError, match="not installed") as caught:
            story()
        assert caught.value.remedy == f"Install it with: deployx-edge runtimes install {NAME}"
    assert not (tmp_path / "b").exists()
    assert "not installed" in inspect_model(DIGITS, runtime=NAME).refused[NAME]


def test_the_list_of_packages_is_exact(monkeypatch):
    lines = toolkit.ENVIRONMENT.requirements.read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert len(pins) > 10
    assert all("==" in line and " --hash=sha256:" in line for line in pins)
    assert toolkit.ENVIRONMENT.version_of(toolkit.PACKAGE) == "2.5.0"
    assert np.__version__ != toolkit.ENVIRONMENT.version_of("numpy")
    assert str(sys.prefix) not in str(toolkit.ENVIRONMENT.folder)
