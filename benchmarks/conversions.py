"""One conversion in a process of its own, and what its result takes in the worker alone."""

from __future__ import annotations

import multiprocessing
import resource
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from deployx_edge.comparison import structured_inputs
from deployx_edge.model import to_runtime_arrays
from deployx_edge.runtimes import load_runtime
from deployx_edge.runtimes.converter import ConversionRequest, ConvertedModel
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx.file import SourceTensor, read_onnx

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
