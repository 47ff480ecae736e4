"""Converts the matrix of architectures, each in a process that may die, and keeps what came of it.

``python -m tests.integration.models.architecture_runner NAME RUNTIME`` converts one and prints a
line of JSON. ``run_all`` starts such processes and adds each line to a file, so that a run that was
broken off goes on where it ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from deployx_edge.runtime import DEFAULT_RUNTIME
from tests.integration.models.architectures import Architecture, find_architecture

ROOT = Path(__file__).resolve().parents[3]
FACTORY = "tests.integration.models.architecture_models:build"
_SECONDS = 900
_TOLD = 400  # characters of what a process says when it dies


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """``verdict`` is "right", "refused", or what went wrong; ``detail`` the reason.

    ``exporter``: that of torch which wrote the ONNX; ``seconds``: for export, conversion and
    comparison together; ``peak_mb``: the process's largest resident size.
    """

    name: str
    verdict: str
    detail: str = ""
    exporter: str = ""
    seconds: float = 0.0
    peak_mb: float = 0.0


def run_all(
    entries: Iterable[Architecture],
    log: Path,
    processes: int = 1,
    limit: int = _SECONDS,
    runtime: str = DEFAULT_RUNTIME,
) -> dict[str, Outcome]:
    """The outcomes by name: those in ``log``, and of all others after they were run."""
    found = read_outcomes(log)
    waiting = [entry.name for entry in entries if entry.name not in found]
    with ThreadPoolExecutor(processes) as pool, log.open("a", encoding="utf-8") as lines:
        for outcome in pool.map(lambda name: convert_apart(name, limit, runtime), waiting):
            print(json.dumps(asdict(outcome)), file=lines, flush=True)
            found[outcome.name] = outcome
    return found


def read_outcomes(log: Path) -> dict[str, Outcome]:
    """What a log holds; of an architecture that is there twice, the later."""
    if not log.is_file():
        return {}
    entries = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return {entry["name"]: Outcome(**entry) for entry in entries}


def convert_apart(name: str, limit: int = _SECONDS, runtime: str = DEFAULT_RUNTIME) -> Outcome:
    """Convert in a process of its own."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "tests.integration.models.architecture_runner", name, runtime]
    begin = time.perf_counter()
    try:
        done = subprocess.run(
            words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=limit
        )
    except subprocess.TimeoutExpired:
        return Outcome(name=name, verdict="timeout", detail=f"it took longer than {limit} s")
    if done.returncode:
        told = f"exit code {done.returncode}: {done.stderr[-_TOLD:]}"
        return Outcome(name=name, verdict="died", detail=told)
    outcome = Outcome(**json.loads(done.stdout.splitlines()[-1]))
    seconds = time.perf_counter() - begin
    return Outcome(**{**asdict(outcome), "seconds": round(seconds, 1)})


def convert(name: str, runtime: str, folder: Path) -> Outcome:
    """Export, convert for the runtime and compare; the bundle lies in ``folder``."""
    from deployx_edge.errors import ModelError, VerificationError
    from deployx_edge.workflows.convert.bundle import BundleOptions, TorchOptions, make_bundle

    options = BundleOptions(
        runtime=runtime,
        input_shapes=find_architecture(name).inputs,
        torch=TorchOptions(factory_arguments=json.dumps({"name": name})),
    )
    try:
        bundle = make_bundle(Path(FACTORY), folder / "bundle", options)
    except VerificationError as error:
        return Outcome(name=name, verdict="wrong", detail=error.message)
    except ModelError as error:
        return Outcome(name=name, verdict="refused", detail=error.message)
    exporter = dict(bundle.provenance.tools)["torch"].rpartition(" ")[2]
    worst = max(check.relative_error for check in bundle.provenance.verification.outputs)
    return Outcome(name=name, verdict="right", detail=f"{worst:.1e}", exporter=exporter)


def main(name: str, runtime: str) -> None:
    """Print the outcome of one architecture."""
    import resource

    with tempfile.TemporaryDirectory(prefix="deployx-edge-architecture-") as folder:
        outcome = convert(name, runtime, Path(folder))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**asdict(outcome), "peak_mb": round(peak)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
