"""Models for TensorRT: who checks them, what is told of them, and that nobody here runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from deployx_edge.bundle import Bundle
from deployx_edge.errors import ModelError, UsageError
from deployx_edge.progress import silent
from deployx_edge.runtime import find_runtime
from deployx_edge.runtimes import load_runtime
from deployx_edge.runtimes.tensorrt import parser
from deployx_edge.runtimes.tensorrt.operators import is_known
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from deployx_edge.workflows.convert.inspect import inspect_model
from deployx_edge.workflows.convert.partition import make_sequence
from deployx_edge.workflows.evaluate.evaluate import evaluate
from deployx_edge.workflows.measure.compare import compare
from deployx_edge.workflows.measure.run import run_anywhere
from deployx_edge.workflows.quantize.quantize import QuantizeOptions, quantize
from tests.integration.models.onnx_models import constant, model, save, weights

ROOT = Path(__file__).parents[3]
DIGITS = ROOT / "examples/digits/digits_cnn.onnx"
TEST_SET = ROOT / "examples/digits/digits_test.npz"
TENSORRT = BundleOptions(runtime="tensorrt")
needs_parser = pytest.mark.skipif(
    find_spec("tensorrt_rtx_bindings") is None,
    reason="TensorRT-RTX's parser is not installed (pip install 'deployx-edge[tensorrt]')",
)


def deployx(packages: Path | None, *words: object) -> subprocess.CompletedProcess[str]:
    """A command; ``packages`` come first among those that it has."""
    path = os.pathsep.join(map(str, filter(None, (packages, ROOT, os.environ.get("PYTHONPATH")))))
    return subprocess.run(
        [sys.executable, "-m", "deployx_edge", *map(str, words)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def with_determinants(path: Path) -> Path:
    """r = relu(x), and two nodes of an operator that TensorRT does not have."""
    nodes = [
        helper.make_node("Relu", ["x"], ["r"], name="relu"),
        helper.make_node("Det", ["r"], ["y"], name="first"),
        helper.make_node("Det", ["r"], ["z"], name="second"),
    ]
    return save(model(nodes, {"x": (1, 3, 3)}, {"y": (1,), "z": (1,)}), path)


def with_open_axes() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["c"], ["y"], name="pool"),
    ]
    shapes = {"image": ("n", 3, "h", "w"), "y": ("n", 4, 1, 1)}
    return model(nodes, {"image": shapes["image"]}, {"y": shapes["y"]}, [weights("w", 4, 3, 3, 3)])


def told_to_the_board(bundle: Bundle) -> dict[str, str]:
    entries = onnx.load(bundle.path("onnx")).metadata_props
    return {entry.key: entry.value for entry in entries if entry.key.startswith("deployx.")}


def test_a_bundle_says_that_tensorrt_was_not_run(tmp_path: Path) -> None:
    bundle = make_bundle(DIGITS, tmp_path / "b", TENSORRT)
    (note,) = bundle.provenance.notes
    assert "TensorRT itself was not run: onnxruntime" in note
    assert "compare --device" in note
    assert bundle.provenance.verification.status == "passed"
    checked = "tensorrt-rtx-cu12-bindings" in dict(bundle.provenance.tools)
    assert checked == parser.is_installed()
    assert ("took the model" if checked else "looked up in a table") in note


def test_nothing_but_a_board_gives_its_results(tmp_path: Path) -> None:
    bundle = make_bundle(DIGITS, tmp_path / "b", TENSORRT)
    image = {"image": np.zeros((1, 1, 8, 8), dtype=np.float32)}
    np.savez(tmp_path / "image.npz", **image)
    says = "TensorRT does not run on this computer"
    for call in (
        lambda: run_anywhere(bundle.folder, [str(tmp_path / "image.npz")], None),
        lambda: evaluate(bundle.folder, TEST_SET, [None]),
        lambda: compare(DIGITS, bundle.folder),
        lambda: compare(bundle.folder, bundle.folder),
    ):
        with pytest.raises(UsageError, match=says) as caught:
            call()
        assert "--device" in caught.value.remedy
    done = deployx(None, "push-and-bench", bundle.folder, "--device", "local:")
    assert done.returncode == 2
    assert "not tensorrt" in " ".join(done.stderr.split())


def test_open_axes_are_in_the_bundle_and_in_the_file_for_the_board(tmp_path: Path) -> None:
    path = save(with_open_axes(), tmp_path / "open.onnx")
    word = "image:1x3x{16..32..64}x{16..48}"
    options = BundleOptions(runtime="tensorrt", input_shapes=(word,))
    bundle = make_bundle(path, tmp_path / "b", options)
    (spec,) = bundle.inputs
    assert [(r.axis, r.minimum, r.opt, r.maximum) for r in spec.ranges] == [
        (2, 16, 32, 64),
        (3, 16, 48, 48),
    ]
    wanted = {"deployx.profile": "1x3x16x16 1x3x32x48 1x3x64x48 image"}
    assert told_to_the_board(bundle) == wanted
    # What was made for a board once says nothing of what is made of it next.
    options = replace(options, input_shapes=("image:1x3x16x16",))
    again = make_bundle(bundle.path("onnx"), tmp_path / "again", options)
    assert told_to_the_board(again) == {}


def test_halves_and_int8_are_told_to_the_board(tmp_path: Path) -> None:
    halved = make_bundle(
        DIGITS, tmp_path / "h", BundleOptions(runtime="tensorrt", precision="fp16")
    )
    assert told_to_the_board(halved) == {"deployx.precisions": "fp16"}
    made = quantize(DIGITS, TEST_SET, tmp_path / "q", QuantizeOptions(count=16, bundle=TENSORRT))
    graph = onnx.load(made.bundle.path("onnx"))
    assert told_to_the_board(made.bundle) == {"deployx.precisions": "int8"}
    assert [layer.mode for layer in made.report.layers] == ["calibrated"] * 5
    assert any("TensorRT itself was not run" in note for note in made.bundle.provenance.notes)
    # TensorRT knows codes around 0 only.
    quantizing = [n for n in graph.graph.node if n.op_type == "QuantizeLinear"]
    zeros = {node.input[2] for node in quantizing}
    tensors = {t.name: onnx.numpy_helper.to_array(t) for t in graph.graph.initializer}
    assert zeros
    assert all(not tensors[name].any() for name in zeros)


def test_every_node_that_is_refused_is_named_with_the_way_out(tmp_path: Path) -> None:
    path = with_determinants(tmp_path / "det.onnx")
    with pytest.raises(ModelError) as caught:
        make_bundle(path, tmp_path / "b", TENSORRT)
    message = caught.value.message
    assert "'Det' (node 'first')" in message
    assert "'Det' (node 'second')" in message
    assert "--partition" in caught.value.remedy
    assert not (tmp_path / "b").exists()
    told = inspect_model(path, runtime="tensorrt").refused["tensorrt"]
    assert "'Det' (node 'first')" in told
    # The way out leads somewhere.
    sequence = make_sequence(path, tmp_path / "s", ["r"], TENSORRT)
    assert [b.runtime for b in sequence.bundles] == ["tensorrt", "onnxruntime"]


def test_an_operator_of_another_domain_or_inside_a_branch_is_found_too(tmp_path: Path) -> None:
    then = helper.make_graph(
        [helper.make_node("Unique", ["x"], ["u"], name="inner")],
        "then",
        [],
        [helper.make_tensor_value_info("u", 1, ["n"])],
    )
    other = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["v"], name="same")],
        "else",
        [],
        [helper.make_tensor_value_info("v", 1, ["n"])],
    )
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["s"], name="sum", keepdims=0),
        helper.make_node("Greater", ["s", "zero"], ["c"], name="greater"),
        helper.make_node("If", ["c"], ["y"], name="if", then_branch=then, else_branch=other),
    ]
    zero = constant("zero", np.float32(0))
    path = save(model(nodes, {"x": (4,)}, {"y": ("n",)}, [zero]), tmp_path / "if.onnx")
    told = inspect_model(path, runtime="tensorrt").refused["tensorrt"]
    assert "Unique" in told


@needs_parser
def test_the_table_is_what_the_parser_answers() -> None:
    answers = subprocess.run(
        [sys.executable, "-c", _ASK], capture_output=True, text=True, check=True, timeout=300
    )
    known = json.loads(answers.stdout.splitlines()[-1])
    assert known == {name: is_known("", name) for name in known}
    assert len(known) > 150


_ASK = """
import json, onnx.defs, tensorrt_rtx_bindings as rtx
logger = rtx.Logger(rtx.Logger.ERROR)
network = rtx.Builder(logger).create_network(0)
parser = rtx.OnnxParser(network, logger)
names = {each.name for each in onnx.defs.get_all_schemas() if each.domain == ""}
print(json.dumps({name: parser.supports_operator(name) for name in sorted(names)}))
"""


@needs_parser
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_what_only_the_parser_knows_is_refused(tmp_path: Path, precision: str) -> None:
    """The operator is known, and what it is asked for is not."""
    nodes = [
        helper.make_node("Relu", ["x"], ["r"], name="relu"),
        helper.make_node("LpPool", ["r"], ["y"], name="cubes", p=3, kernel_shape=[2, 2]),
    ]
    made = model(nodes, {"x": (1, 2, 5, 5)}, {"y": (1, 2, 4, 4)}, opset=18)
    path = save(made, tmp_path / "cubes.onnx")
    options = BundleOptions(runtime="tensorrt", precision=precision)
    with pytest.raises(
        ModelError, match=r"TensorRT-RTX 1.*'LpPool' \(node 'cubes'\): Only L1"
    ) as caught:
        make_bundle(path, tmp_path / "b", options)
    assert "--partition" in caught.value.remedy


# Stand-ins for the parser's package, of the kinds that broken installations and bad days are.
_STAND_INS = {
    "unusable": ("raise OSError('libtensorrt_rtx.so.1: cannot open shared object file')", 4),
    "dies": ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", 10),
    "says nothing": ("import os\nos._exit(0)", 10),
    "is not it": ("", 4),
}


@pytest.mark.parametrize("kind", _STAND_INS)
def test_a_parser_that_cannot_be_asked_is_an_error_of_its_own(tmp_path: Path, kind: str) -> None:
    code, exit_code = _STAND_INS[kind]
    package = tmp_path / "packages" / "tensorrt_rtx_bindings"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(code)
    words = ("convert", DIGITS, "--runtime", "tensorrt", "-o", tmp_path / "b")
    done = deployx(package.parent, *words)
    said = " ".join(done.stderr.split())
    assert done.returncode == exit_code, said
    assert "TensorRT-RTX" in said
    assert "Traceback" not in said
    assert not (tmp_path / "b").exists()


def test_its_parser_is_wished_for_and_can_be_missing() -> None:
    assert not find_runtime("tensorrt").runs_here
    package, wished = load_runtime("tensorrt").setup().needs()
    assert package.present
    assert wished.present
    if parser.is_installed():
        assert wished.found[0].isdigit()
    else:
        assert "looked up in a table" in wished.found
        with pytest.raises(UsageError, match="TensorRT's parser is the Python package"):
            load_runtime("tensorrt").setup().install(silent)
