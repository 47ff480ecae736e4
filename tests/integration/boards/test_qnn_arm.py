"""QNN's worker for Arm boards under qemu, as far as Qualcomm's libraries go without an NPU.

What leads to one is played by files: the device is an empty one, and ``libcdsprpc.so`` a library
that opens nothing. Qualcomm's own libraries are the real ones, and refuse that.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from onnx import helper

from deployx_edge.agent.v1 import agent_pb2 as pb
from deployx_edge.device import Device
from deployx_edge.errors import UnfitDeviceError
from deployx_edge.target import find_target
from deployx_edge.transport.virtual.libraries import library_words
from deployx_edge.workflows.boards.session import open_session
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from deployx_edge.workflows.measure.run import run
from tests.commands import answer_to
from tests.integration.agent.session import Binaries
from tests.integration.agent.session import Session as AgentSession
from tests.integration.agent.stand_in import refused
from tests.integration.crossbuild.compiling import built
from tests.integration.models.onnx_models import model, save, weights
from tests.integration.npu_board import npu_board
from tests.runtimes import missing

TARGET = find_target("linux-arm64")
COMPILER = shutil.which("aarch64-linux-gnu-gcc") or ""
QEMU = shutil.which(TARGET.qemu) or ""
pytestmark = [
    pytest.mark.skipif(not COMPILER, reason="aarch64-linux-gnu-gcc is not installed"),
    pytest.mark.skipif(not QEMU, reason=f"{TARGET.qemu} is not installed"),
]
HANGS = "#include <unistd.h>\n__attribute__((constructor)) void hang(void) { for (;;) pause(); }"
OPENS_NOTHING = "int remote_handle64_open(const char *n, unsigned long *h) { return -1; }"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    node = helper.make_node("Conv", ["x", "w"], ["y"], "conv", pads=[1] * 4)
    made = model([node], {"x": (1, 3, 8, 8)}, {"y": (1, 4, 8, 8)}, [weights("w", 4, 3, 3, 3)])
    return save(made, tmp_path_factory.mktemp("source") / "conv.onnx")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """What qemu shows to the worker in place of this computer's own folders."""
    _, usual = library_words(TARGET, QEMU, TARGET.qemu_cpu)
    (tmp_path / "proc").symlink_to(Path(usual) / "proc")
    (tmp_path / "dev").mkdir()
    (tmp_path / "lib").mkdir()
    for library in (Path(usual) / "lib").iterdir():
        (tmp_path / "lib" / library.name).symlink_to(library)
    return tmp_path


def load(root: Path, source: Path, *more: str) -> tuple[int, str]:
    """The worker's exit code and its last line."""
    build = built(TARGET.id)
    libraries = [
        word
        for file in build.libraries("qnn")
        if "Skel" not in file.name
        for word in ("--library", build.folder / file.name)
    ]
    program = [QEMU, "-L", root, build.worker("qnn"), "--bare", "--file", f"onnx={source}"]
    words = ["--input", "x=1x3x8x8", "--prepared", root / "made", "--iterations", "1", *more]
    done = subprocess.run(
        [*program, *libraries, *words], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr.splitlines()[-1]


def play_npu(root: Path, driver: str = OPENS_NOTHING) -> None:
    (root / "dev" / "fastrpc-cdsp").touch()
    compile_driver(root / "lib" / "libcdsprpc.so", driver)


def compile_driver(path: Path, source: str) -> None:
    library = ["-x", "c", "-", "-shared", "-fPIC", "-o", path]
    subprocess.run([COMPILER, *library], input=source, text=True, check=True)


@pytest.fixture
def agent(root: Path, tmp_path: Path) -> Iterator[AgentSession]:
    """This computer's agent, which starts workers of the Arm board."""
    build = built(TARGET.id)
    store = tmp_path / "work" / "store"
    store.mkdir(parents=True)
    for file in build.of_worker("qnn"):
        (store / file.sha256).symlink_to(build.folder / file.name)
    binaries = Binaries(agent=built("linux-x64").agent, worker=build.worker("qnn"))
    launcher = [word for each in (QEMU, "-L", str(root)) for word in ("--launcher", each)]
    session = AgentSession(
        binaries, store.parent, ["--heartbeat-seconds", "900", "--emulated", *launcher]
    )
    try:
        yield session
    finally:
        session.close()


def request_of(agent: AgentSession, source: Path, limit_ms: int) -> pb.LoadRequest:
    libraries = [
        pb.ModelFile(role="library", name=file.name, sha256=file.sha256)
        for file in built(TARGET.id).libraries("qnn")
    ]
    files = [
        pb.ModelFile(role="worker", sha256=agent.binaries.worker_sha256),
        pb.ModelFile(role="onnx", sha256=agent.put(source.read_bytes())),
        *libraries,
    ]
    return pb.LoadRequest(runtime="qnn", files=files, watchdog_ms=limit_ms, prepare_ms=limit_ms)


@pytest.mark.parametrize("more", [(), ("--set", "allow_fallback=on")])
def test_what_the_libraries_refuse_is_no_matter_of_nodes(
    root: Path, source: Path, more: tuple[str, ...]
) -> None:
    play_npu(root)
    code, said = load(root, source, *more)
    assert code == 1
    assert "QNN does not start on this board: its libraries do not know the NPU" in said
    assert "QNN_BACKEND_ERROR_CANNOT_INITIALIZE" in said
    assert not (root / "made").exists()


def test_what_is_missing_is_one_sentence(root: Path, source: Path) -> None:
    code, said = load(root, source)
    assert code == 1
    assert "this board has no Qualcomm NPU" in said
    (root / "dev" / "fastrpc-cdsp").touch()
    code, said = load(root, source)
    assert (code, "libcdsprpc.so, which leads to the NPU, is not on this board" in said) == (
        1,
        True,
    )


def test_a_driver_that_hangs_is_ended_and_the_agent_goes_on(
    root: Path, source: Path, agent: AgentSession
) -> None:
    agent.shake()
    play_npu(root, HANGS)
    failure = refused(agent, request_of(agent, source, 1500))
    assert failure.code == pb.FAILURE_WATCHDOG
    assert failure.phase == pb.PHASE_PREPARE
    (root / "dev" / "fastrpc-cdsp").unlink()
    failure = refused(agent, request_of(agent, source, 60_000))
    assert failure.code == pb.FAILURE_RUNTIME_REFUSED
    assert "this board has no Qualcomm NPU" in failure.message


def test_an_emulated_board_refuses_before_a_push_and_runs_another_model(source: Path) -> None:
    for_npu = make_bundle(source, options=BundleOptions(runtime="onnxruntime", verify=False))
    with open_session(Device(name="arm", uri=f"virtual:{TARGET.id}")) as session:
        with pytest.raises(
            UnfitDeviceError, match="an emulated board has no Qualcomm NPU"
        ) as caught:
            session.push(replace(for_npu, runtime="qnn"))
        assert caught.value.exit_code == 37
        assert "--device local: where there is Qualcomm's HTP emulator" in caught.value.remedy
        given = {"x": onnx.numpy_helper.to_array(weights("x", 1, 3, 8, 8))}
        assert run(session, for_npu, given)["y"].shape == (1, 4, 8, 8)


@pytest.mark.skipif(bool(missing("qnn")), reason=missing("qnn"))
def test_each_refusal_reaches_the_user_and_the_board_runs_another_model(
    source: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By commands to a board behind a real sshd, whose chip and NPU are played by files."""
    if not request.config.getoption("--all"):
        pytest.skip("Qualcomm's libraries are pushed to a board by --all")
    monkeypatch.chdir(tmp_path)
    few = ("--iterations", "1", "--no-link")
    chips = {
        chip: make_bundle(source, tmp_path / chip, BundleOptions(runtime="qnn", soc=chip)).folder
        for chip in ("sm8550", "sm8650")
    }
    plain = make_bundle(source, tmp_path / "plain", BundleOptions(runtime="onnxruntime")).folder
    with npu_board(tmp_path / "sshd") as board:
        board.be("Some board", "qcom,sm8550")
        (tmp_path / "deployx.toml").write_text(board.toml())
        said = answer_to("push", chips["sm8650"], "--device", "board", code=37)
        assert "its files are for the chip sm8650, the board has sm8550" in said
        to = ("bench", chips["sm8550"], *few, "--device")
        assert "this board has no Qualcomm NPU" in answer_to(*to, "guest", code=45)
        with board.closed("dev/fastrpc-cdsp"):
            said = answer_to(*to, "guest", code=45)
            assert "this user may not open the NPU's device /dev/fastrpc-cdsp" in said
        assert "libcdsprpc.so, which leads to the NPU" in answer_to(*to, "guest", code=45)
        for driver, code, said in (
            (OPENS_NOTHING, 45, "QNN does not start on this board"),
            (HANGS, 43, "had not prepared the model after 20000 ms"),
        ):
            compile_driver(board.root / "lib" / "libcdsprpc.so", driver)
            told = answer_to(*to, "guest", "--prepare-limit", "20", "--watchdog", "20", code=code)
            assert said in told
        answer_to("bench", plain, *few, "--device", "guest")
