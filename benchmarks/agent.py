"""The agent on ``local:`` against a bare loop in the same worker and the runtime's Python wheel.

    .venv/bin/python benchmarks/agent.py [--runtime ncnn] [--rounds 5] [--output agent.json]

Each round measures every contender once, one after the other, so that a drift of the
machine hits all alike; what is reported are medians of ratios within a round.

- bench: median sample through the agent / median sample of the bare loop (promise: within 2 %)
- infer, one at a time: round trip − compute (what a call costs beside its computing)
- infer, pipelined: throughput / throughput of the bare loop (promise: ≥ 0.95 from 5 ms on)
- wheel: bare loop / the same loop in the runtime's Python wheel (promise: ≤ 1.05)
- start: from exec of the agent to its line "ready" (promise: ≤ 100 ms), and what it then holds
  in memory (promise: ≤ 15 MB)

The host's part of ``infer`` runs on the same cores here: where the model takes all of them,
pipelined throughput loses what the host takes, which on a board it would not.
"""

from __future__ import annotations

import argparse
import json
import resource
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

from deployx_edge.bundle import Bundle
from deployx_edge.device import Device
from deployx_edge.measurement.values import BenchPlan, RunOptions, WorkerLimits
from deployx_edge.workflows.boards.session import Session, open_session
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from deployx_edge.workflows.measure.bench import load_model, random_inputs
from deployx_edge.workflows.measure.link_cost import measure_inferences

ROOT = Path(__file__).resolve().parents[1]
LOCAL = Device(name="local", uri="local:")


@dataclass(frozen=True, kw_only=True)
class Round:
    """Medians of one round, in nanoseconds; throughputs in runs a second."""

    agent_ns: float
    bare_ns: float
    wheel_ns: float
    round_trip_ns: float
    compute_ns: float
    pipelined_per_second: float

    def ratios(self) -> dict[str, float]:
        return {
            "bench_over_bare": self.agent_ns / self.bare_ns,
            "bare_over_wheel": self.bare_ns / self.wheel_ns,
            "infer_overhead_us": (self.round_trip_ns - self.compute_ns) / 1e3,
            "pipelined_over_bare": self.pipelined_per_second * self.bare_ns / 1e9,
        }


def bare(session: Session, bundle: Bundle, threads: int, iterations: int) -> float:
    words: list[str | Path] = [session.build.worker(bundle.runtime), "--bare"]
    for file in bundle.files:
        words += ["--file", f"{file.role}={bundle.path(file.role)}"]
    for library in session.build.libraries(bundle.runtime):
        words += ["--library", session.build.folder / library.name]
    for text in _inputs(bundle):
        words += ["--input", text]
    words += ["--threads", str(threads), "--warmup", "10", "--iterations", str(iterations)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return median(int(line) for line in done.stdout.split())


def wheel(bundle: Bundle, threads: int, iterations: int) -> float:
    """The same loop in a process of its own: two OpenMP runtimes in one would disturb."""
    code = Path(__file__).with_name(f"{bundle.runtime}_loop.py")
    files = [bundle.path(file.role) for file in bundle.files]
    outputs = [bundle.outputs[0].runtime_name] if bundle.runtime == "ncnn" else []
    words: list[str | Path] = [sys.executable, code, *files, str(threads), str(iterations)]
    words += [*outputs, *_inputs(bundle)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return median(int(line) for line in done.stdout.split())


def _inputs(bundle: Bundle) -> list[str]:
    return [f"{t.runtime_name}={'x'.join(map(str, t.array.shape))}" for t in random_inputs(bundle)]


def pipelined(session: Session, bundle: Bundle, model_id: str, iterations: int) -> float:
    inputs = random_inputs(bundle)

    def requests() -> Iterator[Any]:
        for _ in range(iterations):
            yield inputs

    count = 0
    started = first = time.perf_counter()
    for _ in session.client.infer(model_id, requests()):
        if count == 0:
            first = time.perf_counter()
        count += 1
    assert count == iterations and first >= started
    return (count - 1) / (time.perf_counter() - first)


def one_round(session: Session, bundle: Bundle, threads: int, iterations: int) -> Round:
    options, plan = RunOptions(threads=threads), BenchPlan(warmup=10, iterations=iterations)
    with load_model(session, bundle, options, WorkerLimits()) as load:
        inputs = random_inputs(bundle)
        agent_ns = median(session.client.bench(load.model_id, inputs, plan).samples_ns)
        cost = measure_inferences(session, load.model_id, inputs)
        rate = pipelined(session, bundle, load.model_id, iterations)
    return Round(
        agent_ns=agent_ns,
        bare_ns=bare(session, bundle, threads, iterations),
        wheel_ns=wheel(bundle, threads, iterations),
        round_trip_ns=cost.round_trip_ns,
        compute_ns=cost.compute_ns,
        pipelined_per_second=rate,
    )


def measure(
    name: str, bundle: Bundle, threads: int, rounds: int, iterations: int
) -> dict[str, Any]:
    with open_session(LOCAL) as session:
        session.push(bundle)
        done = [one_round(session, bundle, threads, iterations) for _ in range(rounds)]
    ratios = [r.ratios() for r in done]
    result = {
        "model": name,
        "threads": threads,
        "rounds": rounds,
        "bare_ms": median(r.bare_ns for r in done) / 1e6,
        **{key: median(r[key] for r in ratios) for key in ratios[0]},
        "spread": {
            key: [min(r[key] for r in ratios), max(r[key] for r in ratios)] for key in ratios[0]
        },
    }
    print(
        f"{name:>16} threads {threads}: bare {result['bare_ms']:.3f} ms | "
        f"bench/bare {result['bench_over_bare']:.3f} | "
        f"bare/wheel {result['bare_over_wheel']:.3f} | "
        f"infer overhead {result['infer_overhead_us']:.0f} us | "
        f"pipelined/bare {result['pipelined_over_bare']:.3f}",
        flush=True,
    )
    return result


def started(agent_path: Path, folder: str) -> tuple[float, int]:
    """Milliseconds from exec to ready, and resident bytes of the idle agent."""
    words = [str(agent_path), "serve", "--work", folder]
    begin = time.perf_counter()
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as agent:
        assert agent.stdin and agent.stdout
        agent.stdin.write(f"token {secrets.token_hex(32)}\n".encode())
        agent.stdin.flush()
        line = agent.stdout.readline()
        milliseconds = (time.perf_counter() - begin) * 1e3
        assert line.startswith(b"ready ")
        time.sleep(0.5)
        pages = int(Path(f"/proc/{agent.pid}/statm").read_text().split()[1])
        agent.stdin.close()  # The session's end.
    return milliseconds, pages * resource.getpagesize()


def measure_start(agent_path: Path, rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        done = [started(agent_path, folder) for _ in range(rounds)]
    result = {
        "ready_ms": median(ms for ms, _ in done),
        "idle_resident_bytes": max(size for _, size in done),
    }
    print(
        f"           agent: ready after {result['ready_ms']:.0f} ms | "
        f"{result['idle_resident_bytes'] / 1e6:.1f} MB resident when idle"
    )
    return result


def models(folder: Path, options: BundleOptions) -> list[tuple[str, Callable[[], Bundle], int]]:
    import onnx
    from random_network import random_network

    network = folder / "random_network.onnx"

    def large() -> Bundle:
        onnx.save(random_network(), network)
        return make_bundle(network, options=options)

    return [
        (
            "digits_cnn",
            lambda: make_bundle(ROOT / "examples/digits/digits_cnn.onnx", options=options),
            2000,
        ),
        ("random_network", large, 60),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runtime", default="ncnn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--output", type=Path, default=Path("benchmark-agent.json"))
    arguments = parser.parse_args()
    with open_session(LOCAL) as session:
        start = measure_start(session.build.agent, arguments.rounds)
    with tempfile.TemporaryDirectory() as folder:
        results = [
            measure(name, make(), threads, arguments.rounds, iterations)
            for name, make, iterations in models(
                Path(folder), BundleOptions(runtime=arguments.runtime)
            )
            for threads in arguments.threads
        ]
    document = {"runtime": arguments.runtime, "start": start, "models": results}
    arguments.output.write_text(json.dumps(document, indent=1) + "\n")
    print(f"written: {arguments.output}")


if __name__ == "__main__":
    main()
