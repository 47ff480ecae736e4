"""A runtime in a process of its own, where it may die alone, seen from its starter.

The process talks over standard input and output. Each message is a line of
JSON, after which the bytes follow of the arrays that it announces. What it is at, it says by
``{"phase": …}``; ``{"error": …}`` is its last word.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from deployx_edge.errors import DeployxError, ModelError
from deployx_edge.process import Child, kill_group, spawn

if TYPE_CHECKING:
    from deployx_edge.model import Array

# Tensors come in pieces of this size instead of 64 KiB, each of which costs a change of process.
PIPE_BYTES = 2**20
# Seconds; a run of seconds is slow, this is a hang.
_LONGEST_RUN = ContextVar("longest_run", default=1800.0)


class RuntimeDiedError(ModelError):
    """A runtime died of a model."""


@contextlib.contextmanager
def runs_at_most(seconds: float) -> Iterator[None]:
    """For who knows that a run within takes no longer than that, unless it hangs."""
    token = _LONGEST_RUN.set(seconds)
    try:
        yield
    finally:
        _LONGEST_RUN.reset(token)


class RunnerProcess:
    """The process; ``title`` is how people write the runtime, ``model`` the name of its file.

    ``refusal`` makes the error of what the runtime says no with.
    """

    def __init__(
        self,
        program: Sequence[str],
        title: str,
        model: str,
        env: Mapping[str, str],
        refusal: Callable[[str], DeployxError] = ModelError,
    ) -> None:
        self._title, self._model, self._refusal = title, model, refusal
        self._phase = ""
        self._overdue = 0.0
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the process)
        self._child = _start_child(program, self._errors, env)

    @property
    def pid(self) -> int:
        """Of the process, for who looks after it."""
        return self._child.pid

    def close(self) -> None:
        """End the process."""
        for stream in (self._child.stdin, self._child.stdout, self._errors):
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]
        kill_group(self._child)

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """A run that takes far too long is a hang, and is ended."""
        longest = _LONGEST_RUN.get()

        def end() -> None:
            self._overdue = longest
            kill_group(self._child)

        watch = threading.Timer(longest, end)
        watch.daemon = True
        watch.start()
        try:
            yield
        finally:
            watch.cancel()

    def ask(self, message: Mapping[str, Any], *arrays: Array) -> None:
        """Send a message and its arrays, which lie in one piece each."""
        self._send(json.dumps(message, ensure_ascii=False).encode() + b"\n")
        for array in arrays:
            self._send(array.data)

    def answer(self) -> dict[str, Any]:
        """The next message but those of phases; ModelError where the runtime says no or died."""
        assert self._child.stdout is not None
        while True:
            line = self._child.stdout.readline()
            if not line.endswith(b"\n"):
                raise self._death()
            answer: dict[str, Any] = json.loads(line)
            if "error" in answer:
                tail = self._tail()
                reason = f": {tail}" if tail else ""
                raise self._refusal(f"{answer['error']} ({self._model}){reason}.")
            if "phase" not in answer:
                return answer
            self._phase = answer["phase"]

    def fill(self, array: Array) -> None:
        """With the bytes that come next."""
        # Element types that numpy's buffers do not know, and arrays without axes, are bytes, too.
        view = array.reshape(-1).view("uint8").data if array.size else memoryview(b"")
        if not _read_into(self._child.stdout, view):
            raise self._death()

    def _send(self, data: bytes | memoryview) -> None:
        assert self._child.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the answer tells what it died of
            self._child.stdin.write(data)
            self._child.stdin.flush()

    def _tail(self) -> str:
        self._child.wait()
        self._errors.seek(0)
        return " ".join(self._errors.read().decode(errors="replace").split())[-300:]

    def _death(self) -> DeployxError:
        tail, code = self._tail(), self._child.returncode
        if not self._phase:  # it died before it came to the model
            return DeployxError(f"{self._title} could not be started here: {tail}")
        if self._overdue:
            return RuntimeDiedError(
                f"{self._title} did not come to an end with {self._model} within "
                f"{self._overdue:.0f} s in its phase '{self._phase}', and was ended."
            )
        return RuntimeDiedError(
            f"{self._title} died of {_cause(code)} on {self._model} "
            f"in its phase '{self._phase}': {tail or 'it left no message'}."
        )


def _read_into(stream: IO[bytes] | None, view: memoryview) -> bool:
    """Fill the view; False where the stream ends before."""
    assert stream is not None
    while view:
        count = stream.readinto(view)  # type: ignore[attr-defined]
        if not count:
            return False
        view = view[count:]
    return True


def _start_child(program: Sequence[str], errors: IO[bytes], env: Mapping[str, str]) -> Child:
    package_parent = str(Path(__file__).resolve().parents[2])
    paths = [package_parent, os.environ.get("PYTHONPATH", "")]
    child = spawn(
        program,
        env={"PYTHONPATH": os.pathsep.join(path for path in paths if path), **env},
        errors=errors,
    )
    if hasattr(fcntl, "F_SETPIPE_SZ") and child.stdout is not None:
        with contextlib.suppress(OSError):  # above what the system allows
            fcntl.fcntl(child.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return child


def _cause(returncode: int) -> str:
    if returncode >= 0:
        return f"an error (exit code {returncode})"
    try:
        return signal.Signals(-returncode).name
    except ValueError:
        return f"signal {-returncode}"
