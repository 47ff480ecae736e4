"""ncnn on this computer: running models in the Python wheel."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployx_edge.errors import DeployxError, ModelError
from deployx_edge.ncnn_format import Layer
from deployx_edge.process import Completed, run

if TYPE_CHECKING:
    from deployx_edge.model import Array

_LONGEST_JOB = 1800.0  # seconds; a run of seconds is slow, this is a hang


def unknown_layers(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Those layers whose type this ncnn does not have."""
    import ncnn

    return tuple(layer for layer in layers if ncnn.layer_to_index(layer.type) < 0)


def version() -> str:
    """The version of ncnn's wheel, without importing it."""
    from importlib import metadata

    return metadata.version("ncnn")


@dataclass(frozen=True, kw_only=True)
class NcnnModel:
    """Files to run, and the options that ``precision`` stands for ("fp32" or "fp16")."""

    param: Path
    bin: Path
    precision: str


@dataclass(frozen=True, kw_only=True)
class NcnnRuns:
    """What a model gave: its blobs by name, and for each run the outputs by blob name.

    Arrays are in ncnn's dimensions, slowest first; where a run was batched, the first
    axis of the outputs counts samples.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    runs: tuple[Mapping[str, Array], ...]


def run_ncnn(
    model: NcnnModel,
    runs: Sequence[Mapping[str, tuple[Array, bool]]],
    *,
    outputs: Sequence[str] | None = None,
    keep_all: bool = False,
) -> NcnnRuns:
    """Load the model in a process of its own and run it once for every element of ``runs``.

    Each run maps input blobs to (array, batched) as ``to_runtime_array`` gives them; an
    empty ``runs`` only loads the model. ``outputs`` are the blobs wanted, None all of the
    model's. ``keep_all`` keeps every blob of a run, so that any can be had. Raises
    ModelError where ncnn refuses something or dies of it.
    """
    import numpy as np

    first = runs[0] if runs else {}
    job = {
        "param": str(model.param.absolute()),
        "bin": str(model.bin.absolute()),
        "precision": model.precision,
        "threads": min(4, os.cpu_count() or 1),
        "inputs": list(first),
        "batched": [blob for blob, (_, batched) in first.items() if batched],
        "outputs": None if outputs is None else list(outputs),
        "runs": len(runs),
        "keep_all": keep_all,
    }
    with tempfile.TemporaryDirectory(prefix="deployx-edge-ncnn-") as name:
        folder = Path(name)
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        for index, arrays in enumerate(runs):
            ordered = {f"input_{i}": array for i, (array, _) in enumerate(arrays.values())}
            # Numbered, as a blob may have any name. The stub takes ** for allow_pickle.
            np.savez(folder / f"run_{index}.npz", **ordered)  # type: ignore[arg-type]
        completed = _start_child(folder)
        result = _result(folder, model, completed)
        wanted = tuple(result["outputs"]) if outputs is None else tuple(outputs)
        loaded = [_load(folder / f"out_{index}.npz", wanted) for index in range(len(runs))]
    return NcnnRuns(
        inputs=tuple(result["inputs"]), outputs=tuple(result["outputs"]), runs=tuple(loaded)
    )


def _start_child(folder: Path) -> Completed:
    package_parent = str(Path(__file__).resolve().parents[2])
    paths = [package_parent, os.environ.get("PYTHONPATH", "")]
    return run(
        [sys.executable, "-m", "deployx_edge.runtimes.ncnn_child", folder],
        env={
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            # On a busy computer threads that wait by turning round keep those off that have work.
            "OMP_WAIT_POLICY": "PASSIVE",
        },
        timeout=_LONGEST_JOB,
        check=False,
    )


def _result(folder: Path, model: NcnnModel, completed: Completed) -> dict[str, Any]:
    file = folder / "result.json"
    result: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    tail = " ".join(completed.stderr.decode(errors="replace").split())[-300:]
    if completed.returncode == 0 and "error" not in result:
        return result
    if "error" in result:
        raise ModelError(f"{result['error']} ({model.param.name}): {tail or 'no reason given'}.")
    phases = [
        line.removeprefix("phase: ")
        for line in completed.stdout.decode(errors="replace").splitlines()
        if line.startswith("phase: ")
    ]
    if not phases:  # it died before it came to the model
        raise DeployxError(f"ncnn's Python wheel could not be started: {tail}")
    raise ModelError(
        f"ncnn died of {_cause(completed.returncode)} on {model.param.name} "
        f"in its phase '{phases[-1]}': {tail or 'it left no message'}."
    )


def _cause(returncode: int) -> str:
    if returncode >= 0:
        return f"an error (exit code {returncode})"
    try:
        return signal.Signals(-returncode).name
    except ValueError:
        return f"signal {-returncode}"


def _load(path: Path, blobs: Sequence[str]) -> dict[str, Array]:
    import numpy as np

    with np.load(path) as arrays:
        return {blob: arrays[f"output_{index}"] for index, blob in enumerate(blobs)}
