"""rknn-toolkit2: its environment, and its process seen from here.

What it prints, which is much, goes into a file, and is shown where it refuses a model.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from deployx_edge.errors import DeployxError, MissingToolError, ModelError
from deployx_edge.process import Child, kill_group, spawn
from deployx_edge.progress import Progress
from deployx_edge.runtimes.environment import Borrowed, Environment
from deployx_edge.runtimes.setup import Need

if TYPE_CHECKING:
    from deployx_edge.model import Array

PACKAGE = "rknn-toolkit2"
NAME = __package__.rpartition(".")[2]
INSTALL = f"deployx-edge runtimes install {NAME}"
# It is imported and hardly used: models come as ONNX.
_TORCH = Borrowed(requirement="torch==2.13.0", modules=("torch", "torchgen", "functorch"))
ENVIRONMENT = Environment(
    name=NAME, requirements=Path(__file__).with_name("requirements.txt"), borrowed=(_TORCH,)
)
LONGEST = 1800.0  # seconds; a step of minutes is slow, this is a hang
_LOOK_EVERY = 1.0
# What it prints when it begins to join operators: a few times a model, and thousands of times for
# one of which the same two rules undo each other (version 2.5.0, products of quantized tensors).
_ROUND, _MOST_ROUNDS = b"OpFusing 0 :   0%", 300
_MOST_READ = 2**24  # bytes of what it has printed, at once
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# Of its lines those that say what is wrong: its own errors, and Python's last words.
_ITS_ERROR = r"E (?!RKNN: .* Unkown op target)(?!rknn-toolkit2 version)"
_PYTHONS = r"[A-Za-z_][\w.]*(Error|Exception|Fail|InvalidArgument|InvalidGraph|NotImplemented): "
_TELLING = re.compile(rf"(?!.*Traceback \()({_ITS_ERROR}|{_PYTHONS})")
_LONGEST_REASON = 300
_OTHERWISE = (
    "Write what it refuses otherwise, or give that part of the model to another runtime with "
    "--partition (docs/when-an-operator-is-missing.md)."
)


class ToolkitSetup:
    """``Setup`` of the toolkit (see ``runtimes.setup``)."""

    def needs(self) -> Sequence[Need]:
        """See ``Setup``."""
        problem = ENVIRONMENT.problem()
        return (
            Need(
                name=PACKAGE,
                present=not problem,
                found=problem or ENVIRONMENT.version_of(PACKAGE),
                remedy=INSTALL if problem else "",
            ),
        )

    def install(self, progress: Progress) -> str:
        """See ``Setup``."""
        ENVIRONMENT.make(progress)
        version = ENVIRONMENT.version_of(PACKAGE)
        return f"{PACKAGE} {version} is there, in an environment of its own: {ENVIRONMENT.folder}."


def version() -> str:
    """The toolkit's version; MissingToolError where it is not installed."""
    problem = ENVIRONMENT.problem()
    if problem:
        raise MissingToolError(
            f"Rockchip's models are made and simulated by {PACKAGE}, in an environment of its "
            f"own: {problem}.",
            remedy=f"Install it with: {INSTALL}",
        )
    return ENVIRONMENT.version_of(PACKAGE)


def convert(onnx: Path, soc: str, rknn: Path) -> None:
    """Write the file ``rknn`` for the chip; ModelError in the toolkit's words."""
    with open_toolkit(onnx.name) as toolkit:
        toolkit.ask({"do": "convert", "onnx": str(onnx), "soc": soc, "rknn": str(rknn)})


def calibrate(onnx: Path, soc: str, rknn: Path, ranges: Path, samples: Path) -> None:
    """Write ``rknn`` for the chip, quantized by the toolkit's own calibration on ``samples`` (a
    text, a line each), and the ``ranges`` that it found; RefusedError in the toolkit's words."""
    with open_toolkit(onnx.name) as toolkit:
        files = {"onnx": onnx, "rknn": rknn, "ranges": ranges, "samples": samples}
        told = {name: str(path.absolute()) for name, path in files.items()}
        toolkit.ask({"do": "calibrate", "soc": soc, **told})


@contextmanager
def open_toolkit(model: str) -> Iterator[ToolkitProcess]:
    """A process of the toolkit; ``model`` is the file's name, for errors."""
    version()
    with tempfile.TemporaryDirectory(prefix="deployx-edge-rknn-") as folder:
        process = ToolkitProcess(model, Path(folder))
        try:
            yield process
        finally:
            process.close()


class RefusedError(ModelError):
    """The toolkit refuses a model, or dies of it."""


class ToolkitProcess:
    """The toolkit's process. RefusedError where it refuses or dies, DeployxError where it hangs."""

    def __init__(self, model: str, folder: Path) -> None:
        self._model = model
        self._phase = ""
        self._hung = self._looping = False
        self._read = self._begun = 0
        self._said = (folder / "said").open("w+b")
        self._child = _start(folder, self._said)

    def close(self) -> None:
        """End the process."""
        kill_group(self._child)
        for stream in (self._child.stdin, self._child.stdout, self._said):
            with suppress(OSError):
                stream.close()  # type: ignore[union-attr]

    def ask(self, message: Mapping[str, Any], arrays: Sequence[Array] = ()) -> list[Array]:
        """Send a request with its arrays; the arrays of the answer."""
        answered = threading.Event()
        watch = threading.Thread(target=self._end_hanging, args=(answered,), daemon=True)
        watch.start()
        try:
            self._send(message, arrays)
            return [self._array(shape) for shape in self._answer()["shapes"]]
        finally:
            answered.set()
            watch.join()

    def _end_hanging(self, answered: threading.Event) -> None:
        """End the process where it takes too long, or goes round and round."""
        ends = time.monotonic() + LONGEST
        while not answered.wait(min(_LOOK_EVERY, LONGEST)):
            self._looping = self._rounds() > _MOST_ROUNDS
            self._hung = time.monotonic() >= ends
            if self._looping or self._hung:
                kill_group(self._child)
                return

    def _rounds(self) -> int:
        """How often it has begun to join operators, by what it printed since the last look."""
        said = os.pread(self._said.fileno(), _MOST_READ, self._read)
        self._read += len(said)
        self._begun += said.count(_ROUND)
        return self._begun

    def _send(self, message: Mapping[str, Any], arrays: Sequence[Array]) -> None:
        assert self._child.stdin is not None
        with suppress(BrokenPipeError):  # it died: what it said is read below
            self._child.stdin.write(json.dumps(message).encode() + b"\n")
            for array in arrays:
                self._child.stdin.write(array.tobytes())
            self._child.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        assert self._child.stdout is not None
        while True:
            line = self._child.stdout.readline()
            if not line.endswith(b"\n"):
                raise self._death()
            answer: dict[str, Any] = json.loads(line)
            if "error" in answer:
                self._child.wait()
                said = self._reason() or f"{answer['error']} failed, and it left no reason"
                raise RefusedError(
                    f"{PACKAGE} {version()} refuses {self._model}: {said}.", remedy=_OTHERWISE
                )
            if "phase" not in answer:
                return answer
            self._phase = answer["phase"]

    def _array(self, shape: Sequence[int]) -> Array:
        import numpy as np

        assert self._child.stdout is not None
        array = np.empty(shape, dtype=np.float32)
        content = self._child.stdout.read(array.nbytes)
        if len(content) < array.nbytes:
            raise self._death()
        array.reshape(-1)[:] = np.frombuffer(content, dtype=np.float32)
        return array

    def _death(self) -> DeployxError:
        code = self._child.wait()
        said = self._reason() or "it left no message"
        if self._looping:
            return RefusedError(
                f"{PACKAGE} {version()} joins operators of {self._model} without end, and was "
                f"ended in its phase '{self._phase}'.",
                remedy=_OTHERWISE,
            )
        if self._hung:
            return DeployxError(
                f"{PACKAGE} was ended after {LONGEST:.0f} s in its phase '{self._phase}' on "
                f"{self._model}."
            )
        if self._phase in ("", "start"):  # it died before it came to the model
            return DeployxError(
                f"{PACKAGE} could not be started (exit code {code}): {said}.",
                remedy="Install it anew: deployx-edge clean environments, then " + INSTALL,
            )
        return RefusedError(
            f"{PACKAGE} died (exit code {code}) on {self._model} in its phase '{self._phase}': "
            f"{said}.",
            remedy=_OTHERWISE,
        )

    def _reason(self) -> str:
        """The last of its lines that says what is wrong; "" where none does."""
        self._said.seek(0)
        text = _COLOURS.sub("", self._said.read().decode(errors="replace")).replace("\r", "\n")
        lines = [line.strip() for line in text.splitlines()]
        said = next((line for line in reversed(lines) if _TELLING.match(line)), "")
        return " ".join(said.removeprefix("E ").split())[:_LONGEST_REASON].rstrip(".!: ")


def _start(folder: Path, said: IO[bytes]) -> Child:
    # What it leaves in its working folder goes with the folder.
    return spawn(
        [ENVIRONMENT.python, "-I", Path(__file__).with_name("toolkit_child.py")],
        cwd=folder,
        env={"OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1", "TMPDIR": str(folder)},
        errors=said,
    )
