"""Many virtual boards at once: what bounds the wall time, and the host's memory for each.

    .venv/bin/python benchmarks/boards.py [--uri virtual:linux-arm64] [--boards 1 8 32]

Every board is a work folder of its own (with agent, lease and workers of its own), on which
the digits network is benched for a few runs through ``run_on_devices``, as ``bench --device a,b``
does it. The first pass brings everything to the boards, later ones find it there.

- wall / bound: seconds until all are done / processor seconds of all processes (host, agents,
  workers) over the number of cores. 1.0 is a machine that never waits; what other programs take
  of it, and what the disk takes in the first pass, counts as waiting. One board alone is a chain
  of steps that wait for each other, and cannot use two cores.
- idle: share of the cores that had nothing to do meanwhile, whatever else runs here
- memory: resident size of the host's process with so many sessions open at once, each with a
  loaded model; for each session beyond the first, which brings the libraries (promise: ≤ 12 MB)
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deployx_edge.bundle import Bundle
from deployx_edge.device import Device
from deployx_edge.measurement.values import BenchPlan, RunOptions, WorkerLimits
from deployx_edge.progress import silent
from deployx_edge.workflows.boards.session import open_session
from deployx_edge.workflows.boards.several import run_on_devices
from deployx_edge.workflows.convert.bundle import make_bundle
from deployx_edge.workflows.measure.bench import BenchJob, bench_device, load_model

ROOT = Path(__file__).resolve().parents[1]
OPTIONS = RunOptions(threads=1)


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One bench of so many boards at once; seconds, and shares of all cores."""

    boards: int
    first: bool
    wall: float
    processor: float
    bound: float
    idle: float


def make_boards(uri: str, count: int, folder: Path) -> list[Device]:
    return [
        Device(name=f"board-{index}", uri=uri, work_folder=str(folder / str(index)))
        for index in range(count)
    ]


def processor_seconds() -> float:
    """Of this process and of all that it has started and seen end, with what these started."""
    used = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def idle_seconds() -> float:
    """Of all cores since the start of the machine, waiting for the disk not among it."""
    words = Path("/proc/stat").read_text(encoding="ascii").split()
    return int(words[4]) / os.sysconf("SC_CLK_TCK")


def bench_all(boards: Sequence[Device], job: BenchJob, *, first: bool) -> Pass:
    started, used, idle = time.monotonic(), processor_seconds(), idle_seconds()
    outcomes = run_on_devices(
        boards, lambda device, _: bench_device(device, job), lambda device: silent
    )
    wall = time.monotonic() - started
    used, idle = processor_seconds() - used, idle_seconds() - idle
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
    cores = len(os.sched_getaffinity(0))
    done = Pass(
        boards=len(boards),
        first=first,
        wall=wall,
        processor=used,
        bound=used / cores,
        idle=idle / (os.cpu_count() or 1) / wall,
    )
    print(
        f"{done.boards:3} boards, {'first' if first else 'again'}: {wall:7.2f} s"
        f" | processor {used:7.2f} s, {used / done.boards:.2f} s a board"
        f" | wall / bound {wall / done.bound:.2f} | idle {done.idle:.0%}",
        flush=True,
    )
    return done


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


@contextmanager
def open_sessions(boards: Sequence[Device], bundle: Bundle) -> Iterator[None]:
    """A session on each, opened at once, with the model loaded, until the block ends."""
    ready = threading.Barrier(len(boards) + 1)
    end = threading.Event()

    def hold(board: Device) -> None:
        with open_session(board) as session:
            session.push(bundle)
            with load_model(session, bundle, OPTIONS, WorkerLimits()):
                ready.wait(600)
                end.wait()

    threads = [threading.Thread(target=hold, args=(board,), daemon=True) for board in boards]
    for thread in threads:
        thread.start()
    try:
        ready.wait(600)
        yield
    finally:
        end.set()
        for thread in threads:
            thread.join()


def measure_memory(uri: str, counts: Sequence[int], bundle: Bundle, folder: Path) -> Any:
    """Resident bytes of this process for each number of sessions."""
    sizes = {0: resident_bytes()}
    for count in sorted({1, *counts}):
        with open_sessions(make_boards(uri, count, folder), bundle):
            sizes[count] = resident_bytes()
        beyond = (sizes[count] - sizes[1]) / max(1, count - 1)
        print(
            f"{count:3} sessions: {sizes[count] / 1e6:6.1f} MB resident (none: "
            f"{sizes[0] / 1e6:.1f} MB), {beyond / 1e6:.2f} MB for each beyond the first",
            flush=True,
        )
    return {"resident_bytes": sizes}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--uri", default="virtual:linux-arm64")
    parser.add_argument("--boards", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3, help="passes that find everything there")
    parser.add_argument("--json", type=Path, default=Path("build/benchmarks/boards.json"))
    arguments = parser.parse_args()
    bundle = make_bundle(ROOT / "examples/digits/digits_cnn.onnx")
    plan = BenchPlan(warmup=2, iterations=arguments.iterations)
    job = BenchJob(bundle=bundle, options=(OPTIONS,), plan=plan)
    passes: list[Pass] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        memory = measure_memory(arguments.uri, arguments.boards, bundle, folder / "memory")
        for count in arguments.boards:
            boards = make_boards(arguments.uri, count, folder / f"of-{count}")
            for index in range(1 + arguments.rounds):
                passes.append(bench_all(boards, job, first=index == 0))
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    content = {"uri": arguments.uri, "passes": [asdict(p) for p in passes], "memory": memory}
    arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"written to {arguments.json}")


if __name__ == "__main__":
    main()
