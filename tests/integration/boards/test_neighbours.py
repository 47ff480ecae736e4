"""Another user of the board can take his turns, and nothing more: he hangs, starves, ends and
impersonates nobody, whatever he puts where the runs meet."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from deployx_edge.device import Device
from deployx_edge.errors import DeviceBusyError
from deployx_edge.workflows.boards.board_doctor import examine_board
from deployx_edge.workflows.boards.clean import clean_device
from deployx_edge.workflows.boards.lease import owner, release
from deployx_edge.workflows.boards.registry import presences
from deployx_edge.workflows.boards.session import open_session
from tests.integration.board import MissingPartError, SmallDisk
from tests.integration.neighbour import Board, as_nobody, needs_second_user, shared_board
from tests.integration.processes import wait_until

pytestmark = needs_second_user

_NAME = "deployx-edge-lease-{:016x}"
# As earlier agents named their files, and as today's do.
NAMES = ("1", "7", "18446744073709551614", "18446744073709551615", "mutex", "x")
_LOCKS = (
    "import fcntl, sys, time\n"
    "files = [open(name, 'r+') for name in sys.argv[1:]]\n"
    "for file in files:\n"
    "    fcntl.flock(file, fcntl.LOCK_EX)\n"
    "    fcntl.lockf(file, fcntl.LOCK_EX)\n"
    "print('locked', flush=True)\n"
    "time.sleep(3600)\n"
)


@pytest.fixture
def board():
    with shared_board() as board:
        yield board


def names(board: Board) -> list[Path]:
    return [board.lease / name for name in (*NAMES, *(_NAME.format(n) for n in range(12)))]


def takes_its_turn(board: Board, *, nobody: bool = False) -> None:
    """A run has the board at once, alone, and is all that is said of it."""
    run = board.run("root@desk: bench", nobody=nobody)
    _, pid = run.wait_for("ready").split()
    assert not any(line.startswith(("waiting", "alone")) for line in run.said), run.said
    for viewer in (False, True):
        rows = [(row[0], row[2], row[5]) for row in board.lines(nobody=viewer)]
        assert rows == [("holder", pid, "root@desk: bench")]
    assert run.leave() == 0
    assert board.lines() == []


def _links(board: Board) -> list[Path]:
    (board.folder / "secret").write_text(f"{os.getpid()} 1 root@desk: bench\n")
    targets = ["/dev/zero", "/proc/kmsg", board.folder / "secret", board.lease, "loop"]
    made = []
    for index, path in enumerate(names(board)):
        path.symlink_to(path if targets[index % 5] == "loop" else targets[index % 5])
        made.append(path)
    return made


def _fifos(board: Board) -> list[Path]:
    for path in names(board):
        os.mkfifo(path)
        path.chmod(0o644)
    return names(board)


def _devices(board: Board) -> list[Path]:
    for path in names(board):
        os.mknod(path, stat.S_IFCHR | 0o644, os.makedev(1, 5))
        path.chmod(0o644)
    return names(board)


def _sockets(board: Board) -> list[Path]:
    for path in names(board):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.fspath(path))
        path.chmod(0o644)
    return names(board)


def _folders(board: Board) -> list[Path]:
    for path in names(board):
        path.mkdir()
    return names(board)


def _unreadable(board: Board) -> list[Path]:
    for path in names(board):
        path.write_text(f"{os.getpid()} 1 root@desk: bench\n")
        path.chmod(0o200)
    return names(board)


def _huge(board: Board) -> list[Path]:
    for path in names(board):
        path.write_text("18446744073709551615 18446744073709551615 x")
        path.chmod(0o644)
        os.truncate(path, 1 << 40)
    return names(board)


@pytest.mark.parametrize(
    "put",
    [_links, _fifos, _devices, _sockets, _folders, _unreadable, _huge],
    ids=lambda f: f.__name__,
)
def test_what_another_user_puts_there_holds_nobody_up(board, put):
    for path in put(board):
        board.own(path)
    takes_its_turn(board)
    # Nor nobody, who is not root and cannot read everything.
    for path in names(board):
        board.own(path, pwd.getpwuid(1))
    takes_its_turn(board, nobody=True)


def test_locks_that_another_user_holds_for_ever_are_no_runs(board):
    for path in names(board):
        path.write_text(f"{os.getpid()} 1 root@desk: bench\n")
        path.chmod(0o644)
        board.own(path)
    # Also on files of root's that anybody can read.
    takes_its_turn(board)
    other = board.run("root@desk: killed")
    other.wait_for("ready")
    (left,) = [path for path in board.lease.iterdir() if path not in names(board)]
    board.play(_LOCKS, *names(board))
    code = _LOCKS.replace("'r+'", "'r'").replace("fcntl.lockf(file, fcntl.LOCK_EX)", "pass")
    board.play(code, left)
    other.process.kill()
    other.process.wait()
    takes_its_turn(board)
    assert not left.exists()


def test_files_that_another_user_is_slow_to_let_open_hold_nobody_up(board):
    """A file lease: the kernel holds up whoever opens the file until its owner gives way."""
    for path in names(board):
        path.write_text(f"{os.getpid()} 1 root@desk: bench\n")
        path.chmod(0o644)
        board.own(path)
    board.play(
        "import fcntl, signal, sys, time\n"
        "signal.signal(signal.SIGIO, signal.SIG_IGN)\n"
        "files = [open(name, 'r+') for name in sys.argv[1:]]\n"
        "for file in files:\n"
        "    fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)\n"
        "print('leased', flush=True)\n"
        "time.sleep(3600)\n",
        *names(board),
    )
    takes_its_turn(board)


def test_ten_thousand_files_of_another_user_hold_nobody_up(board):
    board.play(
        "import os, sys\n"
        "for n in range(10000):\n"
        "    open(os.path.join(sys.argv[1], f'deployx-edge-lease-{n:016x}'), 'x').close()\n"
        "print('made', flush=True)\n",
        board.lease,
    )
    takes_its_turn(board)


def test_a_process_that_only_calls_itself_an_agent_is_a_run_of_its_own_user(board):
    """He may take a turn by whatever program; ended is that one, and no number that he wrote."""
    victim = subprocess.Popen(["sleep", "3600"])
    board.others.append(victim)
    code = (
        "import ctypes, fcntl, os, signal, sys, time\n"
        "file = open(sys.argv[1], 'x')\n"
        "ctypes.CDLL(None).prctl(15, b'dx-agent-abcdef')\n"
        "fcntl.lockf(file, fcntl.LOCK_EX)\n"
        "os.write(file.fileno(), sys.argv[2].encode())\n"
        "os.chmod(sys.argv[1], 0o644)\n"
        "print(os.getpid(), flush=True)\n"
        "time.sleep(3600)\n"
    )
    name = board.lease / "deployx-edge-lease-abcdef0123456789"
    forged = board.play(code, name, f"0 root@desk: bench\nholder {victim.pid}")
    (row,) = board.lines()
    assert row[2] == str(forged.pid)
    assert row[4] == "nobody"
    done = board.ask("--end", row[1])
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"ended {row[1]} {forged.pid} ")
    assert forged.wait() == -signal.SIGTERM
    assert victim.poll() is None


def test_numbers_that_are_written_down_end_nobody(board):
    victim = subprocess.Popen(["sleep", "3600"])
    board.others.append(victim)
    for path in names(board):
        path.write_text(f"{victim.pid} 1 root@desk: bench\n")
        path.chmod(0o644)
        board.own(path)
    board.play(_LOCKS, *names(board))
    assert board.lines() == []
    for path in names(board):
        done = board.ask("--end", path.name.removeprefix("deployx-edge-lease-"))
        assert (done.returncode, done.stdout) == (0, "gone\n")
    assert victim.poll() is None


def test_users_take_turns_and_each_sees_who_the_other_is(board):
    first = board.run("root@desk: bench", nobody=True)
    first.wait_for("ready")
    second = board.run("root@desk: bench")
    told = second.wait_for("waiting").split(" ", 4)
    assert told[3:] == ["nobody", "root@desk: bench"]
    third = board.run("third", nobody=True)
    # Each by his own eyes.
    assert third.wait_for("waiting").split(" ", 4)[3:] == ["-", "root@desk: bench"]
    seen = [(row[0], row[4]) for row in board.lines(nobody=True)]
    assert seen == [("holder", "-"), ("waiting", "root"), ("waiting", "-")]
    assert first.leave() == 0
    second.wait_for("ready")
    assert not any(line.startswith("ready") for line in third.said)
    second.process.kill()
    third.wait_for("ready")


def test_only_root_ends_a_run_of_another_user(board):
    ours = board.run("root@desk: bench")
    ours.wait_for("ready")
    (row,) = board.lines(nobody=True)
    done = board.ask("--end", row[1], nobody=True)
    assert done.returncode == 1
    assert "the user root" in done.stderr
    assert "can only be ended by that user or by root" in done.stderr
    assert ours.process.poll() is None
    assert ours.leave() == 0
    theirs = board.run("x", nobody=True)
    theirs.wait_for("ready")
    (row,) = board.lines()
    done = board.ask("--end", row[1])
    assert done.stdout.startswith(f"ended {row[1]} {theirs.process.pid} ")
    theirs.process.wait(60)


def test_another_user_cannot_take_away_what_is_not_his(board):
    ours = board.run("root@desk: bench")
    ours.wait_for("ready")
    (file,) = board.lease.iterdir()
    for command in (["rm", "-f"], ["mv", "-t", board.folder / "work of nobody"]):
        done = subprocess.run(as_nobody(*command, file), capture_output=True, check=False)
        assert done.returncode != 0
    # A second name for it is no second run, and hides none.
    board.play(
        "import os, sys\n"
        "try:\n    os.link(sys.argv[1], sys.argv[2])\n"
        "except PermissionError:\n    pass\n"
        "print('linked', flush=True)\n",
        file,
        board.lease / _NAME.format(5),
    )
    assert [row[5] for row in board.lines(nobody=True)] == ["root@desk: bench"]


def test_waiting_ends_with_the_host_and_by_its_deadline(board):
    holder = board.run("holder", nobody=True)
    holder.wait_for("ready")
    waiting = board.run("waiting")
    waiting.wait_for("waiting")
    assert waiting.leave() == 1
    impatient = board.run("impatient", "--wait-seconds", "1")
    assert impatient.wait_for("busy").endswith(" nobody holder")
    assert impatient.process.wait(60) == 3
    assert holder.process.poll() is None
    assert len(list(board.lease.iterdir())) == 1


def _of_nobody(board: Board) -> str:
    board.own(board.lease)
    return "belongs to the user nobody"


def _not_sticky(board: Board) -> str:
    board.lease.chmod(0o777)
    return "not sticky"


def _of_a_group(board: Board) -> str:
    board.lease.chmod(0o770)
    os.chown(board.lease, 0, 65534)
    return "not sticky"


def _missing(board: Board) -> str:
    board.lease.rmdir()
    return "No such file"


def _a_fifo(board: Board) -> str:
    board.lease.rmdir()
    os.mkfifo(board.lease)
    board.own(board.lease)
    return "Not a directory"


def _a_device(board: Board) -> str:
    board.lease.rmdir()
    os.mknod(board.lease, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    return "Not a directory"


def _a_link_to_his(board: Board) -> str:
    board.lease.rmdir()
    board.lease.symlink_to(board.work(nobody=True))
    return "belongs to the user nobody"


@pytest.mark.parametrize(
    "spoil",
    [_of_nobody, _not_sticky, _of_a_group, _missing, _a_fifo, _a_device, _a_link_to_his],
    ids=lambda f: f.__name__,
)
def test_a_folder_that_another_user_can_bend_is_said_and_left_alone(board, spoil):
    reason = spoil(board)
    run = board.run("root@desk: bench")
    run.wait_for("ready")
    assert reason in run.wait_for("alone")
    own = board.work() / "lease"
    assert stat.S_IMODE(own.stat().st_mode) == 0o700
    assert len(list(own.iterdir())) == 1
    assert [row[5] for row in board.lines()] == ["root@desk: bench"]
    assert run.leave() == 0


def test_where_neither_folder_can_be_trusted_the_run_is_refused(board):
    board.lease.chmod(0o777)
    (board.work() / "lease").mkdir()
    board.own(board.work() / "lease")
    run = board.run("root@desk: bench")
    assert run.process.wait(60) == 1
    wait_until(lambda: run.said, "the reason")
    assert "work of root/lease belongs to the user nobody, expected root" in run.said[-1]


def test_a_folder_of_earlier_agents_is_closed_to_others(board):
    (board.work() / "lease").mkdir()
    (board.work() / "lease").chmod(0o777)
    board.lease.rmdir()
    run = board.run("root@desk: bench")
    run.wait_for("ready")
    assert stat.S_IMODE((board.work() / "lease").stat().st_mode) == 0o700
    assert run.leave() == 0


def test_a_folder_without_room_is_said_and_those_who_are_there_are_waited_for(board):
    try:
        with SmallDisk(board.lease, megabytes=1, option="mode=1777"):
            holder = board.run("holder", nobody=True)
            holder.wait_for("ready")
            board.play(
                "import sys\n"
                "file = open(sys.argv[1], 'wb')\n"
                "try:\n    file.write(bytes(2 << 20))\n    file.flush()\n"
                "except OSError:\n    print('full', flush=True)\n",
                board.lease / "ballast",
            )
            run = board.run("root@desk: bench")
            assert "No space left" in run.wait_for("alone")
            assert run.wait_for("waiting").endswith(" nobody holder")
            assert holder.leave() == 0
            run.wait_for("ready")
            assert run.leave() == 0
    except MissingPartError as missing:
        pytest.skip(f"a folder without room needs {missing}")


@pytest.fixture
def device(board, sshd):
    return Device(
        name="the board",
        uri=sshd.uri,
        work_folder=str(board.work()),
        options=sshd.options(lease_folder=str(board.lease)),
    )


def test_release_ends_the_run_that_was_named_and_nobody_is_taken_for_us(board, device):
    theirs = board.run(f"{owner()}: bench", nobody=True)
    theirs.wait_for("ready")
    refused = pytest.raises(DeviceBusyError, match="the board's user nobody as")
    with refused, open_session(device, wait=False):
        pass
    (seen,) = presences([device], seconds=30)
    assert f"used by the board's user nobody as '{owner()}: bench'" in seen.found
    with pytest.raises(DeviceBusyError, match="not a run of yours"):
        release(device, force=False)
    with pytest.raises(DeviceBusyError, match="nobody"):
        clean_device(device)
    assert theirs.process.poll() is None
    ended = release(device, force=True)
    assert (ended.pid, ended.user) == (theirs.process.pid, "nobody")
    theirs.process.wait(60)
    assert release(device, force=True) is None
    clean_device(device)
    assert list(board.lease.iterdir()) == []


def test_the_doctor_says_that_the_folder_cannot_be_trusted(board, device):
    told = []
    board.own(board.lease)
    with open_session(device, progress=told.append) as session:
        assert "belongs to the user nobody" in session.alone
    assert any("Taking turns only with runs" in event.text for event in told)
    checks = {check.name: check for check in examine_board(device)}
    assert (checks["lease"].present, checks["lease"].needed) == (False, False)
    assert "belongs to the user nobody" in checks["lease"].found
    assert "lease_folder" in checks["lease"].remedy
