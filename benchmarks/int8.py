"""int8 against fp32 and fp16: latency in the worker's bare loop, and size, with the same threads.

    .venv/bin/python benchmarks/int8.py [--rounds 7] [--threads 1] [--output int8.json]

The digits, the detector, the segmenter and a residual network of 11.7 million weights on
3x224x224, each in the three precisions, timed in turn within a round on ``local:``'s worker. What
is reported are medians of ratios within a round. On x86 fp16 is stored and fp32 computed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

from conversions import ITERATIONS, samples
from random_network import random_network

from deployx_edge.bundle import Bundle
from deployx_edge.quantization.values import PRESETS
from deployx_edge.target import find_target
from deployx_edge.workflows.build.built import ensure_built
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from deployx_edge.workflows.convert.conversion import read_converted
from deployx_edge.workflows.convert.models import TorchOptions
from deployx_edge.workflows.quantize.quantize import QuantizeOptions, quantize

ROOT = Path(__file__).resolve().parents[1]

PRECISIONS = ("fp32", "fp16", "int8")


def bundles(model: Path, options: BundleOptions, folder: Path) -> dict[str, Bundle]:
    """The model in each precision; int8 is calibrated on noise, which time does not depend on."""
    made = {
        precision: make_bundle(
            model,
            folder / precision,
            BundleOptions(
                precision=precision, torch=options.torch, input_shapes=options.input_shapes
            ),
        )
        for precision in PRECISIONS[:2]
    }
    (spec,) = made["fp32"].inputs
    noise = np.random.default_rng(0).random((16, *spec.shape[1:]), dtype=np.float32)
    np.savez(folder / "noise.npz", **{spec.name: noise})  # type: ignore[arg-type]
    chosen = QuantizeOptions(preset="fast", settings=PRESETS["fast"], bundle=options)
    made["int8"] = quantize(model, folder / "noise.npz", folder / "int8", chosen).bundle
    return made


def measure(
    name: str, made: dict[str, Bundle], rounds: int, threads: int, worker: Path
) -> dict[str, Any]:
    """Medians over the rounds; ratios are int8's / the other's."""
    models = {precision: read_converted(bundle) for precision, bundle in made.items()}
    rows = [
        {
            precision: min(samples(worker, model, threads, ITERATIONS))
            for precision, model in models.items()
        }
        for _ in range(rounds)
    ]
    sizes = {
        precision: sum(bundle.file(role).size for role in ("param", "bin"))
        for precision, bundle in made.items()
    }
    result = {
        "model": name,
        "threads": threads,
        "rounds": rounds,
        "int8_milliseconds": median(row["int8"] for row in rows) / 1e6,
        **{f"latency_to_{p}": median(r["int8"] / r[p] for r in rows) for p in PRECISIONS[:2]},
        **{f"size_to_{p}": sizes["int8"] / sizes[p] for p in PRECISIONS[:2]},
    }
    print(
        f"{name:>16}: int8 {result['int8_milliseconds']:.3f} ms | latency / fp32's "
        f"{result['latency_to_fp32']:.3f}, / fp16's {result['latency_to_fp16']:.3f} | size / "
        f"fp32's {result['size_to_fp32']:.3f}, / fp16's {result['size_to_fp16']:.3f}",
        flush=True,
    )
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("benchmark-int8.json"))
    arguments = parser.parse_args()
    worker = ensure_built(find_target("linux-x64")).worker("ncnn")
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        large = folder / "random_network.onnx"
        onnx.save(random_network(), large)
        choices = {"digits": (ROOT / "examples/digits/digits_cnn.onnx", BundleOptions())}
        for example, side in (("detector", 128), ("segmenter", 96)):
            torch = TorchOptions(checkpoint=ROOT / f"examples/{example}/{example}.pt")
            shape = (f"image:1x3x{side}x{side}",)
            options = BundleOptions(torch=torch, input_shapes=shape)
            choices[example] = (Path(f"examples.{example}.model:{example}"), options)
        choices["random_network"] = (large, BundleOptions())
        for example, (model, options) in choices.items():
            own = folder / example
            own.mkdir()
            made = bundles(model, options, own)
            results.append(measure(example, made, arguments.rounds, arguments.threads, worker))
    arguments.output.write_text(json.dumps(results, indent=1) + "\n")
    print(f"written: {arguments.output}")


if __name__ == "__main__":
    main()
