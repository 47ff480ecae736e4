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
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

from architecture_pairs import measure_architectures
from conversions import ROOT, convert, latency, output_tensors
from real_sizes import measure_real_sizes

from deployx_edge.target import find_target
from deployx_edge.workflows.build.built import ensure_built


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
            results = measure_real_sizes(arguments.rounds, scratch)
        elif arguments.architectures is None:
            worker = _worker()
            results = [
                measure(path, arguments.rounds, arguments.threads, worker, scratch)
                for path in arguments.models or own_models(scratch)
            ]
        else:
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
