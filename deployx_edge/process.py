"""The one way to run a program on this computer.

Every other module that needs a program calls here (ruff's TID251 refuses
``subprocess`` elsewhere), so that each command can be echoed and pasted, is
started without a shell, and never outlives its caller unseen.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from deployx_edge.errors import DeployxError, MissingToolError

Child = subprocess.Popen[bytes]
"""A program that ``spawn`` started."""

_BUSY_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Completed:
    """What a program left behind. ``stdout`` and ``stderr`` are bytes as written."""

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: bytes


class ProcessError(DeployxError):
    """A program ended with another exit code than 0; carries its output."""

    def __init__(self, completed: Completed) -> None:
        tail = (completed.stderr or completed.stdout).decode(errors="replace").strip()[-800:]
        super().__init__(
            f"{format_command(completed.argv)} ended with exit code {completed.returncode}: {tail}"
        )
        self.completed = completed


def format_command(argv: Sequence[str | Path]) -> str:
    """The command as it can be pasted into a shell."""
    return shlex.join(str(word) for word in argv)


def find_program(name: str) -> Path | None:
    """``name`` beside this Python (its virtual environment) or on PATH."""
    beside = Path(sys.executable).parent / name
    if beside.is_file() and os.access(beside, os.X_OK):
        return beside
    found = shutil.which(name)
    return Path(found) if found else None


def require_program(name: str, *, remedy: str) -> Path:
    """Like ``find_program``, but its absence is a ``MissingToolError``."""
    found = find_program(name)
    if found is None:
        raise MissingToolError(f"The program '{name}' was not found on PATH.", remedy=remedy)
    return found


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    input: bytes | None = None,
    timeout: float | None = None,
    check: bool = True,
) -> Completed:
    """Run to the end and return the output; ``env`` is added to the environment.

    Raises ProcessError when ``check`` and the exit code is not 0, MissingToolError
    when the program does not exist, DeployxError when ``timeout`` (seconds) passes.
    """
    words = tuple(str(word) for word in argv)
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env=_environment(env),
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            timeout=timeout,
        )
    except FileNotFoundError as error:
        raise MissingToolError(f"The program '{words[0]}' was not found.") from error
    except subprocess.TimeoutExpired as error:
        raise DeployxError(f"{format_command(words)} took longer than {timeout} s.") from error
    completed = Completed(
        argv=words, returncode=done.returncode, stdout=done.stdout, stderr=done.stderr
    )
    if check and completed.returncode != 0:
        raise ProcessError(completed)
    return completed


def run_lines(
    argv: Sequence[str | Path],
    on_line: Callable[[str], None],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> int:
    """Run, calling ``on_line`` for every line of the merged output; the exit code is returned.

    The program gets its own process group and is killed with it when the caller
    is interrupted.
    """
    words = tuple(str(word) for word in argv)
    with spawn(words, cwd=cwd, env=env, merge_stderr=True) as child:
        assert child.stdout is not None
        try:
            for raw in child.stdout:
                on_line(raw.decode(errors="replace").rstrip("\r\n"))
            return child.wait()
        except BaseException:
            kill_group(child)
            raise


def spawn(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    merge_stderr: bool = False,
    errors: IO[bytes] | None = None,
) -> Child:
    """Start a program with pipes on its standard streams, in a process group of its own.

    What it says on standard error goes into the file ``errors`` where that is given.
    A program that was just written may be busy for a moment: another thread's child holds the
    descriptor it was written through, between its fork and its exec.
    """
    words = tuple(str(word) for word in argv)
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            return subprocess.Popen(
                words,
                cwd=cwd,
                env=_environment(env),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if merge_stderr else errors or subprocess.PIPE,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise MissingToolError(f"The program '{words[0]}' was not found.") from error
        except OSError as error:
            if error.errno != errno.ETXTBSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def spawn_on_socket(argv: Sequence[str | Path]) -> tuple[Child, socket.socket]:
    """Start a program whose standard input and output are one socket; the other end is ours."""
    words = tuple(str(word) for word in argv)
    ours, theirs = socket.socketpair()
    try:
        child = subprocess.Popen(
            words,
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        ours.close()
        raise MissingToolError(f"The program '{words[0]}' was not found.") from error
    finally:
        theirs.close()
    return child, ours


def wait_for(child: Child, timeout: float | None) -> int | None:
    """The exit code as a shell tells it (128 + N after signal N); None after ``timeout``."""
    try:
        code = child.wait(timeout)
    except subprocess.TimeoutExpired:
        return None
    return code if code >= 0 else 128 - code


def kill_group(child: Child) -> None:
    """Kill a program started by ``spawn`` together with what it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def end_with_starter() -> None:
    """Called in a program of ours that ``spawn`` or ``run_lines`` started and tells nothing: it
    ends when its standard input does, so also when its starter was killed."""

    def watch() -> None:
        while os.read(0, 1 << 12):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _environment(extra: Mapping[str, str] | None) -> dict[str, str] | None:
    return None if extra is None else {**os.environ, **extra}
