"""Parts of a model: what they compute, and what cannot be cut."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from deployx_edge.errors import UsageError
from deployx_edge.workflows.convert.extract import extract_model
from tests.integration.models.onnx_models import model, save, small_cnn
from tests.integration.models.rewriter_helper import marked_by_hand

COMMAND = Path(sys.executable).with_name("deployx-edge")


def run(path: Path, wanted: list[str], **inputs: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found: list[np.ndarray] = session.run(wanted, inputs)
    return found


def test_two_parts_compute_what_the_whole_does(tmp_path: Path) -> None:
    whole = save(small_cnn(), tmp_path / "m.onnx")
    first = extract_model(whole, tmp_path / "first.onnx", ends=["r2"])
    second = extract_model(whole, tmp_path / "second.onnx", starts=["r2"])
    assert (first.inputs, first.outputs) == (("image",), ("r2",))
    assert (second.inputs, second.outputs) == (("r2",), ("scores",))
    image = np.random.default_rng(5).standard_normal((1, 3, 16, 16)).astype(np.float32)
    (between,) = run(tmp_path / "first.onnx", ["r2"], image=image)
    (found,) = run(tmp_path / "second.onnx", ["scores"], r2=between)
    (expected,) = run(whole, ["scores"], image=image)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    part = onnx.load(tmp_path / "second.onnx")
    assert [node.name for node in part.graph.node] == [
        "strided", "relu3", "pool", "flatten", "linear",
    ]  # fmt: skip
    assert "w1" not in {tensor.name for tensor in part.graph.initializer}


def two_inputs() -> onnx.ModelProto:
    return model(
        [
            helper.make_node("Relu", ["left"], ["l"]),
            helper.make_node("Tanh", ["right"], ["r"]),
            helper.make_node("Add", ["l", "r"], ["sum"]),
        ],
        {"left": (1, 4), "right": (1, 4)},
        {"sum": (1, 4), "l": (1, 4)},
    )


def test_needless_inputs_are_reported_and_missing_ones_refused(tmp_path: Path) -> None:
    path = save(two_inputs(), tmp_path / "m.onnx")
    found = extract_model(path, tmp_path / "p.onnx", starts=["left", "right"], ends=["l"])
    assert (found.inputs, found.needless) == (("left",), ("right",))
    assert [value.name for value in onnx.load(tmp_path / "p.onnx").graph.input] == ["left"]
    with pytest.raises(UsageError, match="the model's inputs 'right' lead into it too") as caught:
        extract_model(path, tmp_path / "q.onnx", starts=["l"], ends=["sum"])
    assert "--from right" in str(caught.value)
    assert not (tmp_path / "q.onnx").exists()


def test_what_cannot_be_cut(tmp_path: Path) -> None:
    path = save(two_inputs(), tmp_path / "m.onnx")
    with pytest.raises(UsageError, match="no tensor 'lefd'") as caught:
        extract_model(path, tmp_path / "p.onnx", starts=["lefd"])
    assert "Did you mean left?" in str(caught.value)
    with pytest.raises(UsageError, match="Nothing leads from 'l' to 'l'"):
        extract_model(path, tmp_path / "p.onnx", starts=["l"], ends=["l"])
    with pytest.raises(UsageError, match="would replace the model itself"):
        extract_model(path, path)
    with pytest.raises(UsageError, match=r"does not end in \.onnx"):
        extract_model(path, tmp_path / "p.txt")
    with pytest.raises(UsageError, match="cannot be written"):
        extract_model(path, tmp_path / "no" / "p.onnx", ends=["l"])
    assert {p.name for p in tmp_path.iterdir()} == {"m.onnx"}


def test_the_command(tmp_path: Path) -> None:
    path = save(small_cnn(), tmp_path / "m.onnx")
    words = [COMMAND, "extract", path, "--to", "p3", "-o", tmp_path / "p.onnx"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "from image to p3" in done.stdout
    done = subprocess.run([*words, "--json"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["outputs"] == ["p3"]
    words[4] = "p4"
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Did you mean" in done.stderr


def test_the_command_cuts_at_marks(tmp_path: Path) -> None:
    path = save(marked_by_hand(), tmp_path / "m.onnx")
    part = tmp_path / "p.onnx"
    words = [COMMAND, "extract", path, "--from", "m:input", "--to", "m:output/boxes", "-o", part]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "1 nodes from image to boxes" in done.stdout
    values = np.asarray([[-1.0, 0.0, 0.5, 2.0]], dtype=np.float32)
    (found,) = run(part, ["boxes"], image=values)
    np.testing.assert_allclose(found, np.tanh(values), rtol=1e-6)
    words[4] = "m:inputs"
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no tensor 'm:inputs'" in done.stderr
    words[4] = "n:input"
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Its marks are: m:input/image, m:output/boxes" in " ".join(done.stderr.split())
