"""What lies on a board is what its name says, or is replaced before anything runs from it."""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployx_edge.bundle import Bundle
from deployx_edge.cli.app import COMMANDS
from deployx_edge.device import Device
from deployx_edge.errors import DeviceBusyError
from deployx_edge.measurement.values import BenchPlan, RunOptions, WorkerLimits
from deployx_edge.progress import Stage
from deployx_edge.transport.push import file_sha256
from deployx_edge.workflows.boards.board_doctor import examine_board
from deployx_edge.workflows.boards.clean import clean_device
from deployx_edge.workflows.boards.session import Session, open_session, push_to_device
from deployx_edge.workflows.measure.bench import bench
from tests.integration.processes import wait_until, with_words

QUICK = BenchPlan(warmup=1, iterations=5)


class Told:
    """Passed as ``progress``: what a person would have read."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, event: Any) -> None:
        if isinstance(event, Stage):
            self.lines.append(event.text)


@pytest.fixture(params=["local", "ssh"])
def board(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Device]:
    work = str(tmp_path / "work folder é")
    if request.param == "local":
        yield Device(name="board", uri="local:", work_folder=work)
        return
    sshd = request.getfixturevalue("sshd")
    yield Device(name="board", uri=sshd.uri, work_folder=work, options=sshd.options())


def content_of(board: Device, bundle: Bundle, role: str) -> Path:
    assert board.work_folder
    (sha256,) = (file.sha256 for file in bundle.files if file.role == role)
    return Path(board.work_folder) / "store" / sha256


def damage(path: Path, *, secretly: bool = False) -> None:
    """A stretch of zeros in the middle, as worn flash has it; ``secretly``: by the file's time
    nothing has happened."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(before.st_size // 3)
        file.write(bytes(64))
    if secretly:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.name != file_sha256(path)


def is_whole(path: Path) -> bool:
    return path.name == file_sha256(path)


def test_a_damaged_model_is_replaced_before_it_runs(board: Device, digits: Bundle) -> None:
    push_to_device(board, digits)
    weights = content_of(board, digits, "bin")
    damage(weights)
    told = Told()
    with open_session(board, progress=told) as session:
        (result,) = bench(session, digits, plan=QUICK)
    assert is_whole(weights)
    assert result.push.replaced == ("digits_cnn.bin",)
    assert result.push.sent_bytes == weights.stat().st_size
    assert [line for line in told.lines if "damaged and replaced: digits_cnn.bin" in line]
    assert [line for line in result.warnings if "damaged and replaced: digits_cnn.bin" in line]


def test_a_worker_that_became_shorter_or_a_folder_is_replaced(
    board: Device, digits: Bundle
) -> None:
    push_to_device(board, digits)
    store = content_of(board, digits, "bin").parent
    worker = max(store.iterdir(), key=lambda path: path.stat().st_size)
    os.truncate(worker, 1000)
    assert push_to_device(board, digits).replaced == ("dx-worker-ncnn",)
    worker.unlink()
    (worker / "inside").mkdir(parents=True)
    assert push_to_device(board, digits).replaced == ("dx-worker-ncnn",)
    assert is_whole(worker)
    assert push_to_device(board, digits).replaced == ()


def test_what_is_damaged_after_the_push_is_found_when_it_is_loaded(
    board: Device, digits: Bundle
) -> None:
    told = Told()
    with open_session(board, progress=told) as session:
        session.push(digits)
        for role in ("bin", "param"):
            damage(content_of(board, digits, role))
            unload(session, digits)
            assert is_whole(content_of(board, digits, role))
    said = [line for line in told.lines if "was damaged on the board (its sha256 is " in line]
    assert len(said) == 2


def unload(session: Session, bundle: Bundle) -> None:
    """Load and let go."""
    session.client.unload(session.load(bundle, RunOptions(), WorkerLimits()).model_id)


def test_verify_finds_what_no_time_of_a_file_tells(board: Device, digits: Bundle) -> None:
    push_to_device(board, digits)
    damage(content_of(board, digits, "bin"), secretly=True)
    assert push_to_device(board, digits, verify=True).replaced == ("digits_cnn.bin",)
    assert is_whole(content_of(board, digits, "bin"))


def test_compare_verifies_too(
    digits: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPLOYX_EDGE_CACHE", str(tmp_path))
    board = Device(name="local:", uri="local:", work_folder=str(tmp_path / "local"))
    push_to_device(board, digits)
    damage(content_of(board, digits, "bin"), secretly=True)
    words = ["compare", digits.folder, digits.folder, "--device", "local:", "--verify"]
    done = subprocess.run(
        [sys.executable, "-m", "deployx_edge", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "damaged and replaced: digits_cnn.bin" in done.stderr
    assert is_whole(content_of(board, digits, "bin"))


def test_each_command_that_runs_something_on_a_board_verifies() -> None:
    on_boards = {
        name: inspect.signature(function).parameters
        for name, function in COMMANDS.items()
        if "wait" in inspect.signature(function).parameters
    }
    assert {"bench", "compare", "evaluate", "profile", "push", "run"} < on_boards.keys()
    assert [name for name, options in on_boards.items() if "verify" not in options] == []


def test_the_doctor_hashes_everything(board: Device, digits: Bundle) -> None:
    push_to_device(board, digits)
    weights = content_of(board, digits, "bin")
    damage(weights, secretly=True)
    checks = examine_board(board)
    (options,) = [check for check in checks if check.name == "ncnn options"]
    assert "winograd_convolution (on or off)" in options.found
    (found,) = [check for check in checks if check.name == "contents"]
    assert not found.present and found.needed
    assert weights.name[:16] in found.found and found.found.startswith("1 of 3 ")
    assert push_to_device(board, digits).sent_bytes == next(
        file.size for file in digits.files if file.role == "bin"
    )
    (found,) = [check for check in examine_board(board) if check.name == "contents"]
    assert found.present and found.found.startswith("3 (")


def agent_of(board: Device) -> Path:
    assert board.work_folder
    (agent,) = (Path(board.work_folder) / "bin").iterdir()
    return agent


def is_named_agent(path: Path) -> bool:
    return path.name == f"dx-agent-{file_sha256(path)}"


@pytest.mark.parametrize("hurt", ["zeros", "short", "folder"])
def test_a_damaged_agent_is_replaced_before_it_starts(board: Device, hurt: str) -> None:
    with open_session(board):
        pass
    agent = agent_of(board)
    hurt_agent(agent, hurt)
    told = Told()
    with open_session(board, progress=told) as session:
        assert session.agent_path == str(agent)
    assert is_named_agent(agent)
    assert [line for line in told.lines if line.endswith("was damaged and is replaced")]
    told = Told()
    with open_session(board, progress=told):
        pass
    assert not [line for line in told.lines if "damaged" in line]


def hurt_agent(agent: Path, how: str) -> None:
    """Of the right size, too short, or no file at all."""
    size = agent.stat().st_size
    if how == "folder":
        agent.unlink()
        (agent / "inside").mkdir(parents=True)
    elif how == "short":
        os.truncate(agent, size // 2)
    else:
        # What it starts with is hit, and what nothing calls: both count.
        with agent.open("r+b") as file:
            for place in (size // 4, size // 2, size - 4096):
                file.seek(place)
                file.write(bytes(4096))


def test_clean_works_with_a_damaged_agent(board: Device, digits: Bundle) -> None:
    push_to_device(board, digits)
    hurt_agent(agent_of(board), "zeros")
    folder = clean_device(board)
    assert folder == board.work_folder
    assert not Path(folder).exists()


def test_clean_asks_no_damaged_agent_while_a_run_has_the_board(
    board: Device, digits: Bundle
) -> None:
    with open_session(board):
        hurt_agent(agent_of(board), "folder")
        with pytest.raises(DeviceBusyError):
            clean_device(board)
    clean_device(board)


def test_an_agent_that_a_signal_ends_at_its_start_is_brought_anew(tmp_path: Path) -> None:
    """No hash tells what a processor makes of a file; a crash does."""
    board = Device(name="board", uri="local:", work_folder=str(tmp_path / "work"))
    told = Told()

    def wait_and_work() -> None:
        with open_session(board, progress=told) as session:
            pids.append(session.agent_pid)

    pids: list[int] = []
    with open_session(board) as first:
        second = threading.Thread(target=wait_and_work)
        second.start()
        wait_until(lambda: any("used by" in line for line in told.lines), "the wait of the second")
        (waiting,) = set(with_words("serve", str(board.work_folder))) - {first.agent_pid}
        before = agent_of(board).stat().st_ino
        os.kill(waiting, signal.SIGSEGV)
        said = "Signal 11 ended the agent at its start. A fresh copy is brought to local:"
        wait_until(lambda: said in told.lines, "the fresh copy")
        wait_until(lambda: sum("used by" in line for line in told.lines) == 2, "the second wait")
        assert agent_of(board).stat().st_ino != before
    second.join()
    assert pids and pids[0] not in (first.agent_pid, waiting)
