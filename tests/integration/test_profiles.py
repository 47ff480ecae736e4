"""What layers of a profile are and multiply: all of it, as the source's own count says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from deployx_edge import Device, Session, inspect_model, open_session, profile
from deployx_edge.runtime import GENERAL_RUNTIME
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from tests.integration.models.onnx_models import constant, model, save, small_cnn, weights
from tests.integration.models.test_trained_models import packaged
from tests.integration.test_examples import deployx
from tests.runtimes import ON_PROCESSORS

ROOT = Path(__file__).parents[2]


def products() -> onnx.ModelProto:
    """Matrices, a transposed convolution, a convolution in groups and one along a single axis."""
    return model(
        [
            helper.make_node("ConvTranspose", ["x", "up"], ["a"], name="up", strides=[2, 2]),
            helper.make_node("Conv", ["a", "deep"], ["b"], name="deep", group=4),
            helper.make_node("Reshape", ["b", "shape"], ["flat"], name="flat"),
            helper.make_node("Conv", ["flat", "line"], ["c"], name="line"),
            helper.make_node("Transpose", ["c"], ["t"], name="turn", perm=[0, 2, 1]),
            helper.make_node("MatMul", ["t", "m"], ["d"], name="constant"),
            helper.make_node("MatMul", ["t", "n"], ["t1"], name="other"),
            helper.make_node("Transpose", ["t1"], ["t2"], name="turn2", perm=[0, 2, 1]),
            helper.make_node("MatMul", ["d", "t2"], ["y"], name="variable"),
        ],
        {"x": [1, 3, 6, 6]},
        {"y": [1, 196, 196]},
        [
            constant("shape", np.array([1, 4, 196])),
            weights("up", 3, 4, 4, 4),
            weights("deep", 4, 1, 1, 1),
            weights("line", 5, 4, 1),
            weights("m", 5, 6),
            weights("n", 5, 6),
        ],
    )


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    folder = str(tmp_path_factory.mktemp("board"))
    with open_session(Device(name="here", uri="local:", work_folder=folder)) as session:
        yield session


MULTIPLYING = ("ConvolutionBackpropData", "GroupConvolution", "Convolution", "LSTMSequence")


@pytest.mark.parametrize("runtime", ON_PROCESSORS)
@pytest.mark.parametrize("name", ["digits", "cnn", "products", "voice"])
def test_the_layers_multiply_what_the_source_does(
    board: Session, tmp_path: Path, name: str, runtime: str
) -> None:
    shapes: tuple[str, ...] = ()
    if name == "digits":
        path = ROOT / "examples/digits/digits_cnn.onnx"
    elif name == "voice":
        path = packaged("silero_vad", "data/silero_vad_16k_op15.onnx")
        shapes = ("input:1x576", "state:2x1x128", "sr=16000")
    else:
        made = small_cnn() if name == "cnn" else products()
        path = save(made, tmp_path / f"{name}.onnx")
    bundle = make_bundle(path, options=BundleOptions(runtime=runtime, input_shapes=shapes))
    layers = profile(board, bundle, warmup=0, iterations=1).profile.layers
    known = [layer.macs for layer in layers if layer.macs is not None]
    wanted = inspect_model(path, input_shapes=shapes).macs
    assert wanted is not None
    # A runtime that gives layers names of its own leaves them unknown.
    missing = wanted - sum(known)
    assert missing >= 0
    assert (missing > 0) == any(
        layer.macs is None and layer.type in MULTIPLYING for layer in layers
    )


def test_a_profile_is_shown_by_type_and_beside_another(tmp_path: Path) -> None:
    source = ROOT / "examples/digits/digits_cnn.onnx"
    words = ("profile", source, "-d", "local:", "--iterations", 3)
    other = make_bundle(source, tmp_path / "other", BundleOptions(runtime=GENERAL_RUNTIME))
    by_type = deployx(*words, "--by", "type", "--top", 2).stdout
    assert "Types of layers" in by_type
    assert "more rows" in by_type
    output = tmp_path / "profiles.json"
    both = deployx(*words, "--against", other.folder, "--output", output).stdout
    document = json.loads(output.read_text())
    assert sum(layer["macs"] for layer in document["result"]["profile"]["layers"]) == 203_776
    assert document["against"][0]["model"]["runtime"] == GENERAL_RUNTIME
    assert "side by side" in both
    assert "unmatched" in both


def test_precisions_are_profiled_side_by_side(tmp_path: Path) -> None:
    """A source is converted by each; what a runtime does not have is told with the reason."""
    source = ROOT / "examples/digits/digits_cnn.onnx"
    output = tmp_path / "profiles.json"
    words = ("profile", source, "-d", "local:", "--iterations", 3, "--runtime", "ncnn,onnxruntime")
    shown = deployx(*words, "--precision", "fp32,fp16,int8", "--output", output).stdout
    document = json.loads(output.read_text())
    results = [document["result"], *document["against"]]
    ways = [(each["model"]["runtime"], each["options"]["precision"]) for each in results]
    refused = [(each["runtime"], each["precision"]) for each in document["refused"]]
    wanted = [(name, p) for name in ("ncnn", "onnxruntime") for p in ("fp32", "fp16", "int8")]
    assert sorted(ways + refused) == sorted(wanted)
    assert {("ncnn", "fp32"), ("ncnn", "int8"), ("onnxruntime", "fp32")} <= set(ways)
    ran = {
        layer["precision"] for layer in results[ways.index(("ncnn", "int8"))]["profile"]["layers"]
    }
    assert "int8" in ran
    assert "ncnn int8" in " ".join(shown.split())
    assert len({each["model"]["bundle_sha256"] for each in results}) > 2
    said = ("--against", source, "--precision", "fp32,fp16")
    assert "several runtimes or precisions already" in deployx(*words, *said, code=2).stderr
