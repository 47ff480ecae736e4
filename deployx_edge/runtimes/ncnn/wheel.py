"""ncnn on this computer: running models in the Python wheel, or in our own worker.

The wheel lacks the layers of our own (``ops/``); models that have some run in the worker that
boards of this computer's kind run.
"""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deployx_edge.errors import DeployxError, MissingToolError, ModelError
from deployx_edge.graph.built_kernels import BUILD_REMEDY, refuse_stale
from deployx_edge.operator_facts import all_operators, operator_of_layer
from deployx_edge.processors import free_cores
from deployx_edge.resources import dist_folder, host_target_id
from deployx_edge.runtimes.converter import HalfOverflows, StoredLayer
from deployx_edge.runtimes.ncnn.files import Layer
from deployx_edge.runtimes.runner_process import PIPE_BYTES, RunnerProcess

if TYPE_CHECKING:
    from deployx_edge.differences import Values
    from deployx_edge.model import Array

# An array and whether its first axis counts samples, as ``to_runtime_array`` gives them.
RuntimeArray = tuple["Array", bool]

# Full HD in three colours has 6 million.
_LARGE_INPUT = 2**21
_LACKS = "this build of the worker has no operator"  # ncnn/param_file.cpp says so
_ENVIRONMENT = {
    # On a busy computer threads that wait by turning round keep those off that have work.
    "OMP_WAIT_POLICY": "PASSIVE",
    "OPENBLAS_NUM_THREADS": "1",
}


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


class NcnnProcess:
    """A model that is loaded in ncnn's wheel, or in our worker, in a process of its own; a context
    manager."""

    def __init__(self, model: NcnnModel) -> None:
        """Start the process; ModelError where ncnn refuses the files or dies of them."""
        self._model = model
        program = _program(model.param)
        self._process = RunnerProcess(program, "ncnn", model.param.name, _ENVIRONMENT, _refusal)
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
            with self._process.watched():
                self._process.ask(job)
                loaded = self._process.answer()
        except BaseException:
            self.close()
            raise
        self.inputs, self.outputs = tuple(loaded["inputs"]), tuple(loaded["outputs"])
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._process.close()

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
        with self._process.watched():
            # As both programs read it: no truth values.
            request = {"inputs": entries, "blobs": list(blobs), "measure": int(measure)}
            self._process.ask(request, *(array for array, _ in ready.values()))
            while "done" not in (answer := self._process.answer()):
                values = _Arriving(tuple(answer["shape"]), self._process.fill)
                yield answer["blob"], values
                values.skip()
            self.overflows = HalfOverflows(
                tensors=answer.get("tensors", {}), sums=answer.get("sums", {})
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
            self.next(min(self._left, PIPE_BYTES))


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


def _program(param: Path) -> tuple[str, ...]:
    """What runs the model: the wheel, or where it has layers of our own the worker.

    MissingToolError where that is not built, or was from other kernels.
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
                    remedy=BUILD_REMEDY,
                )
            refuse_stale("ncnn", names)
            return str(worker), "--blobs"
    return sys.executable, "-m", "deployx_edge.runtimes.ncnn.wheel_process"


def _refusal(text: str) -> DeployxError:
    """The error for what ncnn said; an older worker lacks what ``ops/`` has."""
    if _LACKS in text:
        return MissingToolError(text, remedy=BUILD_REMEDY)
    return ModelError(text)
