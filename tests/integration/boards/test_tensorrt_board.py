"""TensorRT's bundles on a board, by all commands: this computer, with libraries that stand in.

They compute by ONNX Runtime, so that what comes back is the model's; nothing was seen on a GPU.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper
from typer.testing import CliRunner

from deployx_edge.bundle import Bundle
from deployx_edge.cli.app import app
from deployx_edge.errors import (
    DeployxError,
    FallbackError,
    RuntimeRefusedError,
    UsageError,
    WorkerTimeoutError,
)
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx.file import read_onnx
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from tests.integration.agent.stand_in import STAND_INS, build_worker
from tests.integration.models.onnx_models import model, save
from tests.integration.models.test_tensorrt_plugins import deformable
from tests.integration.stand_in_build import build_with
from tests.integration.test_cli import DIGITS

TEST_DATA = DIGITS.with_name("digits_test.npz")
FEW = ("--iterations", "3")
DLA = ("--option", "dla_core=0")
HALF_ON_DLA = "dla=1 dla-lacks=,Gemm,"


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    worker, _ = build_worker("tensorrt", "cuda", "cudart", "nvinfer", "nvonnxparser")
    folder = tmp_path_factory.mktemp("dist")
    build_with(worker, "tensorrt", folder)
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(
        DIGITS, tmp_path_factory.mktemp("b") / "b", BundleOptions(runtime="tensorrt")
    )


Board = Callable[..., None]


@pytest.fixture
def behave(dist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    """How the board's libraries behave from now on. The board is called `jetson`."""
    (tmp_path / "deployx.toml").write_text(
        f'[devices.jetson]\nuri = "local:"\nwork_folder = "{tmp_path / "work"}"\n'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEPLOYX_EDGE_DIST", str(dist))
    monkeypatch.setenv("LD_LIBRARY_PATH", str(STAND_INS))

    def behave_so(words: str = "") -> None:
        monkeypatch.setenv("DX_STAND_IN", f"asked={tmp_path / 'asked'} {words}")

    behave_so()
    yield behave_so


def command(*words: object) -> str:
    """What a command prints; it raises what it ends in."""
    done = CliRunner().invoke(app, [*map(str, words)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def told(*words: object) -> Any:
    """A command's JSON."""
    return json.loads(command(*words, "--json"))


def builds() -> int:
    """How many engines were built on the board."""
    asked = Path("asked")
    return len(asked.read_text().splitlines()) if asked.is_file() else 0


def test_a_bundle_goes_all_the_way_and_is_prepared_once(behave: Board, bundle: Bundle) -> None:
    on = (bundle.folder, "--device", "jetson")
    command("push", *on)
    (benched,) = told("bench", *on, *FEW, "--accelerator", "gpu")["results"]
    assert benched["load"]["runtime_version"] == "10.3.0"
    assert {unit["unit"] for unit in benched["bench"]["units"]} == {"GPU"}
    assert benched["fell_back"] is None
    assert builds() == 1
    layers = told("profile", *on, *FEW)["result"]["profile"]["layers"]
    assert {layer["unit"] for layer in layers} == {"GPU"}
    assert any(layer["macs"] for layer in layers)
    with np.load(TEST_DATA) as data:
        images = data["image"][:3].astype(np.float32)
    np.savez("images.npz", image=images)
    command("run", *on, "-i", "images.npz", "--output", "scores.npz", "--option", "streams=2")
    session = onnxruntime.InferenceSession(DIGITS.read_bytes())
    with np.load("scores.npz") as found:
        wanted = np.concatenate([session.run(None, {"image": each[None]})[0] for each in images])
        np.testing.assert_allclose(found["scores"], wanted, rtol=1e-5, atol=1e-5)
    words = ("--dataset", TEST_DATA, "--reference", DIGITS, "--limit", "40")
    evaluated = told("evaluate", *on, *words)
    assert evaluated["places"][0]["agreement"] == 1.0
    compared = told("compare", DIGITS, *on)
    assert max(layer["relative_error"] for layer in compared["layers"]) < 1e-5
    assert builds() == 2  # comparing asks for tensors inside
    command("bench", *on, *FEW, "--option", "streams=3", "--option", "cuda_graph=on")
    assert builds() == 2
    command("bench", *on, *FEW, "--rebuild")
    assert builds() == 3
    command("push-and-bench", DIGITS, "--runtime", "tensorrt", "--device", "jetson", *FEW)
    assert builds() == 3


def test_options_of_a_worker_want_a_board() -> None:
    for words in (("evaluate", DIGITS, "--dataset", TEST_DATA), ("compare", DIGITS)):
        with pytest.raises(UsageError, match="no board is named"):
            command(*words, "--option", "streams=2")


def test_layers_that_an_accelerator_left_to_the_gpu_are_named_and_can_be_an_error(
    behave: Board, bundle: Bundle, pytestconfig: pytest.Config
) -> None:
    behave(HALF_ON_DLA)
    on = (bundle.folder, "--device", "jetson", *DLA)
    profiled = told("profile", *on, *FEW)["result"]
    left = [layer for layer in profiled["profile"]["layers"] if layer["fell_back"]]
    assert [(layer["type"], layer["unit"]) for layer in left] == [("Gemm", "GPU")] * len(left)
    sentence = f"The GPU, not the accelerator, ran {', '.join(each['name'] for each in left)}."
    assert profiled["fell_back"] == sentence
    assert "GPU (fell back)" in command("profile", *on, *FEW)
    samples = ("--dataset", TEST_DATA, "--limit", "4")
    commands = [
        ("profile", *on, *FEW),
        ("evaluate", *on, *samples),
        ("bench", *on, *FEW),
        ("push-and-bench", *on, *FEW),
    ]
    for words in commands if pytestconfig.getoption("--all") else commands[:2]:
        with pytest.raises(FallbackError, match=f"jetson: {sentence}") as caught:
            command(*words, "--fail-on-fallback")
        assert caught.value.exit_code == 17
        command(*words, "--allow-fallback")
    assert builds() == 1
    # It is not what was asked for where the GPU was.
    command("profile", bundle.folder, "--device", "jetson", *FEW, "--fail-on-fallback")
    behave("dla=1")
    command("profile", *on, *FEW, "--fail-on-fallback", "--rebuild")


def test_a_model_runs_with_operators_of_ours_as_plugins(
    behave: Board, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """One among other layers, and what suppresses boxes, with whole numbers and an output less."""
    if not pytestconfig.getoption("--all"):
        pytest.skip("plugins in whole models go with the C++ tests, on a board with --all")
    behave()
    nodes = [
        helper.make_node(
            *("TRTBatchedNMS", ["boxes", "scores"], ["dets", "labels"], "nms"),
            domain="mmdeploy",
            num_classes=2,
            keep_topk=4,
            iou_threshold=0.25,
            clip_boxes=0,
        )
    ]
    shapes = {"boxes": (1, 6, 1, 4), "scores": (1, 6, 2)}
    nms = model(nodes, shapes, {"dets": (1, 4, 5), "labels": (1, 4)}, opset=16)
    nms.graph.output[1].type.tensor_type.elem_type = onnx.TensorProto.INT32
    nms.opset_import.append(helper.make_opsetid("mmdeploy", 1))
    generator = np.random.default_rng(4)
    corners = generator.random((1, 6, 1, 2), np.float32) * 8
    boxes = np.concatenate([corners, corners + 4], axis=3)
    given = {
        "deform": (deformable(), {"image": generator.random((1, 3, 9, 8), np.float32)}),
        "nms": (nms, {"boxes": boxes, "scores": generator.random((1, 6, 2), np.float32)}),
    }
    for count, (name, (made, inputs)) in enumerate(given.items(), 1):
        source = save(made, tmp_path / f"{name}.onnx")
        folder = make_bundle(source, tmp_path / name, BundleOptions(runtime="tensorrt")).folder
        np.savez(tmp_path / f"{name}.npz", **inputs)
        words = (folder, "--device", "jetson", "-i", f"{name}.npz", "--output", "out.npz")
        for _ in range(2):
            command("run", *words)
            wanted = Reference(read_onnx(source, {})).run(inputs)
            with np.load("out.npz") as found:
                assert sorted(found.files) == sorted(wanted)
                for output, array in wanted.items():
                    np.testing.assert_allclose(found[output], array, rtol=1e-4, atol=1e-4)
        assert builds() == count


REFUSED = [
    ("out-of-memory", (), RuntimeRefusedError, "MiB of the GPU's memory are free"),
    ("refuse=Conv", (), RuntimeRefusedError, "operator 'Conv' (node '"),
    ("no-gpu", (), RuntimeRefusedError, "no CUDA-capable device"),
    ("version=100001", (), RuntimeRefusedError, "the board has 10.0.1"),
    ("dla=1", ("--option", "dla_core=3"), DeployxError, "this board has 1 cores of a deep"),
    ("hang", ("--prepare-limit", "1"), WorkerTimeoutError, "had not prepared the model after 1"),
]


def test_what_goes_wrong_is_one_sentence_and_the_board_is_usable_afterwards(
    behave: Board, bundle: Bundle, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    if not pytestconfig.getoption("--all"):
        pytest.skip("the agent's answers go with every run, how a user sees them with --all")
    words = ("bench", bundle.folder, "--device", "jetson", *FEW)
    for said, more, kind, text in REFUSED:
        behave(said)
        with pytest.raises(kind) as caught:
            command(*words, *more)
        sentence, *log = caught.value.message.splitlines()
        assert text in sentence
        assert not log or log[0] == "Last lines of the worker's log:"
    behave()
    with monkeypatch.context() as without:
        without.delenv("LD_LIBRARY_PATH")
        with pytest.raises(RuntimeRefusedError, match="is not on this board"):
            command(*words)
    command(*words)
    # An engine of another version is not loaded, but built anew beside it.
    before = builds()
    behave("version=100700")
    command(*words)
    behave()
    command(*words)
    assert builds() == before + 1
