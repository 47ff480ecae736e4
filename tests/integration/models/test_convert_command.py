"""``deployx-edge convert`` as a person types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from onnx import helper

from deployx_edge.bundle import bundle_digest, load_bundle
from tests.integration.models.onnx_models import lacking_in_ncnn, model, save, small_cnn

DIGITS = Path(__file__).resolve().parents[3] / "examples" / "digits"


def bundle(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deployx_edge", "convert", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_json_is_the_manifest_and_nothing_else(tmp_path: Path) -> None:
    done = bundle(DIGITS / "digits_cnn.onnx", "-o", tmp_path / "b", "--json")
    assert done.returncode == 0
    assert "error" not in done.stderr
    document = json.loads(done.stdout)
    made = load_bundle(tmp_path / "b")
    assert document["kind"] == "bundle"
    assert document["folder"] == str(tmp_path / "b")
    assert document["sha256"] == bundle_digest(made)
    assert document["manifest"] == json.loads((tmp_path / "b" / "bundle.json").read_text())


def test_the_table_says_how_far_the_outputs_are(tmp_path: Path) -> None:
    done = bundle(DIGITS / "digits_cnn.onnx", "-o", tmp_path / "b", "--precision", "fp16")
    assert done.returncode == 0
    for words in ("ncnn, fp16", "image 1x1x8x8 NCHW float32, batch axis 0", "same: error"):
        assert words in done.stdout
    assert "Comparing with ONNX Runtime on 6 inputs" in done.stderr


def test_options_reach_the_bundle(tmp_path: Path) -> None:
    path = save(small_cnn(batch="N"), tmp_path / "m.onnx")
    done = bundle(
        path, "-o", tmp_path / "b", "--input", "image:1x3x16x16", "--name", "mine",
        "--preprocess", "mean=10,std=20", "--postprocess", "labels=a|b|c|d|e|f",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = load_bundle(tmp_path / "b")
    assert made.name == "mine"
    assert made.preprocessing[0].mean == (10.0, 10.0, 10.0)
    assert made.postprocessing[0].labels == ("a", "b", "c", "d", "e", "f")


def test_each_failure_has_its_exit_code_and_one_line(tmp_path: Path) -> None:
    unknown = model([lacking_in_ncnn("x", "y", "m1")], {"x": (1, 3, 4, 4)}, {"y": (1, 3)})
    attributes = {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}
    wrong = model(
        [helper.make_node("AveragePool", ["x"], ["y"], **attributes)],
        {"x": (1, 3, 8, 8)},
        {"y": (1, 3, 4, 4)},
    )
    (tmp_path / "folder").mkdir()
    cases = [
        (tmp_path / "absent.onnx", 2, "does not exist"),
        (save(unknown, tmp_path / "unknown.onnx"), 10, "'Det' (node 'm1')"),
        (tmp_path / "folder", 11, "is not a bundle"),
        (save(wrong, tmp_path / "wrong.onnx"), 12, "output 'y' is off by"),
    ]
    for path, code, words in cases:
        via = ("--converter", "pnnx") if code == 12 else ()  # it gets that padding wrong
        done = bundle(path, "-o", tmp_path / "b", "--json", *via)
        assert done.returncode == code, done.stderr
        assert done.stdout == ""
        # What is not progress, "[  0.3 s] …", is the one line of the error.
        told = [line for line in done.stderr.splitlines() if not line.startswith("[")]
        assert len(told) == 1
        assert words in told[0]
        assert not (tmp_path / "b").exists()
