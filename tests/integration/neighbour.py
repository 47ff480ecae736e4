"""A second user of this computer, and agents that run as one user or another."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.integration.conftest import built_agent
from tests.integration.processes import wait_until

_NOBODY = pwd.getpwnam("nobody")
_SETPRIV = shutil.which("setpriv")
_TOKEN = "token " + "7" * 64

needs_second_user = pytest.mark.skipif(
    os.getuid() != 0 or _SETPRIV is None,
    reason="a second user of this computer needs root and setpriv",
)


def as_nobody(*argv: str | Path) -> list[str]:
    """The command line that runs ``argv`` as the user nobody."""
    ids = ["--reuid", str(_NOBODY.pw_uid), "--regid", str(_NOBODY.pw_gid), "--clear-groups"]
    return [str(_SETPRIV), *ids, *map(str, argv)]


class Board:
    """A folder that both users can reach, with the agent and a lease folder of root's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.agent = folder / "dx-agent"
        shutil.copy(built_agent("linux-x64"), self.agent)
        self.lease = folder / "lease"
        self.lease.mkdir()
        self.lease.chmod(0o1777)
        for name in ("root", "nobody"):
            (folder / f"work of {name}").mkdir(mode=0o700)
        os.chown(self.work(nobody=True), _NOBODY.pw_uid, _NOBODY.pw_gid)
        self.runs: list[Run] = []
        self.others: list[subprocess.Popen[str]] = []

    def work(self, *, nobody: bool = False) -> Path:
        return self.folder / f"work of {'nobody' if nobody else 'root'}"

    def own(self, path: Path, user: pwd.struct_passwd = _NOBODY) -> None:
        """Make a file of root's one of nobody's, or of a third user's."""
        os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)

    def _words(self, command: str, options: Sequence[str], nobody: bool) -> list[str]:
        work = str(self.work(nobody=nobody))
        words = [str(self.agent), command, "--work", work, "--lease-folder", str(self.lease)]
        return as_nobody(*words, *options) if nobody else [*words, *options]

    def run(self, who: str, *options: str, nobody: bool = False) -> Run:
        """Start an agent that wants the board."""
        process = subprocess.Popen(
            self._words("serve", ["--lease", who, *options], nobody),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.runs.append(Run(process))
        return self.runs[-1]

    def ask(self, *options: str, nobody: bool = False) -> subprocess.CompletedProcess[str]:
        """``dx-agent lease``."""
        words = self._words("lease", options, nobody)
        return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)

    def lines(self, *, nobody: bool = False) -> list[list[str]]:
        """What it says of each run: the word, id, process, seconds, user, and who."""
        done = self.ask(nobody=nobody)
        assert done.returncode == 0, done.stderr
        return [line.split(" ", 5) for line in done.stdout.splitlines() if line != "free"]

    def play(self, code: str, *arguments: object) -> subprocess.Popen[str]:
        """Run Python as nobody until the end of the test; returns once it printed a line."""
        python = [sys.executable, "-I", "-c", code, *map(str, arguments)]
        process = subprocess.Popen(
            as_nobody(*python), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.others.append(process)
        assert process.stdout is not None
        assert process.stdout.readline(), "nobody's program ended"
        return process


class Run:
    """An agent that was started; ``said`` are its lines so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said: list[str] = []
        assert process.stdin is not None
        process.stdin.write(f"{_TOKEN}\n")
        process.stdin.flush()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line.rstrip("\n"))

    def wait_for(self, word: str) -> str:
        """The rest of its first line that begins with ``word``."""

        def found() -> str:
            lines = [line for line in self.said if line.startswith(f"{word} ")]
            return lines[0] if lines else ""

        return wait_until(found, f"'{word}' among {self.said}").partition(" ")[2]

    def end(self) -> None:
        """Kill it, if it still runs."""
        self.process.kill()
        self.process.wait()
        self._listener.join()

    def leave(self) -> int:
        """Its host closes the session; the exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(60)


@contextmanager
def shared_board() -> Iterator[Board]:
    """A board with two users. pytest's own folders are closed to the second."""
    folder = Path(tempfile.mkdtemp(prefix="dx-neighbours-"))
    folder.chmod(0o755)
    board = Board(folder)
    try:
        yield board
    finally:
        for run in board.runs:
            run.end()
        for process in [*(run.process for run in board.runs), *board.others]:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    # What a dead process was to be told is lost with it.
                    with suppress(BrokenPipeError):
                        pipe.close()
        shutil.rmtree(folder)
