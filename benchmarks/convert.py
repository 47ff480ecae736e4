"""The converter of this project against pnnx: what a conversion costs, and what it gives.

    .venv/bin/python benchmarks/convert.py [MODEL.onnx …] [--rounds 5] [--output convert.json]
    .venv/bin/python benchmarks/convert.py --architectures [N]
    .venv/bin/python benchmarks/convert.py --real-sizes [--rounds 5]

Without models: the digits and the random network of ``examples/``. Each round converts once
by each, in a process of its own, and then times both results in the worker's bare loop, one
after the other; what is reported are medians of ratios within a round. pnnx alone only writes
its files: nothing is compared with the source on either side.

With ``--architectures`` it takes N (else all) of those that ``docs/architectures.md`` calls
right, spread over the families. Each is converted once by each; where pnnx's result is right too,
rounds of the two in turn are timed. Needs what the matrix needs: pytorchcv, transformers.

With ``--real-sizes`` whole commands are measured, comparison included, on models at the sizes that
people use (``real_sizes.py``).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

from deployx_edge.comparison import structured_inputs
from deployx_edge.model import to_runtime_arrays
from deployx_edge.runtimes import load_runtime
from deployx_edge.runtimes.converter import ConversionRequest, ConvertedModel
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx.file import SourceTensor, read_onnx
from deployx_edge.target import find_target
from deployx_edge.workflows.build.built import ensure_built

ROOT = Path(__file__).resolve().parents[1]
ITERATIONS = 50


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """One conversion: seconds, the process's peak memory in bytes (with children), the result."""

    seconds: float
    peak_bytes: int
    model: ConvertedModel


def output_tensors(path: Path) -> tuple[SourceTensor, ...]:
    """The source's outputs with the shapes that they have in a run."""
    source = read_onnx(path, {})
    first = Reference(source).run(structured_inputs(source.inputs)[0])
    return tuple(SourceTensor(name=name, shape=array.shape) for name, array in first.items())


def _convert(via: str, path: Path, outputs: tuple[SourceTensor, ...], folder: Path) -> Conversion:
    source = read_onnx(path, {})
    begin = time.perf_counter()
    request = ConversionRequest(outputs=outputs, precision="fp32", folder=folder)
    made = load_runtime("ncnn").converters()[via]().convert(source, request)
    seconds = time.perf_counter() - begin
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return Conversion(seconds=seconds, peak_bytes=max(own_peak(), children), model=made)


def own_peak() -> int:
    """The most memory that this process held, in bytes; getrusage begins with its parent's."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def convert(via: str, path: Path, outputs: tuple[SourceTensor, ...], folder: Path) -> Conversion:
    """In a fresh process: imports are part of what a user waits for, memory of it too."""
    folder.mkdir(parents=True)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_convert, (via, path, outputs, folder))


def latency(worker: Path, made: ConvertedModel, threads: int) -> float:
    """Median nanoseconds of a run in the worker alone."""
    return median(samples(worker, made, threads, ITERATIONS))


def samples(worker: Path, made: ConvertedModel, threads: int, iterations: int) -> list[int]:
    """Nanoseconds of each run in the worker alone."""
    inputs = structured_inputs(made.inputs)[0]
    words: list[str | Path] = [worker, "--bare", "--threads", str(threads)]
    for role in ("param", "bin"):
        words += ["--file", f"{role}={made.path(role)}"]
    for blob, (array, _) in to_runtime_arrays(made.inputs, inputs).items():
        words += ["--input", f"{blob}={'x'.join(map(str, array.shape))}"]
    words += ["--warmup", str(iterations // 10 or 1), "--iterations", str(iterations)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return [int(line) for line in done.stdout.split()]


def measure(path: Path, rounds: int, threads: int, worker: Path, scratch: Path) -> dict[str, Any]:
    """Medians over the rounds; ratios are ours / pnnx's."""
    rows = []
    outputs = output_tensors(path)
    for index in range(rounds):
        ours = convert("native", path, outputs, scratch / f"{path.stem}-{index}-native")
        theirs = convert("pnnx", path, outputs, scratch / f"{path.stem}-{index}-pnnx")
        times = [latency(worker, made.model, threads) for made in (ours, theirs)]
        rows.append(
            {
                "seconds": ours.seconds,
                "pnnx_seconds": theirs.seconds,
                "peak_mb": ours.peak_bytes / 1e6,
                "pnnx_peak_mb": theirs.peak_bytes / 1e6,
                "latency_ratio": times[0] / times[1],
            }
        )
    result = {key: median(row[key] for row in rows) for key in rows[0]}
    print(
        f"{path.stem:>16}: {result['seconds']:.2f} s, {result['peak_mb']:.0f} MB | "
        f"pnnx {result['pnnx_seconds']:.2f} s, {result['pnnx_peak_mb']:.0f} MB | "
        f"latency / pnnx's {result['latency_ratio']:.3f}",
        flush=True,
    )
    return {"model": path.name, "threads": threads, "rounds": rounds, **result}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("models", type=Path, nargs="*")
    parser.add_argument("--architectures", type=int, nargs="?", const=0, metavar="N")
    parser.add_argument("--real-sizes", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("benchmark-convert.json"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        if arguments.real_sizes:
            from real_sizes import measure_real_sizes

            results = measure_real_sizes(arguments.rounds, scratch)
        elif arguments.architectures is None:
            worker = _worker()
            results = [
                measure(path, arguments.rounds, arguments.threads, worker, scratch)
                for path in arguments.models or own_models(scratch)
            ]
        else:
            from architecture_pairs import measure_architectures

            results = measure_architectures(
                arguments.architectures, arguments.rounds, arguments.threads, _worker(), scratch
            )
    arguments.output.write_text(json.dumps(results, indent=1) + "\n")
    print(f"written: {arguments.output}")


def _worker() -> Path:
    return ensure_built(find_target("linux-x64")).worker("ncnn")


def own_models(scratch: Path) -> list[Path]:
    """The digits, and a network of the size of many that are deployed."""
    import onnx
    from random_network import random_network

    large = scratch / "random_network.onnx"
    onnx.save(random_network(), large)
    return [ROOT / "examples/digits/digits_cnn.onnx", large]


if __name__ == "__main__":
    main()
