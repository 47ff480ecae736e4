"""A bundle for SNPE through every command to a board, whose library stands in for Qualcomm's.

The SDK's tools stand in, too (tests/integration/stand_in_sdk): nothing here was seen on a
Snapdragon. The library computes the model by ONNX Runtime; worker, agent and link are real.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployx_edge.bundle import Bundle
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
from tests.integration.models.test_snpe import DIGITS, TEST
from tests.integration.npu_board import (
    NpuBoard,
    Wrong,
    build_with_sdk,
    built_runtimes,
    npu_board,
)
from tests.integration.stand_in_sdk import install_sdk

NAME = "snpe"
pytestmark = pytest.mark.skipif(not built_runtimes(), reason="linux-arm64 is not built")
TO = ("--device", "board", "--json")
FEW = ("--iterations", "3", "--warmup", "0", "--no-link")
SAMPLES = ("--dataset", TEST, "--limit", "20", "--reference", DIGITS)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a user's."""
    return tmp_path_factory.mktemp("user")


@pytest.fixture(scope="module")
def sdk(place: Path) -> dict[str, str]:
    """The variables that name an SDK that stands in."""
    return install_sdk(place / "sdk")


@pytest.fixture(scope="module")
def bundle(place: Path, sdk: dict[str, str]) -> Bundle:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in sdk.items():
            patch.setenv(name, value)
        return make_bundle(DIGITS, place / "bundle", BundleOptions(runtime=NAME, verify=False))


@pytest.fixture(scope="module")
def board(place: Path) -> Iterator[NpuBoard]:
    try:
        dist = build_with_sdk(place / "dist")
        with npu_board(place / "sshd") as made, pytest.MonkeyPatch.context() as patch:
            made.be("Qualcomm QRB5165", "qcom,sm8250")
            (place / "deployx.toml").write_text(made.toml())
            patch.setenv("DEPLOYX_EDGE_DIST", str(dist))
            yield made
    except MissingPartError as lacking:
        pytest.skip(f"a board of another architecture needs {lacking}")


@pytest.fixture
def do(place: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """``answer_to``, where the user's ``deployx.toml`` lies."""
    monkeypatch.chdir(place)

    return answer_to


def test_a_bundle_goes_the_whole_way(
    board: NpuBoard, bundle: Bundle, do: Callable[..., str]
) -> None:
    board.behave()
    (result,) = json.loads(do("bench", bundle.folder, *TO, *FEW))["results"]
    assert result["load"]["runtime_version"] == "2.39.0 on dsp"
    assert [(each["unit"], each["layers"]) for each in result["bench"]["units"]] == [("DSP", 1)]
    assert [each["precision"] for each in result["bench"]["precisions"]] == ["int8"]
    # Bundle, worker and the SDK's library.
    store = {path.stat().st_size for path in (board.root / "work/store").iterdir()}
    assert len(store) == 3
    assert result["push"]["total_bytes"] == sum(store)
    found = json.loads(do("evaluate", bundle.folder, *SAMPLES, *TO))
    (there,) = found["places"]
    assert (there["place"], there["precision"], there["agreement"]) == ("board", "int8", 1.0)
    assert there["figures"][0]["value"] == found["reference"]["figures"][0]["value"]


def test_nothing_runs_on_the_processor_in_silence(
    board: NpuBoard, bundle: Bundle, do: Callable[..., str], request: pytest.FixtureRequest
) -> None:
    board.behave("refuse=dsp")
    said = do("bench", bundle.folder, *TO, *FEW, code=45)
    assert "does not run the model on dsp alone: " in said
    assert "runtime_order, or allow_fallback=on for the processor" in said
    allowed = ("--option", "runtime_order=dsp,cpu")
    said = do("bench", bundle.folder, *TO, *FEW, *allowed, "--fail-on-fallback", code=17)
    assert "The processor, not the accelerator, ran what dsp refuses of it." in said
    if not request.config.getoption("--all"):
        return
    shown = do("profile", bundle.folder, "--device", "board", "--iterations", "1", *allowed)
    assert "what dsp refuses of it" in shown


LATER = ("nothing came from it for 6000 ms",)
SHORT = ("--watchdog", "6")
NODE = "dev/fastrpc-cdsp"
WRONG = {
    "a crash": Wrong(words="crash", code=42, said=("crashed",)),
    "a hang": Wrong(words="hang", code=43, said=LATER, more=SHORT),
    "another version": Wrong(
        words="version=2.10.0", code=45, said=("compiled for SNPE 2.39.0", "libSNPE.so is 2.10.0")
    ),
    "a crash in a run": Wrong(words="crash-run", code=42, said=("crashed",)),
    "a hang in a run": Wrong(words="hang-run", code=43, said=LATER, more=SHORT),
    "a run that fails": Wrong(words="fail", code=45, said=("the DSP does not answer",)),
    "no DSP": Wrong(words="have=cpu", code=45, said=("finds no dsp on this board", "it has cpu")),
    "a closed node": Wrong(
        words="have=cpu",
        code=45,
        said=("finds no dsp on this board", f"this user may not open /{NODE}"),
        device="guest",
        node=NODE,
    ),
}


def test_what_goes_wrong_is_one_sentence_and_the_board_goes_on(
    board: NpuBoard, bundle: Bundle, do: Callable[..., str], wrongs: list[str]
) -> None:
    goes_wrong_and_on(board, bundle, [WRONG[name] for name in wrongs], do)


def test_what_holds_for_every_runtime_holds_here(
    board: NpuBoard, bundle: Bundle, in_turn: Callable[[int], None]
) -> None:
    in_turn(0)
    board.behave()
    with open_session(board.device) as session:
        measures_and_computes(session, bundle, of_the_source, ("int8",))


def test_int8_goes_the_whole_way(
    board: NpuBoard,
    do: Callable[..., str],
    sdk: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """The library rounds between layers as PPQ's ranges say."""
    if not request.config.getoption("--all"):
        pytest.skip("PPQ and a board take half a minute: pytest --all")
    for name, value in sdk.items():
        monkeypatch.setenv(name, value)
    board.behave()
    int8_goes_the_whole_way(NAME, "board", tmp_path)
