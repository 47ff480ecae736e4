"""ncnn on this computer: running models in the Python wheel, or in our own worker.

The wheel lacks the layers of our own (``ops/``); models that have some run in the worker that
boards of this computer's kind run.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from deployx_edge.errors import DeployxError, MissingToolError, ModelError
from deployx_edge.operator_facts import all_operators, operator_of_layer
from deployx_edge.process import Child, kill_group, spawn
from deployx_edge.processors import free_cores
from deployx_edge.resources import dist_folder, host_target_id
from deployx_edge.runtimes.converter import HalfOverflows, StoredLayer
from deployx_edge.runtimes.ncnn.files import Layer

if TYPE_CHECKING:
    from deployx_edge.differences import Values
    from deployx_edge.model import Array

# An array and whether its first axis counts samples, as ``to_runtime_array`` gives them.
RuntimeArray = tuple["Array", bool]

# Full HD in three colours has 6 million.
_LARGE_INPUT = 2**21
# Tensors come in pieces of this size instead of 64 KiB, each of which costs a change of process.
_PIPE_BYTES = 2**20
_LACKS = "this build of the worker has no operator"  # ncnn/param_file.cpp says so
_BUILD = f"Run 'deployx-edge build --target {host_target_id()}'."
_LONGEST_RUN = 1800.0  # seconds; a run of seconds is slow, this is a hang


def unknown_layers(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Those layers whose type neither this ncnn nor ``ops/`` has."""
    import ncnn

    known = {facts.layer_type for facts in all_operators().values()}
    return tuple(
        layer for layer in layers if layer.type not in known and ncnn.layer_to_index(layer.type) < 0
    )


def version() -> str:
    """The version of ncnn's wheel, without importing it."""
    from importlib import metadata

    return metadata.version("ncnn")


def is_large(elements: int) -> bool:
    """Whether memory counts for more than time, of inputs with so many elements in all."""
    return elements > _LARGE_INPUT


@dataclass(frozen=True, kw_only=True)
class NcnnModel:
    """Files to run, and the options that ``precision`` stands for ("fp32" or "fp16").

    ``is_large``: what it runs on is so large that memory counts for more than time. ``layers``
    are needed where sums inside them are to be looked at.
    """

    param: Path
    bin: Path
    precision: str
    is_large: bool = False
    layers: tuple[StoredLayer, ...] = ()


@dataclass(frozen=True, kw_only=True)
class NcnnRuns:
    """What a model gave: its blobs by name, and for each run the outputs by blob name.

    Arrays are in ncnn's dimensions, slowest first; where a run was batched, the first
    axis of the outputs counts samples.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    runs: tuple[Mapping[str, Array], ...]


class NcnnDiedError(ModelError):
    """ncnn died of a model."""


class NcnnProcess:
    """A model that is loaded in ncnn's wheel, or in our worker, in a process of its own; a context
    manager."""

    def __init__(self, model: NcnnModel) -> None:
        """Start the process; ModelError where ncnn refuses the files or dies of them."""
        self._model = model
        self._phase = ""
        program = _program(model.param)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the process)
        self._child = _start_child(self._errors, program)
        self.inputs: tuple[str, ...] = ()
        self.outputs: tuple[str, ...] = ()
        # What half floats could not hold in the runs that were measured.
        self.overflows = HalfOverflows()

    def __enter__(self) -> NcnnProcess:
        try:
            job = {
                "param": str(self._model.param.absolute()),
                "bin": str(self._model.bin.absolute()),
                "precision": self._model.precision,
                "is_large": int(self._model.is_large),
                "threads": min(4, free_cores()),
                "layers": [vars(layer) for layer in self._model.layers],
            }
            with self._watched():
                self._send(_line(job))
                loaded = self._answer()
        except BaseException:
            self.close()
            raise
        self.inputs, self.outputs = tuple(loaded["inputs"]), tuple(loaded["outputs"])
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        for stream in (self._child.stdin, self._child.stdout, self._errors):
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]
        kill_group(self._child)

    def run(
        self, arrays: Mapping[str, RuntimeArray], blobs: Sequence[str], *, measure: bool = False
    ) -> Iterator[tuple[str, Values]]:
        """Blobs by name, one after the other, of one run; each is taken before the next comes.

        ``arrays`` maps blobs to (array, batched) as ``to_runtime_array`` gives them: the
        model's inputs, or any others, from which the run then goes on. Arrays that come are in
        ncnn's dimensions, slowest first; where the run was batched, their first axis counts
        samples. ``measure``: look at all values and sums, where the model's layers are known. Asked
        for in the order of the layers, no blob is kept in memory for longer than
        ncnn needs it; in another order, one may be gone. Raises ModelError where ncnn refuses
        something or dies of it.
        """
        import numpy as np

        ready = {
            blob: (np.ascontiguousarray(array, dtype=np.float32), batched)
            for blob, (array, batched) in arrays.items()
        }
        entries = [
            {"blob": blob, "shape": array.shape, "batched": int(batched)}
            for blob, (array, batched) in ready.items()
        ]
        with self._watched():
            self._send(_line({"inputs": entries, "blobs": list(blobs), "measure": int(measure)}))
            for array, _ in ready.values():
                self._send(array.data)
            while "done" not in (answer := self._answer()):
                values = _Arriving(tuple(answer["shape"]), self._fill)
                yield answer["blob"], values
                values.skip()
            self.overflows = HalfOverflows(
                tensors=answer.get("tensors", {}), sums=answer.get("sums", {})
            )

    def _fill(self, array: Array) -> None:
        """With what comes next."""
        if array.size and not _read_into(self._child.stdout, array.data.cast("B")):
            raise self._death()

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """A run that takes far too long is a hang, and is ended."""
        watch = threading.Timer(_LONGEST_RUN, kill_group, [self._child])
        watch.daemon = True
        watch.start()
        try:
            yield
        finally:
            watch.cancel()

    def _send(self, data: bytes | memoryview) -> None:
        assert self._child.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the answer tells what it died of
            self._child.stdin.write(data)
            self._child.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        assert self._child.stdout is not None
        while True:
            line = self._child.stdout.readline()
            if not line.endswith(b"\n"):
                raise self._death()
            answer: dict[str, Any] = json.loads(line)
            if "error" in answer:
                tail = self._tail() or "no reason given"
                raise _refusal(f"{answer['error']} ({self._model.param.name}): {tail}.")
            if "phase" not in answer:
                return answer
            self._phase = answer["phase"]

    def _tail(self) -> str:
        self._child.wait()
        self._errors.seek(0)
        return " ".join(self._errors.read().decode(errors="replace").split())[-300:]

    def _death(self) -> DeployxError:
        tail, code = self._tail(), self._child.returncode
        if not self._phase:  # it died before it came to the model
            return DeployxError(f"ncnn could not be started here: {tail}")
        return NcnnDiedError(
            f"ncnn died of {_cause(code)} on {self._model.param.name} "
            f"in its phase '{self._phase}': {tail or 'it left no message'}."
        )


class _Arriving:
    """``Values`` that come from the process; what is taken piece by piece is nowhere as a whole."""

    def __init__(self, shape: tuple[int, ...], fill: Callable[[Array], None]) -> None:
        self.shape = shape
        self._fill = fill
        self._left = math.prod(shape)
        self._buffer: Array | None = None

    def next(self, count: int) -> Array:
        import numpy as np

        if self._buffer is None or self._buffer.size < count:
            self._buffer = np.empty(count, dtype=np.float32)
        part = self._buffer[:count]
        self._fill(part)
        self._left -= count
        return part

    def whole(self) -> Array:
        import numpy as np

        array = np.empty(self.shape, dtype=np.float32)
        self._fill(array)
        self._left = 0
        return array

    def skip(self) -> None:
        """Past what nobody took."""
        while self._left:
            self.next(min(self._left, _PIPE_BYTES))


def run_ncnn(
    model: NcnnModel,
    runs: Sequence[Mapping[str, RuntimeArray]],
    *,
    outputs: Sequence[str] | None = None,
) -> NcnnRuns:
    """Load the model and run it once for every element of ``runs`` (see ``NcnnProcess``).

    An empty ``runs`` only loads it. ``outputs`` are the blobs wanted, None all of the model's.
    """
    with NcnnProcess(model) as process:
        wanted = process.outputs if outputs is None else outputs
        return NcnnRuns(
            inputs=process.inputs,
            outputs=process.outputs,
            runs=tuple(
                {blob: values.whole() for blob, values in process.run(arrays, wanted)}
                for arrays in runs
            ),
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


def _program(param: Path) -> tuple[str, ...]:
    """What runs the model: the wheel, or where it has layers of our own the worker.

    MissingToolError where that is not built.
    """
    with contextlib.suppress(OSError), param.open(encoding="utf-8", errors="replace") as lines:
        # Who cannot be read is refused by ncnn.
        names = {operator_of_layer(line.partition(" ")[0]) for line in lines} - {""}
        if names:
            worker = dist_folder(host_target_id()) / "dx-worker-ncnn"
            if not worker.is_file():
                raise MissingToolError(
                    f"The model has operators of our own ({', '.join(sorted(names))}), which run "
                    f"in the worker for {host_target_id()}, and that is not built.",
                    remedy=_BUILD,
                )
            return str(worker), "--blobs"
    return sys.executable, "-m", "deployx_edge.runtimes.ncnn.wheel_process"


def _refusal(text: str) -> DeployxError:
    """The error for what ncnn said; an older worker lacks what ``ops/`` has."""
    if _LACKS in text:
        return MissingToolError(text, remedy=_BUILD)
    return ModelError(text)


def _line(message: Mapping[str, Any]) -> bytes:
    """As both programs read it: no truth values, and text as it is."""
    return json.dumps(message, ensure_ascii=False).encode() + b"\n"


def _start_child(errors: IO[bytes], program: Sequence[str]) -> Child:
    package_parent = str(Path(__file__).resolve().parents[3])
    paths = [package_parent, os.environ.get("PYTHONPATH", "")]
    child = spawn(
        program,
        env={
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            # On a busy computer threads that wait by turning round keep those off that have work.
            "OMP_WAIT_POLICY": "PASSIVE",
            "OPENBLAS_NUM_THREADS": "1",
        },
        errors=errors,
    )
    if hasattr(fcntl, "F_SETPIPE_SZ") and child.stdout is not None:
        with contextlib.suppress(OSError):  # above what the system allows
            fcntl.fcntl(child.stdout, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return child


def _cause(returncode: int) -> str:
    if returncode >= 0:
        return f"an error (exit code {returncode})"
    try:
        return signal.Signals(-returncode).name
    except ValueError:
        return f"signal {-returncode}"
