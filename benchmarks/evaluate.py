"""Throughput of ``evaluate`` on a board against ``bench`` of the same model there.

    .venv/bin/python benchmarks/evaluate.py [--rounds 7] [--samples 200] [--output evaluate.json]

A residual network (12 MB, some 8 ms on a core) on ``local:`` with one thread. Each round benches,
evaluates, and benches again; runs a second are those that ``bench`` shows (by the mean), of both
benches; promise: at least 0.95 of them. Every round is done twice:

- shared: as it comes. The host reads and judges samples on the same two cores, which slows the
  model's computing down itself; that is told apart (compute / bench).
- apart: the worker computes on one core and all else has the other, as where the board is another
  computer with a core to spare for the agent.

bound is what a bench keeps of its own rate while another process only reads the samples, as many a
second: what these two cores leave at most, however samples get to the worker.
busy is the share of the time between the first and the last answer in which the worker had a
sample in its hands: below 1 it waited. The host's peak memory is taken at two counts of
samples: it must not grow with the data.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import mean, median
from typing import Any, TypeVar

import numpy as np
import onnx
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

from conversions import own_peak
from random_network import random_network

from deployx_edge.agent.client import AgentClient, Inference
from deployx_edge.bundle import load_bundle
from deployx_edge.device import Device
from deployx_edge.evaluation.data.datasets import open_dataset
from deployx_edge.measurement.values import BenchPlan, RunOptions, WorkerLimits
from deployx_edge.workflows.boards.session import open_session
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from deployx_edge.workflows.evaluate.case import EvaluationOptions
from deployx_edge.workflows.evaluate.evaluate import evaluate
from deployx_edge.workflows.measure.bench import load_model, random_inputs

ROOT = Path(__file__).resolve().parents[1]

RUN = RunOptions(threads=1)

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """One evaluation: samples a second, and of its samples the mean times in nanoseconds."""

    rate: float
    compute_ns: float
    worker_ns: float
    peak: int


@dataclass(frozen=True, kw_only=True)
class Round:
    """A round's ratios, and its milliseconds a run."""

    throughput: float
    bound: float
    busy: float
    compute: float
    milliseconds: float


def _workers() -> list[int]:
    """Processes that the agents of this process started."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    agents = {pid for pid, parent in parents.items() if parent == os.getpid()}
    return [pid for pid, parent in parents.items() if parent in agents]


def _keep_apart() -> None:
    """From now on workers compute on one core, and all else of this process is on another."""
    load, (ours, theirs) = AgentClient.load, sorted(os.sched_getaffinity(0))[:2]
    os.sched_setaffinity(0, {ours})

    def loaded_apart(client: AgentClient, *words: Any, **options: Any) -> Any:
        result = load(client, *words, **options)
        workers = _workers()
        assert workers
        for worker in workers:
            os.sched_setaffinity(worker, {theirs})  # of its threads the first, which computes
        return result

    setattr(AgentClient, "load", loaded_apart)  # noqa: B010 (mypy minds the assignment)


def _benched(bundle: Path, iterations: int, apart: bool) -> float:
    if apart:
        _keep_apart()
    opened = load_bundle(bundle)
    with open_session(Device(name="local", uri="local:")) as session:
        session.push(opened)
        with load_model(session, opened, RUN, WorkerLimits()) as load:
            plan = BenchPlan(warmup=5, iterations=iterations)
            found = session.client.bench(load.model_id, random_inputs(opened), plan)
            return mean(found.samples_ns)


def _evaluated(bundle: Path, data: Path, limit: int, apart: bool) -> Evaluated:
    if apart:
        _keep_apart()
    times: list[tuple[int, int]] = []
    infer = AgentClient.infer

    def timed(client: AgentClient, *words: Any) -> Iterator[Inference]:
        for answer in infer(client, *words):
            times.append((answer.compute_ns, answer.worker_ns))
            yield answer

    setattr(AgentClient, "infer", timed)  # noqa: B010 (mypy minds the assignment)
    options = EvaluationOptions(metrics=("top1",), limit=limit, run=RUN)
    (place,) = evaluate(bundle, data, ["local:"], options=options).places
    assert place.samples_per_second is not None  # only simulators tell none
    compute, worker = zip(*times[1:], strict=True)
    return Evaluated(
        rate=place.samples_per_second,
        compute_ns=mean(compute),
        worker_ns=mean(worker),
        peak=own_peak(),
    )


def _read(bundle: Path, data: Path, seconds: float, apart: bool, reading: Any) -> None:
    """Read samples without an end, one in so many seconds."""
    if apart:
        _keep_apart()
    opened = load_bundle(bundle)
    samples = open_dataset(
        data,
        inputs=opened.inputs,
        outputs=opened.outputs,
        preprocessing=opened.preprocessing,
        task="classification",
    )
    due = time.monotonic()
    while True:
        for _ in samples:
            reading.set()
            due = max(due + seconds, time.monotonic())
            time.sleep(max(due - time.monotonic(), 0))


def benched_beside(bundle: Path, data: Path, samples: int, apart: bool, seconds: float) -> float:
    """Nanoseconds a run while another process reads a sample in so many seconds."""
    processes = multiprocessing.get_context("spawn")
    reading = processes.Event()
    reader = processes.Process(target=_read, args=(bundle, data, seconds, apart, reading))
    reader.start()
    try:
        assert reading.wait(60)
        nanoseconds = fresh(_benched, bundle, samples, apart)
        assert reader.is_alive()
        return nanoseconds
    finally:
        reader.kill()
        reader.join()


def fresh(work: Callable[..., Result], *words: Any) -> Result:
    """Done in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, words)


def one_round(bundle: Path, data: Path, samples: int, apart: bool) -> Round:
    before = fresh(_benched, bundle, samples, apart)
    found = fresh(_evaluated, bundle, data, samples, apart)
    beside_ns = benched_beside(bundle, data, samples, apart, 1 / found.rate)
    bench_ns = (before + fresh(_benched, bundle, samples, apart)) / 2
    return Round(
        throughput=found.rate * bench_ns / 1e9,
        bound=bench_ns / beside_ns,
        busy=found.rate * found.worker_ns / 1e9,
        compute=found.compute_ns / bench_ns,
        milliseconds=bench_ns / 1e6,
    )


def images(folder: Path, count: int) -> Path:
    """Noise in ten folders as classes."""
    random = np.random.default_rng(0)
    for index in range(count):
        path = folder / str(index % 10) / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 255, (224, 224, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--output", type=Path, default=Path("benchmark-evaluate.json"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "random_network.onnx"
        onnx.save(random_network(width=32), model)
        preprocess = ("mean=123.7/116.3/103.5,std=58.4/57.1/57.4",)
        bundle = make_bundle(model, folder / "bundle", BundleOptions(preprocess=preprocess))
        data = images(folder / "images", arguments.samples)
        rounds: dict[str, list[Round]] = {"shared": [], "apart": []}
        for _ in range(arguments.rounds):
            for way, done in rounds.items():
                done.append(one_round(bundle.folder, data, arguments.samples, way == "apart"))
        few, many = (
            fresh(_evaluated, bundle.folder, data, count, False).peak
            for count in (arguments.samples // 4, arguments.samples)
        )
    result: dict[str, Any] = {"samples": arguments.samples, "rounds": arguments.rounds}
    for way, done in rounds.items():
        result[way] = {
            key: [median(found), min(found), max(found)]
            for key, found in (
                (field.name, [getattr(row, field.name) for row in done]) for field in fields(Round)
            )
        }
        of = {key: entry[0] for key, entry in result[way].items()}
        print(
            f"{way:>6}: {of['milliseconds']:.2f} ms a run | throughput / bench's "
            f"{of['throughput']:.3f} ({min(row.throughput for row in done):.3f} to "
            f"{max(row.throughput for row in done):.3f}), bound {of['bound']:.3f} | "
            f"busy {of['busy']:.3f} | "
            f"compute / bench's {of['compute']:.3f}"
        )
    result["peak_mb"], result["peak_growth_mb"] = many / 1e6, (many - few) / 1e6
    print(
        f"host's peak {result['peak_mb']:.0f} MB, {arguments.samples // 4} to "
        f"{arguments.samples} samples {result['peak_growth_mb']:+.1f} MB"
    )
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written: {arguments.output}")


if __name__ == "__main__":
    main()
