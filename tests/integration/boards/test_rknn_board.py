"""A bundle for Rockchip's NPUs through every command to a board, whose library stands in.

The library computes the model's source by ONNX Runtime: what comes back is true of the model, and
says nothing of an NPU. All else is real: the toolkit's file, the worker as it is shipped (under
qemu), the link, and the files by which a board tells its chip, driver, clocks and load.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from deployx_edge.bundle import Bundle
from deployx_edge.device import Device
from deployx_edge.workflows.boards.asked_chip import ask_chips
from deployx_edge.workflows.boards.session import open_session
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from tests.commands import answer_to
from tests.integration.board import MissingPartError
from tests.integration.boards.generic import (
    goes_wrong_and_on,
    int8_goes_the_whole_way,
    measures_and_computes,
    of_the_source,
)
from tests.integration.models.test_rknn import DIGITS, TEST
from tests.integration.npu_board import (
    NODE,
    RENDER,
    ROCK,
    NpuBoard,
    Wrong,
    built_runtimes,
    npu_board,
)
from tests.runtimes import missing

NAME = "rknn"
pytestmark = [
    pytest.mark.skipif(bool(missing(NAME)), reason=missing(NAME)),
    pytest.mark.skipif(NAME not in built_runtimes(), reason=f"dist has no worker for {NAME}"),
]
HALVES = "type=float16"
TO = ("--device", "board", "--json")
FEW = ("--iterations", "3", "--warmup", "0", "--no-link")
SAMPLES = ("--dataset", TEST, "--limit", "20", "--reference", DIGITS)


@pytest.fixture(scope="module")
def digits() -> Bundle:
    """The digits, in the tool's cache, where ``push-and-bench`` finds them; for the usual chip."""
    bundle = make_bundle(DIGITS, options=BundleOptions(runtime=NAME))
    assert bundle.soc == "rk3588"
    return bundle


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a user's."""
    return tmp_path_factory.mktemp("user")


@pytest.fixture(scope="module")
def board(digits: Bundle, place: Path) -> Iterator[NpuBoard]:
    try:
        with npu_board(place / "sshd") as made:
            made.know(digits.path(NAME), digits.path("onnx"))
            (place / "deployx.toml").write_text(made.toml())
            yield made
    except MissingPartError as lacking:
        pytest.skip(f"a board of another architecture needs {lacking}")


@pytest.fixture
def do(place: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """``answer_to``, where the user's ``deployx.toml`` lies."""
    monkeypatch.chdir(place)

    return answer_to


def test_a_bundle_goes_the_whole_way(
    board: NpuBoard, digits: Bundle, do: Callable[..., str]
) -> None:
    board.behave(f"{HALVES} asked=/tmp/asked")
    words = ("bench", digits.folder, *TO, *FEW, "--option", "core_mask=0_1_2")
    (result,) = json.loads(do(*words))["results"]
    # The source model, which the simulator is for, stays here.
    store = {path.stat().st_size for path in (board.root / "work/store").iterdir()}
    assert digits.file(NAME).size in store
    assert digits.file("onnx").size not in store
    assert result["push"]["total_bytes"] == sum(store)
    assert result["load"]["runtime_version"] == "2.5.0 (driver 0.9.8, model by toolkit 2.5.0)"
    assert result["load"]["accelerator_bytes"] > digits.file(NAME).size
    assert result["device"]["board"]["soc"] == "Radxa ROCK 5B (rockchip,rk3588)"
    assert not result["device"]["board"]["emulated"]
    assert len(result["bench"]["samples_ns"]) == 3
    assert [(unit["unit"], unit["layers"]) for unit in result["bench"]["units"]] == [("NPU", 11)]
    measures = {each["name"]: each["value"] for each in result["bench"]["before"]["measures"]}
    assert (measures["npu core0 load"], measures["npu core2 load"]) == (35, 7)
    assert measures["fdab0000.npu clock"] == 1000
    assert "mask=7" in (board.root / "tmp/asked").read_text()
    assert result["warnings"] == []
    found = json.loads(do("evaluate", digits.folder, *SAMPLES, *TO))
    (there,) = found["places"]
    assert (there["place"], there["precision"], there["agreement"]) == ("board", "fp16", 1.0)
    assert there["figures"][0]["value"] == found["reference"]["figures"][0]["value"]


def test_what_ran_in_the_npus_place_is_an_error_where_that_is_asked_for(
    board: NpuBoard, digits: Bundle, do: Callable[..., str]
) -> None:
    """By the one command that does all."""
    board.behave(f"{HALVES} cpu=MaxPool,Gemm")
    words = ("push-and-bench", DIGITS, "--runtime", NAME, "--device", "board")
    said = do(*words, "--iterations", "3", "--fail-on-fallback", code=17)
    assert "The processor, not the accelerator, ran /features/features.9/MaxPool" in said


def test_other_commands_tell_what_there_is(
    board: NpuBoard,
    digits: Bundle,
    do: Callable[..., str],
    place: Path,
    request: pytest.FixtureRequest,
) -> None:
    if not request.config.getoption("--all"):
        pytest.skip("more commands to the same board need --all")
    board.behave(f"{HALVES} cpu=MaxPool,Gemm")
    layers = json.loads(do("profile", digits.folder, *TO, "--iterations", "1", "--warmup", "0"))
    units = {each["name"]: each["unit"] for each in layers["result"]["profile"]["layers"]}
    assert (units["/features/features.0/Conv"], units["/classifier/Gemm"]) == ("NPU", "CPU")
    listed = json.loads(do("devices", "list", "--json"))["devices"]
    assert "board" in [row["name"] for row in listed]
    doctor = json.loads(do("devices", "doctor", "board", "--model", digits.folder, "--json"))
    told = {row["name"]: row["found"] for row in doctor["checks"]}
    assert told["chip"] == "Radxa ROCK 5B (rockchip,rk3588)"
    assert told["bundle"].startswith("digits_cnn: fp16 for rknn")
    assert json.loads(do("push", digits.folder, *TO))["total_bytes"] > digits.file(NAME).size
    np.savez(place / "image.npz", image=np.load(TEST)["image"][:2])
    do("run", digits.folder, *TO, "--input", place / "image.npz", "--output", place / "out.npz")
    found = np.load(place / "out.npz")["scores"]
    np.testing.assert_allclose(
        found, of_the_source({"image": np.load(TEST)["image"][:2]})["scores"], rtol=1e-4, atol=1e-4
    )
    compared = json.loads(do("compare", DIGITS, digits.folder, *TO))
    assert {layer["verdict"] for layer in compared["layers"]} <= {"same", "rounded"}
    words = ("bench", digits.folder, "--device", "board", *FEW)
    shown = do(*words, "--output", "first.json")
    assert "NPU (9) + CPU (2)" in shown
    assert "ran /features/features.9/MaxPool, /classifier/Gemm." in shown
    assert "cannot be told" in do(*words, "--compare", "first.json", "--repeat", "1")


DRIVER = "driver 0.9.8"
SHORT = ("--watchdog", "6")
WRONG = {
    "no library": Wrong(
        code=45,
        said=("librknnrt.so is not on this board", "/usr/lib"),
        absent="usr/lib/librknnrt.so",
    ),
    "an older library": Wrong(
        words="version=2.0.0", code=45, said=("toolkit 2.5.0", "library 2.0.0", DRIVER)
    ),
    "another driver": Wrong(
        words="init=-10", code=45, said=("library and driver do not fit", DRIVER)
    ),
    "no memory": Wrong(
        words="memory=9", code=45, said=("out of memory for the NPU (-4)", "end other programs")
    ),
    "a crash": Wrong(words="crash", code=42, said=("crashed",)),
    "a hang": Wrong(words="hang", code=43, said=("nothing came from it for 6000 ms",), more=SHORT),
    "a crash in a run": Wrong(words="crash-run", code=42, said=("crashed",)),
    "a hang in a run": Wrong(
        words="hang-run", code=43, said=("nothing came from it for 6000 ms",), more=SHORT
    ),
    "a closed node": Wrong(
        code=45,
        said=(f"may not open the NPU's /{NODE}: add it to the group {RENDER[0]} on the board",),
        device="guest",
        node=NODE,
    ),
}


def test_what_goes_wrong_is_one_sentence_and_the_board_goes_on(
    board: NpuBoard, digits: Bundle, do: Callable[..., str], wrongs: list[str]
) -> None:
    goes_wrong_and_on(board, digits, [WRONG[name] for name in wrongs], do, HALVES)


def test_what_holds_for_every_runtime_holds_here(
    board: NpuBoard, digits: Bundle, in_turn: Callable[[int], None]
) -> None:
    in_turn(0)
    board.behave(HALVES)
    with open_session(board.device) as session:
        measures_and_computes(session, digits, of_the_source, ("fp16",))


def test_int8_goes_the_whole_way(
    board: NpuBoard, do: Callable[..., str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The library computes the model with PPQ's nodes, of which the toolkit made its file."""
    if not request.config.getoption("--all"):
        pytest.skip("PPQ and a board take half a minute: pytest --all")
    board.behave("type=int8")
    int8_goes_the_whole_way(
        *(NAME, "board", tmp_path), teach=lambda b: board.know(b.path(NAME), b.path("onnx"))
    )


def test_files_are_for_no_chip_in_particular_where_not_all_boards_tell_one(
    board: NpuBoard, request: pytest.FixtureRequest
) -> None:
    told: list[str] = []
    there, here = board.device, Device(name="here", uri="local:")
    assert ask_chips([there, here], [NAME]) == {}
    assert ask_chips([there], ["ncnn"]) == {}
    if not request.config.getoption("--all"):
        return
    found = ask_chips([there], ["ncnn", NAME], progress=lambda event: told.append(event.text))
    assert found == {NAME: "rk3588"}
    assert told[-1] == "Files for RKNN are made for rk3588, the chip of board"
    assert ask_chips([Device(name="lost", uri="ssh:nobody@127.0.0.1:1")], [NAME]) == {}


def test_a_file_for_another_chip_is_refused_before_it_is_pushed(
    board: NpuBoard, digits: Bundle, do: Callable[..., str], place: Path
) -> None:
    board.be("Radxa ROCK 3A", "radxa,rock3a", "rockchip,rk3568")
    try:
        said = do("push", digits.folder, "--device", "board", code=37)
    finally:
        board.be(*ROCK)
    assert "its files are for the chip rk3588, the board has rk3568" in said
    assert "--soc rk3568" in said
