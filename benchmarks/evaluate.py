"""Throughput of ``evaluate`` on a board against ``bench`` of the same model there.

    .venv/bin/python benchmarks/evaluate.py [--rounds 5] [--samples 200] [--output evaluate.json]

A residual network (12 MB, some 10 ms on a core) on ``local:`` with one thread, so that a core is
left for the host, as on a board all are. Each round benches and then evaluates; promise: at
least 0.95 of the runs a second. The host's peak memory is taken at two counts of samples: it
must not grow with the data.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

from convert import own_peak
from random_network import random_network

from deployx_edge.bundle import Bundle
from deployx_edge.device import Device
from deployx_edge.measurement.values import BenchPlan, Limits, RunOptions
from deployx_edge.workflows.bench import loaded, random_inputs
from deployx_edge.workflows.bundle import BundleOptions, make_bundle
from deployx_edge.workflows.evaluate import EvaluationOptions, evaluate
from deployx_edge.workflows.session import open_session

ROOT = Path(__file__).resolve().parents[1]

RUN = RunOptions(threads=1)


def benched(bundle: Bundle, iterations: int) -> float:
    """Runs a second on the board, by the median of single runs."""
    with open_session(Device(name="local", uri="local:")) as session:
        session.push(bundle)
        with loaded(session, bundle, RUN, Limits()) as load:
            plan = BenchPlan(warmup=5, iterations=iterations)
            found = session.client.bench(load.model_id, random_inputs(bundle), plan)
            return 1e9 / median(found.samples_ns)


def _evaluated(bundle: Path, data: Path, limit: int) -> tuple[float, int]:
    options = EvaluationOptions(metrics=("top1",), limit=limit, run=RUN)
    (place,) = evaluate(bundle, data, ["local:"], options=options).places
    return place.samples_per_second, own_peak()


def evaluated(bundle: Bundle, data: Path, limit: int) -> tuple[float, int]:
    """Samples a second, and the host's peak memory in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_evaluated, (bundle.folder, data, limit))


def pictures(folder: Path, count: int) -> Path:
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
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--output", type=Path, default=Path("benchmark-evaluate.json"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "random_network.onnx"
        onnx.save(random_network(width=32), model)
        preprocess = ("mean=123.7/116.3/103.5,std=58.4/57.1/57.4",)
        bundle = make_bundle(model, folder / "bundle", BundleOptions(preprocess=preprocess))
        data = pictures(folder / "pictures", arguments.samples)
        rows = []
        for _ in range(arguments.rounds):
            rate = benched(bundle, 50)
            few = evaluated(bundle, data, arguments.samples // 4)
            many = evaluated(bundle, data, arguments.samples)
            rows.append((many[0] / rate, 1e3 / rate, (many[1] - few[1]) / 1e6, many[1] / 1e6))
    result: dict[str, Any] = {
        "throughput_to_bench": median(row[0] for row in rows),
        "bench_milliseconds": median(row[1] for row in rows),
        "peak_growth_mb": median(row[2] for row in rows),
        "peak_mb": median(row[3] for row in rows),
        "samples": arguments.samples,
        "rounds": arguments.rounds,
    }
    print(
        f"{result['bench_milliseconds']:.2f} ms a run | throughput / bench's "
        f"{result['throughput_to_bench']:.3f} | host's peak {result['peak_mb']:.0f} MB, "
        f"{arguments.samples // 4} to {arguments.samples} samples "
        f"{result['peak_growth_mb']:+.1f} MB"
    )
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written: {arguments.output}")


if __name__ == "__main__":
    main()
