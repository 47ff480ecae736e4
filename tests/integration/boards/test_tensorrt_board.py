"""TensorRT's bundles on a board, by all commands: this computer, with libraries that stand in.

They compute by ONNX Runtime, so that what comes back is the model's; nothing was seen on a GPU.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from deployx_edge.bundle import Bundle
from deployx_edge.device import Device
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx.file import read_onnx
from deployx_edge.workflows.boards.session import open_session
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from tests.commands import answer_to
from tests.integration.agent.stand_in import STAND_INS, build_worker
from tests.integration.boards.generic import (
    int8_goes_the_whole_way,
    measures_and_computes,
    of_the_source,
    prepared_is_made_again,
)
from tests.integration.models.onnx_models import model, save
from tests.integration.models.test_tensorrt_plugins import deformable
from tests.integration.stand_in_build import build_with
from tests.integration.test_cli import DIGITS

NAME = "tensorrt"
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


def told(*words: object) -> Any:
    """A command's JSON."""
    return json.loads(answer_to(*words, "--json"))


def builds() -> int:
    """How many engines were built on the board."""
    asked = Path("asked")
    return len(asked.read_text().splitlines()) if asked.is_file() else 0


def test_a_bundle_goes_all_the_way_and_is_prepared_once(behave: Board, bundle: Bundle) -> None:
    on = (bundle.folder, "--device", "jetson")
    answer_to("push", *on)
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
    answer_to("run", *on, "-i", "images.npz", "--output", "scores.npz", "--option", "streams=2")
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
    answer_to("bench", *on, *FEW, "--option", "streams=3", "--option", "cuda_graph=on")
    assert builds() == 2
    answer_to("bench", *on, *FEW, "--rebuild")
    assert builds() == 3
    answer_to("push-and-bench", DIGITS, "--runtime", "tensorrt", "--device", "jetson", *FEW)
    assert builds() == 3


def test_options_of_a_worker_want_a_board() -> None:
    for words in (("evaluate", DIGITS, "--dataset", TEST_DATA), ("compare", DIGITS)):
        assert "no board is named" in answer_to(*words, "--option", "streams=2", code=2)


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
    assert "GPU (fell back)" in answer_to("profile", *on, *FEW)
    samples = ("--dataset", TEST_DATA, "--limit", "4")
    commands = [
        ("profile", *on, *FEW),
        ("evaluate", *on, *samples),
        ("bench", *on, *FEW),
        ("push-and-bench", *on, *FEW),
    ]
    for words in commands if pytestconfig.getoption("--all") else commands[:2]:
        assert f"jetson: {sentence}" in answer_to(*words, "--fail-on-fallback", code=17)
        answer_to(*words, "--allow-fallback")
    assert builds() == 1
    # It is not what was asked for where the GPU was.
    answer_to("profile", bundle.folder, "--device", "jetson", *FEW, "--fail-on-fallback")
    behave("dla=1")
    answer_to("profile", *on, *FEW, "--fail-on-fallback", "--rebuild")


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
            answer_to("run", *words)
            wanted = Reference(read_onnx(source, {})).run(inputs)
            with np.load("out.npz") as found:
                assert sorted(found.files) == sorted(wanted)
                for output, array in wanted.items():
                    np.testing.assert_allclose(found[output], array, rtol=1e-4, atol=1e-4)
        assert builds() == count


# How the board behaves, what is asked for besides, the exit code and words of the sentence.
WRONG = {
    "no memory": ("out-of-memory", (), 45, "MiB of the GPU's memory are free"),
    "an operator": ("refuse=Conv", (), 45, "operator 'Conv' (node '"),
    "no GPU": ("no-gpu", (), 45, "no CUDA-capable device"),
    "an older version": ("version=100001", (), 45, "the board has 10.0.1"),
    "a core that is not there": (
        "dla=1",
        (*DLA[:1], "dla_core=3"),
        45,
        "this board has 1 cores of",
    ),
    "a hang": ("hang", ("--prepare-limit", "1"), 43, "had not prepared the model after 1"),
    "a crash": ("crash", (), 42, "crashed"),
    "a crash in a run": ("crash-run", (), 42, "crashed"),
    "a hang in a run": ("hang-run", ("--watchdog", "6"), 43, "nothing came from it for 6000 ms"),
    "no libraries": ("", (), 45, "is not on this board"),
}


def test_what_goes_wrong_is_one_sentence_and_the_board_is_usable_afterwards(
    behave: Board,
    bundle: Bundle,
    wrongs: list[str],
    monkeypatch: pytest.MonkeyPatch,
    pytestconfig: pytest.Config,
) -> None:
    words = ("bench", bundle.folder, "--device", "jetson", *FEW)
    for name in wrongs:
        said, more, code, text = WRONG[name]
        behave(said)
        with monkeypatch.context() as without:
            if name == "no libraries":
                without.delenv("LD_LIBRARY_PATH")
            sentence, *log = answer_to(*words, *more, code=code).splitlines()
        assert text in sentence
        assert not log or log[0] == "Last lines of the worker's log:"
    behave()
    answer_to(*words)
    if not pytestconfig.getoption("--all"):
        return
    # An engine of another version is not loaded, but built anew beside it.
    before = builds()
    behave("version=100700")
    answer_to(*words)
    behave()
    answer_to(*words)
    assert builds() == before + 1


# In a mount namespace of its own, with a GPU's node of somebody whom the command's user, root of a
# user namespace, has no rights over.
_WITH_CLOSED_NODE = """set -e
mount -t tmpfs none "$1"
for name in full null random tty urandom zero; do
    touch "$1/$name"
    mount --bind "/dev/$name" "$1/$name"
done
mkdir -m 1777 "$1/shm"
touch "$1/nvmap"
chmod 660 "$1/nvmap"
chown 4105:4105 "$1/nvmap"
mount --rbind "$1" /dev
shift
exec unshare --map-root-user "$@"
"""


def test_a_node_that_the_user_may_not_open_is_named(
    behave: Board, bundle: Bundle, tmp_path: Path, in_turn: Callable[[int], None]
) -> None:
    in_turn(1)
    namespace = ["unshare", "--mount", "sh", "-c"]
    if os.geteuid() or subprocess.run([*namespace, "unshare -r true"], check=False).returncode:
        pytest.skip("unshare --mount is not allowed here")
    behave("no-gpu")
    (tmp_path / "dev").mkdir()
    command = ("bench", bundle.folder, "--device", "jetson", *FEW)
    program = [sys.executable, "-m", "deployx_edge", *map(str, command)]
    words = [*namespace, _WITH_CLOSED_NODE, "sh", str(tmp_path / "dev"), *program]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 45, done.stderr
    assert "this user may not open /dev/nvmap: add it to the group video" in done.stderr
    behave()
    answer_to(*command)


def test_what_holds_for_every_runtime_holds_here(
    behave: Board, bundle: Bundle, tmp_path: Path, in_turn: Callable[[int], None]
) -> None:
    in_turn(0)
    work = tmp_path / "work"
    with open_session(Device(name="jetson", uri="local:", work_folder=str(work))) as session:
        measures_and_computes(session, bundle, of_the_source)
    shutil.rmtree(work / "prepared")
    prepared_is_made_again(bundle, "jetson", work)


def test_int8_goes_the_whole_way(
    behave: Board, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The library computes PPQ's nodes as ONNX Runtime does, and calls their layers floats."""
    if not request.config.getoption("--all"):
        pytest.skip("PPQ and a board take half a minute: pytest --all")
    int8_goes_the_whole_way(NAME, "jetson", tmp_path, tells_int8=False)
