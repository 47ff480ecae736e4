"""Models for TensorRT: who checks them, what is told of them, and that nobody here runs them."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from deployx_edge.bundle import Bundle
from deployx_edge.errors import ModelError, UsageError
from deployx_edge.runtime import find_runtime
from deployx_edge.runtimes import load_runtime
from deployx_edge.runtimes.onnx_bfloat16 import in_floats
from deployx_edge.runtimes.tensorrt import parser_place
from deployx_edge.runtimes.tensorrt.operators import is_known
from deployx_edge.runtimes.tensorrt.ranges import without_nodes
from deployx_edge.sources.onnx.canonical import simplified
from deployx_edge.sources.onnx.file import read_onnx
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from deployx_edge.workflows.convert.inspect import inspect_model
from deployx_edge.workflows.convert.partition import make_sequence
from deployx_edge.workflows.evaluate.evaluate import evaluate
from deployx_edge.workflows.measure.compare import compare
from deployx_edge.workflows.measure.run import run_anywhere
from deployx_edge.workflows.quantize.quantize import Quantized, QuantizeOptions, quantize
from tests.integration.models.onnx_models import constant, model, save, weights

ROOT = Path(__file__).parents[3]
DIGITS = ROOT / "examples/digits/digits_cnn.onnx"
TEST_SET = ROOT / "examples/digits/digits_test.npz"
TENSORRT = BundleOptions(runtime="tensorrt")
needs_parser = pytest.mark.skipif(
    not parser_place.is_installed(),
    reason=f"TensorRT-RTX's parser is not installed ({parser_place.INSTALL})",
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


def ppq_is_asked(path: Path, folder: Path) -> bool:
    """Whether scales are looked for before the model's refusal in int8."""
    np.savez(folder / "data.npz", x=np.random.default_rng(0).random((32, 3, 3), np.float32))
    told: list[str] = []
    with pytest.raises(ModelError, match=r"'Det' \(node 'first'\)"):
        quantize(
            *(path, folder / "data.npz", folder / "b", QuantizeOptions(bundle=TENSORRT)),
            progress=lambda event: told.append(event.text),
        )
    return any(text.startswith("PPQ") for text in told)


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
    assert checked == parser_place.is_installed()
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
    assert done.returncode == 20
    said = " ".join(done.stderr.split())
    assert "has no worker for tensorrt, which is compiled with a board's own headers" in said
    assert "build --target linux-x64 --sysroot DIR --runtime tensorrt" in said


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


def test_bfloat16_is_in_the_file_and_rounds_as_it_says(tmp_path: Path) -> None:
    made = make_bundle(DIGITS, tmp_path / "b", BundleOptions(runtime="tensorrt", precision="bf16"))
    assert made.provenance.verification.status == "passed"
    assert told_to_the_board(made) == {"deployx.precisions": "bf16"}
    graph = onnx.load(made.path("onnx")).graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    assert {tensor.data_type for tensor in weights.values()} == {onnx.TensorProto.BFLOAT16}
    assert [value.type.tensor_type.elem_type for value in graph.input] == [1]
    for tensor in simplified(read_onnx(DIGITS, {})).graph.initializer:
        floats = onnx.numpy_helper.to_array(tensor)
        rounded = floats.astype(ml_dtypes.bfloat16).astype(np.float32)
        stored = onnx.numpy_helper.to_array(weights[tensor.name]).astype(np.float32)
        assert np.array_equal(stored, rounded)
    # What ONNX Runtime runs in its place rounds each tensor: its optimisations leave that there.
    run = in_floats(onnx.load(made.path("onnx")))
    run.graph.output.append(onnx.ValueInfoProto(name=graph.node[0].output[0]))
    image = np.random.default_rng(3).random((1, 1, 8, 8), dtype=np.float32)
    inner = onnxruntime.InferenceSession(run.SerializeToString()).run(None, {"image": image})[1]
    assert np.array_equal(inner, inner.astype(ml_dtypes.bfloat16).astype(np.float32))
    other = BundleOptions(runtime="onnxruntime", precision="bf16")
    with pytest.raises(UsageError, match="bf16 is not available for onnxruntime"):
        make_bundle(DIGITS, tmp_path / "other", other)


def test_bfloat16_holds_what_half_floats_do_not(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Mul", ["x", "large"], ["m"], name="times"),
        helper.make_node("Add", ["m", "small"], ["a"], name="plus"),
        helper.make_node("Div", ["a", "large"], ["y"], name="through"),
    ]
    held = [constant("large", np.float32(1e9)), constant("small", np.float32(3e-5))]
    path = save(model(nodes, {"x": (1, 8)}, {"y": (1, 8)}, held), tmp_path / "large.onnx")
    options = BundleOptions(runtime="tensorrt", precision="bf16")
    bundle = make_bundle(path, tmp_path / "b", options)
    assert bundle.provenance.verification.status == "passed"
    types = {t.data_type for t in onnx.load(bundle.path("onnx")).graph.initializer}
    assert types == {onnx.TensorProto.BFLOAT16}
    halves = [constant("large", np.float16(2)), constant("small", np.float16(3))]
    given = model(nodes, {"x": (1, 8)}, {"y": (1, 8)}, halves, input_type=10, output_type=10)
    with pytest.raises(ModelError, match="holds half floats"):
        make_bundle(save(given, tmp_path / "halves.onnx"), tmp_path / "c", options)


@pytest.fixture(scope="module")
def quantized_digits(tmp_path_factory: pytest.TempPathFactory) -> Quantized:
    folder = tmp_path_factory.mktemp("quantized") / "q"
    return quantize(DIGITS, TEST_SET, folder, QuantizeOptions(count=16, bundle=TENSORRT))


def test_halves_and_int8_are_told_to_the_board(tmp_path: Path, quantized_digits: Quantized) -> None:
    halved = make_bundle(
        DIGITS, tmp_path / "h", BundleOptions(runtime="tensorrt", precision="fp16")
    )
    assert told_to_the_board(halved) == {"deployx.precisions": "fp16"}
    made = quantized_digits
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


def test_a_quantized_bundle_has_what_the_accelerator_reads(quantized_digits: Quantized) -> None:
    made = quantized_digits
    quantized, plain = onnx.load(made.bundle.path("onnx")), onnx.load(made.bundle.path("float"))
    assert not [node for node in plain.graph.node if "Quantize" in node.op_type]
    assert "Quantize" in "".join(node.op_type for node in quantized.graph.node)
    entries = {entry.key: entry.value for entry in plain.metadata_props}
    assert entries["deployx.precisions"] == "fp16 int8"
    head, *lines = made.bundle.path("ranges").read_text().splitlines()
    told = dict(line.rsplit(": ", 1) for line in lines)
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in quantized.graph.initializer}
    rounding = [n for n in quantized.graph.node if n.op_type == "QuantizeLinear"]
    wanted = {node.input[0]: arrays[node.input[1]] for node in rounding}
    assert {name: struct.unpack(">f", bytes.fromhex(word))[0] for name, word in told.items()} == {
        name: float(scale) for name, scale in wanted.items()
    }
    assert ":" not in head
    # Its weights are rounded, and what lies between is not.
    images = np.load(TEST_SET)["image"][:64].astype(np.float32)
    outputs = [
        onnxruntime.InferenceSession(each).run(None, {"image": images[:1]})[0]
        for each in (plain.SerializeToString(), DIGITS.read_bytes())
    ]
    assert np.abs(outputs[0] - outputs[1]).max() < 0.05 * np.abs(outputs[1]).max()


def test_ranges_that_cannot_be_said_so_are_left_out() -> None:
    scales = [constant("s", np.float32(0.5)), constant("z", np.int8(0))]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], name="q"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], name="d"),
        helper.make_node("Relu", ["d"], ["y"], name="relu"),
    ]
    given = model(nodes, {"x": (2,)}, {"y": (2,), "d": (2,)}, scales)
    found = without_nodes(given)
    assert found is not None
    made, told = found
    assert told == {"x": 0.5}
    assert [(n.op_type, list(n.input)) for n in made.graph.node] == [
        ("Relu", ["x"]),
        ("Identity", ["x"]),
    ]
    # A zero elsewhere, a scale a channel, and what stays quantized between two nodes.
    shifted = [constant("s", np.float32(0.5)), constant("z", np.int8(3))]
    assert without_nodes(model(nodes, {"x": (2,)}, {"y": (2,)}, shifted)) is None
    several = [constant("s", np.ones(2, np.float32)), constant("z", np.zeros(2, np.int8))]
    assert without_nodes(model(nodes, {"x": (2, 2)}, {"y": (2, 2)}, several)) is None
    between = [
        nodes[0],
        helper.make_node("Flatten", ["q"], ["f"], name="flat"),
        helper.make_node("DequantizeLinear", ["f", "s", "z"], ["y"], name="d"),
    ]
    assert without_nodes(model(between, {"x": (2,)}, {"y": (2, 1)}, scales)) is None


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
    assert not ppq_is_asked(path, tmp_path)
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
    names = sorted({each.name for each in onnx.defs.get_all_schemas() if each.domain == ""})
    words = [*parser_place.python(), "-c", _ASK, *names]
    answers = subprocess.run(words, capture_output=True, text=True, check=True, timeout=300)
    known = json.loads(answers.stdout.splitlines()[-1])
    assert known == {name: is_known("", name) for name in known}
    assert len(known) > 150


_ASK = """
import json, sys, tensorrt_rtx_bindings as rtx
logger = rtx.Logger(rtx.Logger.ERROR)
network = rtx.Builder(logger).create_network(0)
parser = rtx.OnnxParser(network, logger)
print(json.dumps({name: parser.supports_operator(name) for name in sys.argv[1:]}))
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


def test_its_parser_is_wished_for_and_can_be_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert not find_runtime("tensorrt").runs_here
    package, wished = load_runtime("tensorrt").setup().needs()
    assert package.present
    assert wished.present
    if parser_place.is_installed():
        assert wished.found == parser_place.version()
        assert not wished.remedy
    # In a cache that has no environments.
    monkeypatch.setenv("DEPLOYX_EDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(parser_place, "is_beside", lambda: False)
    _, wished = load_runtime("tensorrt").setup().needs()
    assert "looked up in a table" in wished.found
    assert wished.remedy == "deployx-edge runtimes install tensorrt"
    path = with_determinants(tmp_path / "det.onnx")
    with pytest.raises(ModelError, match=r"A table of TensorRT's operators refuses det\.onnx"):
        make_bundle(path, tmp_path / "b", TENSORRT)
    (note,) = make_bundle(DIGITS, tmp_path / "d", TENSORRT).provenance.notes
    assert "looked up in a table" in note


EXAMPLES = {"digits": "", "detector": "image:1x3x128x128", "segmenter": "image:1x3x96x96"}


@needs_parser
@pytest.mark.parametrize("example", EXAMPLES)
def test_the_real_parser_and_builder_take_the_examples(
    example: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """By the commands that a user has; PyTorch's networks take long to export."""
    source: Path | str = DIGITS
    words: tuple[object, ...] = ()
    if EXAMPLES[example]:
        if not request.config.getoption("--all"):
            pytest.skip("exports a network; the digits go with every run, this with --all")
        source = f"examples.{example}.model:{example}"
        checkpoint = ROOT / "examples" / example / f"{example}.pt"
        words = ("--checkpoint", checkpoint, "--input", EXAMPLES[example])
    out = tmp_path / "b"
    done = deployx(None, "convert", source, *words, "--runtime", "tensorrt", "-o", out)
    assert done.returncode == 0, done.stderr
    assert f"{parser_place.PACKAGE} {parser_place.version()} took" in " ".join(done.stdout.split())
    (model,) = out.glob("*.onnx")
    built = subprocess.run(
        [*parser_place.python(), "-c", _BUILD, model], capture_output=True, text=True, check=True
    )
    assert int(built.stdout.split()[-1]) > model.stat().st_size // 2


# An engine, which takes no GPU to be built.
_BUILD = """
import sys, tensorrt_rtx_bindings as rtx
logger = rtx.Logger(rtx.Logger.ERROR)
builder = rtx.Builder(logger)
network = builder.create_network(1 << int(rtx.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
parser = rtx.OnnxParser(network, logger)
assert parser.parse(open(sys.argv[1], "rb").read())
config = builder.create_builder_config()
config.num_compute_capabilities = 1
config.set_compute_capability(rtx.ComputeCapability.SM86, 0)
print(builder.build_serialized_network(network, config).nbytes)
"""
