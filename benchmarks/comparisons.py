"""How often a comparison is wrong: equal bundles, and one that is slower by a known share.

    .venv/bin/python benchmarks/comparisons.py [--equal 100] [--planted 30] [--output FILE.json]

On ``local:``, on whatever else the machine does: other programs are what makes comparisons wrong.
The model is a chain of equal convolutions, the planted one has 10 % more of them.

- equal, in turn (``bench --against``): how many of the comparisons claim a difference
  (promise: at most 5 of 100)
- planted, in turn: how many find it, and whether any says the opposite (promise: none)
- equal, apart (``bench --compare``): the second follows the first, as when a file of earlier
  results is compared with
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

from deployx_edge.bundle import Bundle
from deployx_edge.device import Device
from deployx_edge.measurement.comparisons import Comparison
from deployx_edge.measurement.files import runs_of
from deployx_edge.measurement.values import BenchPlan, BenchResult, RunOptions
from deployx_edge.workflows.convert.bundle import make_bundle
from deployx_edge.workflows.measure.bench import BenchJob, bench_device, compare_results

LOCAL = Device(name="local", uri="local:")
LAYERS, MORE_LAYERS = 20, 22
OPTIONS = RunOptions(threads=1)


def chain(layers: int, path: Path) -> Path:
    """``layers`` equal 3x3 convolutions of 16 channels."""
    generator = numpy.random.default_rng(0)
    weights = [
        numpy_helper.from_array(
            (generator.standard_normal((16, 16, 3, 3)) / 12).astype(numpy.float32), f"w{i}"
        )
        for i in range(layers)
    ]
    nodes = [
        helper.make_node("Conv", [f"t{i}", f"w{i}"], [f"t{i + 1}"], pads=[1, 1, 1, 1])
        for i in range(layers)
    ]
    ends = [
        helper.make_tensor_value_info(f"t{i}", TensorProto.FLOAT, [1, 16, 32, 32])
        for i in (0, layers)
    ]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], weights)
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


def benched(job: BenchJob) -> list[BenchResult]:
    """In a session of its own: others who want the board get their turn in between."""
    results, failures = bench_device(LOCAL, job)
    assert not failures, failures
    return results


def in_turn(new: Bundle, old: Bundle, plan: BenchPlan) -> Comparison:
    """One ``bench new --against old``."""
    job = BenchJob(bundle=new, options=[OPTIONS], against=old, plan=plan, link=False)
    return compare_results(benched(job), [])[0]


def apart(bundle: Bundle, plan: BenchPlan) -> Comparison:
    """One ``bench --repeat 5`` after the other, the second by ``--compare``."""
    job = BenchJob(bundle=bundle, options=[OPTIONS], plan=plan, link=False)
    (old,), (new,) = benched(job), benched(job)
    return compare_results([new], [runs_of(old)])[0]


def shown(name: str, found: Sequence[Comparison], seconds: float) -> dict[str, object]:
    verdicts = Counter(each.verdict for each in found)
    words = ", ".join(f"{verdict} {count}" for verdict, count in verdicts.most_common())
    print(f"{name}: {words} of {len(found)}, {seconds / max(1, len(found)):.1f} s each", flush=True)
    ratios = [[r.low, r.value, r.high] for each in found if (r := each.ratio)]
    return {"verdicts": dict(verdicts), "seconds": seconds, "ratios": ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--equal", type=int, default=100)
    parser.add_argument("--planted", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=0.05, help="Of each repeat.")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    many = BenchPlan(warmup=3, iterations=0, seconds=given.seconds, repeats=10)
    few = BenchPlan(warmup=3, iterations=0, seconds=given.seconds, repeats=5)
    with tempfile.TemporaryDirectory() as folder:
        models = [chain(n, Path(folder) / f"chain{n}.onnx") for n in (LAYERS, MORE_LAYERS)]
        usual, slower = (make_bundle(model) for model in models)
    report = {}
    parts: list[tuple[str, int, Callable[[], Comparison]]] = [
        ("equal, in turn", given.equal, lambda: in_turn(usual, usual, many)),
        ("planted, in turn", given.planted, lambda: in_turn(slower, usual, many)),
        ("equal, apart", given.equal, lambda: apart(usual, few)),
    ]
    for name, count, compare in parts:
        started = time.monotonic()
        found = [compare() for _ in range(count)]
        report[name] = shown(name, found, time.monotonic() - started)
    if given.output:
        given.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
