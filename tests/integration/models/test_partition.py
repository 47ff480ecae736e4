"""One model as several bundles: cut at tensors or marks, run one after the other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from deployx_edge.bundle import load_sequence
from deployx_edge.errors import BundleError, DeployxError, UsageError
from deployx_edge.workflows.convert.partition import make_sequence
from deployx_edge.workflows.measure.run import run_anywhere
from tests.integration.models.onnx_models import (
    constant,
    lacking_in_ncnn,
    model,
    save,
    small_cnn,
    weights,
)


def two_heads(path: Path) -> Path:
    """A trunk with two outputs; the second also needs the input itself, behind the cut."""
    return save(
        model(
            [
                helper.make_node("Conv", ["x", "w"], ["t"], pads=[1] * 4, name="trunk"),
                helper.make_node("Relu", ["t"], ["early"], name="relu"),
                helper.make_node("Sigmoid", ["early"], ["s"], name="sigmoid"),
                helper.make_node("Add", ["s", "x"], ["late"], name="add"),
            ],
            {"x": (1, 3, 8, 8)},
            {"early": (1, 3, 8, 8), "late": (1, 3, 8, 8)},
            [weights("w", 3, 3, 3, 3)],
        ),
        path,
    )


def noise(path: Path, name: str, *shape: int) -> str:
    values = np.random.default_rng(3).random(shape, dtype=np.float32)
    np.savez(path, **{name: values})  # type: ignore[arg-type]
    return str(path)


@pytest.mark.parametrize("cuts", [("r2",), ("r1", "r3"), ("r1=ncnn", "r2=ncnn")])
def test_parts_give_what_the_whole_gives(tmp_path: Path, cuts: tuple[str, ...]) -> None:
    path = save(small_cnn(), tmp_path / "m.onnx")
    sequence = make_sequence(path, tmp_path / "s", cuts)
    assert [bundle.runtime for bundle in sequence.bundles] == [
        "ncnn",
        *("ncnn" if cut.endswith("=ncnn") else "onnxruntime" for cut in cuts),
    ]
    words = [noise(tmp_path / "x.npz", "image", 3, 3, 16, 16)]
    found = run_anywhere(tmp_path / "s", words, None).arrays
    wanted = run_anywhere(path, words, None).arrays
    assert list(found) == list(wanted) == ["scores"]
    np.testing.assert_allclose(found["scores"], wanted["scores"], rtol=1e-4, atol=1e-4)


def test_what_the_file_says_of_images_and_outputs_goes_to_the_parts_that_have_them(
    tmp_path: Path,
) -> None:
    digits = Path(__file__).parents[3] / "examples" / "digits"
    tensor = "/features/features.9/MaxPool_output_0"
    sequence = make_sequence(digits / "digits_cnn.onnx", tmp_path / "s", [tensor])
    first, last = sequence.bundles
    assert first.preprocessing and not first.postprocessing
    assert not last.preprocessing and len(last.postprocessing[0].labels) == 10
    words = [str(digits / f"digit_{digit}.png") for digit in (3, 5, 8)]
    found = run_anywhere(tmp_path / "s", words, None)
    assert found.arrays["scores"].argmax(axis=1).tolist() == [3, 5, 8]
    assert found.meanings == last.postprocessing


def test_outputs_and_inputs_on_both_sides_of_the_cut(tmp_path: Path) -> None:
    path = two_heads(tmp_path / "m.onnx")
    sequence = make_sequence(path, tmp_path / "s", ["s"])
    first, second = sequence.parts
    assert [feed.part for feed in second.feeds] == [0, None]
    assert [(r.output, r.part) for r in sequence.results] == [("early", 0), ("late", 1)]
    words = [noise(tmp_path / "x.npz", "x", 1, 3, 8, 8)]
    found = run_anywhere(tmp_path / "s", words, None).arrays
    wanted = run_anywhere(path, words, None).arrays
    assert first.folder == "0-m"
    for name in ("early", "late"):
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("cuts", "words"),
    [
        (["absent"], "has no tensor 'absent'"),
        (["r1="], "is not TENSOR"),
        (["r1=caffe"], "Runtimes: ncnn, onnxruntime"),
        (["r3", "r1"], "in which the data flows"),
        (["postprocess:input"], "and no marks"),
    ],
)
def test_cuts_that_cannot_be(tmp_path: Path, cuts: list[str], words: str) -> None:
    path = save(small_cnn(), tmp_path / "m.onnx")
    with pytest.raises(UsageError) as caught:
        make_sequence(path, tmp_path / "s", cuts)
    assert words in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"]


def test_a_part_that_fails_leaves_nothing(tmp_path: Path) -> None:
    made = model(
        [
            helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
            lacking_in_ncnn("c", "y", "rest"),
        ],
        {"x": (1, 3, 8, 8)},
        {"y": (1, 4)},
        [weights("w", 4, 3, 3, 3)],
    )
    path = save(made, tmp_path / "m.onnx")
    with pytest.raises(DeployxError, match="'Det' \\(node 'rest'\\)"):
        make_sequence(path, tmp_path / "s", ["c=ncnn"])
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"]
    make_sequence(path, tmp_path / "s", ["c"])  # ONNX Runtime has it


def test_a_sequence_is_replaced_and_nothing_else_is(tmp_path: Path) -> None:
    path = save(small_cnn(), tmp_path / "m.onnx")
    make_sequence(path, tmp_path / "s", ["r1"])
    make_sequence(path, tmp_path / "s", ["r1", "r2"])
    assert len(load_sequence(tmp_path / "s").parts) == 3
    (tmp_path / "s" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"holds 'notes\.txt'"):
        make_sequence(path, tmp_path / "s", ["r1"])


def test_a_sequence_that_was_altered(tmp_path: Path) -> None:
    path = save(small_cnn(), tmp_path / "m.onnx")
    make_sequence(path, tmp_path / "s", ["r1"])
    file = tmp_path / "s" / "sequence.json"
    whole = json.loads(file.read_text())
    for change in (
        {"schema": 2},
        {"parts": []},
        {"results": [{"output": "scores", "part": 0, "tensor": "scores"}]},
        {"extra": 1},
    ):
        file.write_text(json.dumps({**whole, **change}))
        with pytest.raises(BundleError):
            load_sequence(tmp_path / "s")


def test_the_commands_say_what_a_sequence_is(tmp_path: Path) -> None:
    path = save(small_cnn(), tmp_path / "m.onnx")
    command = [sys.executable, "-m", "deployx_edge"]
    done = subprocess.run(
        [*command, "convert", path, "--partition", "r2", "-o", tmp_path / "s", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    document = json.loads(done.stdout)
    assert document["kind"] == "sequence"
    assert [part["folder"] for part in document["parts"]] == ["0-m", "1-m"]
    refused = subprocess.run(
        [*command, "profile", tmp_path / "s", "-d", "local:"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == BundleError.exit_code
    assert "is a sequence of bundles: run, bench, evaluate and compare take it" in refused.stderr


@pytest.mark.parametrize("kind", ["cast", "lookup"])
def test_what_takes_integers_is_cut_off_for_onnx_runtime(tmp_path: Path, kind: str) -> None:
    """The part behind is float, and is what the board gets."""
    first = {
        "cast": [helper.make_node("Cast", ["x"], ["t"], to=1, name="cast")],
        "lookup": [
            helper.make_node("Gather", ["table", "x"], ["rows"], name="lookup"),
            helper.make_node("Reshape", ["rows", "sizes"], ["t"], name="shape"),
        ],
    }[kind]
    made = model(
        [*first, helper.make_node("Conv", ["t", "w"], ["y"], name="conv")],
        {"x": (1, 3, 8, 8) if kind == "cast" else (1, 64)},
        {"y": (1, 4, 8, 8)},
        [
            weights("w", 4, 3, 1, 1),
            weights("table", 9, 3),
            constant("sizes", np.asarray([1, 3, 8, 8])),
        ],
        input_type=6,
    )
    path = save(made, tmp_path / "m.onnx")
    told: list[str] = []
    sequence = make_sequence(
        path, tmp_path / "s", ["t=ncnn"], progress=lambda stage: told.append(stage.text)
    )
    assert [bundle.runtime for bundle in sequence.bundles] == ["onnxruntime", "ncnn"]
    assert "The first part is for onnxruntime: its input 'x' is int32" in told
    with pytest.raises(UsageError, match="--partition t=ncnn"):
        make_sequence(path, tmp_path / "s2", ["t"])
