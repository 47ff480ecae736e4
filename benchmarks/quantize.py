"""What calibrating costs for each image, against a plain float run of the same images.

    .venv/bin/python benchmarks/quantize.py [--rounds 3] [--counts 16 64] [--output quantize.json]

The digits, the detector and a residual network of 11.7 million weights on 3x224x224, with the
presets fast and balanced. PPQ's process and the float run's (ONNX Runtime, one process, the
same files, one image at a time) are each measured at two counts of images: the difference is what
an image costs without start-up, and how memory grows with the data.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

from conversions import own_peak
from random_network import random_network

from deployx_edge.graph.passes import NCNN_PASSES
from deployx_edge.model import parse_inputs
from deployx_edge.quantization.ppq import PpqModel, quantize_layers
from deployx_edge.quantization.values import PRESETS, QuantizationSettings
from deployx_edge.runtimes.ncnn.native.converter import quantizable_layers
from deployx_edge.runtimes.ncnn.quantizer import weight_layouts
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx.canonical import canonical
from deployx_edge.sources.onnx.file import OnnxSource, read_onnx
from deployx_edge.workflows.convert.models import TorchOptions, open_source_model

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds and peak memory of a process that went through some images."""

    seconds: float
    peak_bytes: int


def models(folder: Path) -> Iterator[Path]:
    """The three models as ONNX files."""
    yield ROOT / "examples/digits/digits_cnn.onnx"
    options = TorchOptions(checkpoint=ROOT / "examples/detector/detector.pt")
    shapes = parse_inputs(["image:1x3x128x128"])
    with open_source_model(Path("examples.detector.model:detector"), options, shapes) as opened:
        copied = folder / "detector.onnx"
        copied.write_bytes(opened.path.read_bytes())
    yield copied
    large = folder / "random_network.onnx"
    onnx.save(random_network(), large)
    yield large


def images(source: OnnxSource, count: int) -> Iterator[dict[str, np.ndarray]]:
    """Noise of the input's shape, the same each time."""
    random = np.random.default_rng(0)
    (tensor,) = source.inputs
    for _ in range(count):
        yield {tensor.name: random.random(tensor.shape, dtype=np.float32)}


class _Untold:
    """Progress that nobody is told of."""

    def phase(self, text: str) -> None:
        """A phase begins."""

    def share(self, done: int, total: int) -> None:
        """So much of it is done."""


def calibrate(source: OnnxSource, settings: QuantizationSettings, count: int) -> Cost:
    """PPQ's own process."""
    model = PpqModel(
        model=onnx.load(source.path),
        inputs=tuple(tensor.name for tensor in source.inputs),
        expected=Reference(source).run(next(images(source, 1))),
    )
    wanted = weight_layouts(quantizable_layers(source))
    found = quantize_layers(model, images(source, count), wanted, settings, _Untold())
    return Cost(seconds=found.seconds, peak_bytes=found.peak_bytes)


def _run_plainly(path: Path, count: int) -> Cost:
    source = read_onnx(path, {})
    begin = time.monotonic()
    reference = Reference(source)
    for arrays in images(source, count):
        reference.run(arrays)
    return Cost(seconds=time.monotonic() - begin, peak_bytes=own_peak())


def run_plainly(source: OnnxSource, count: int) -> Cost:
    """The same images in ONNX Runtime, in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_run_plainly, (source.path, count))


def measure(path: Path, preset: str, counts: tuple[int, int], rounds: int) -> dict[str, Any]:
    """Medians over the rounds."""
    settings = replace(PRESETS[preset], seed=0)
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / path.name
        onnx.save(canonical(read_onnx(path, {}), NCNN_PASSES).model, prepared)
        source = read_onnx(prepared, {})
        rows = []
        for _ in range(rounds):
            few, many = (calibrate(source, settings, count) for count in counts)
            plain_few, plain_many = (run_plainly(source, count) for count in counts)
            span = counts[1] - counts[0]
            rows.append(
                {
                    "milliseconds_per_image": 1e3 * (many.seconds - few.seconds) / span,
                    "plain_milliseconds_per_image": 1e3
                    * (plain_many.seconds - plain_few.seconds)
                    / span,
                    "peak_mb": many.peak_bytes / 1e6,
                    "peak_growth_mb": (many.peak_bytes - few.peak_bytes) / 1e6,
                    "plain_peak_mb": plain_many.peak_bytes / 1e6,
                }
            )
    result = {key: median(row[key] for row in rows) for key in rows[0]}
    print(
        f"{path.stem:>16} {preset:>9}: {result['milliseconds_per_image']:8.2f} ms an image, plain "
        f"{result['plain_milliseconds_per_image']:7.2f} | peak {result['peak_mb']:.0f} MB (plain "
        f"{result['plain_peak_mb']:.0f}), {counts[0]} to {counts[1]} images "
        f"{result['peak_growth_mb']:+.1f} MB",
        flush=True,
    )
    return {"model": path.name, "preset": preset, "counts": counts, "rounds": rounds, **result}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--counts", type=int, nargs=2, default=(16, 64))
    parser.add_argument("--output", type=Path, default=Path("benchmark-quantize.json"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = [
            measure(path, preset, tuple(arguments.counts), arguments.rounds)
            for path in models(Path(folder))
            for preset in ("fast", "balanced")
        ]
    arguments.output.write_text(json.dumps(results, indent=1) + "\n")
    print(f"written: {arguments.output}")


if __name__ == "__main__":
    main()
