"""Operators of our own on ncnn against ONNX Runtime's own kernels, with one thread.

    .venv/bin/python benchmarks/operators.py [NAME …] [--rounds 5] [--json FILE]

Each is a model of one node at a size that networks have. A round times both runtimes on this
computer, one after the other; what is reported is the median of the ratios within a round (ours /
ONNX Runtime's), with the lowest and the highest.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx

from deployx_edge.bundle import Bundle
from deployx_edge.config import find_device
from deployx_edge.measurement.statistics import summarise
from deployx_edge.measurement.values import BenchPlan, RunOptions
from deployx_edge.operator_facts import operator_named
from deployx_edge.workflows.boards.session import Session, open_session
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from deployx_edge.workflows.measure.bench import bench
from deployx_edge.workflows.operators.cases import Case, Fed, build_cases

_RANDOM = np.random.default_rng(0)


def _floats(*shape: int, scale: float = 1.0) -> np.ndarray:
    return (scale * _RANDOM.standard_normal(shape)).astype(np.float32)


def _places(*shape: int) -> Fed:
    return Fed(values=_RANDOM.uniform(-1.1, 1.1, shape).astype(np.float32))


_REGIONS = np.sort(_RANDOM.uniform(0, 400, (100, 2, 2)), axis=1).reshape(100, 4)
_WINDOW = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}

# By operator, nodes of the sizes of usual networks. Those that ncnn has a layer for are not here.
CASES: dict[str, tuple[Case, ...]] = {
    "deform_conv": (
        Case(
            name="64x40x40",
            inputs=((1, 64, 40, 40), _floats(64, 64, 3, 3), (1, 18, 40, 40), _floats(64)),
            attributes=_WINDOW,
        ),
        Case(
            name="masked 128x20x20",
            inputs=(
                (1, 128, 20, 20),
                _floats(128, 128, 3, 3),
                (1, 18, 20, 20),
                _floats(128),
                (1, 9, 20, 20),
            ),
            attributes=_WINDOW,
        ),
    ),
    "gather_elements": (
        Case(
            name="8400x4, 300 rows",
            inputs=((1, 8400, 4), Fed(values=_RANDOM.integers(0, 8400, (1, 300, 4)))),
            attributes={"axis": 1},
        ),
    ),
    "grid_sample": (
        Case(
            name="nearest 64x80x80",
            inputs=((1, 64, 80, 80), _places(1, 80, 80, 2)),
            attributes={"mode": "nearest"},
        ),
        Case(
            name="reflection 64x80x80",
            inputs=((1, 64, 80, 80), _places(1, 80, 80, 2)),
            attributes={"padding_mode": "reflection"},
        ),
    ),
    "hardmax": (Case(name="8400x80", inputs=((1, 8400, 80),)),),
    "lp_pool": (
        Case(
            name="64x56x56",
            inputs=((1, 64, 56, 56),),
            attributes={"kernel_shape": [3, 3], "strides": [2, 2]},
            opset=18,
        ),
    ),
    "roi_align": (
        Case(
            name="100 of 64x50x50",
            inputs=(
                (1, 64, 50, 50),
                _REGIONS.astype(np.float32),
                np.zeros(100, dtype=np.int64),
            ),
            attributes={
                "output_height": 7,
                "output_width": 7,
                "sampling_ratio": 2,
                "spatial_scale": 0.125,
            },
        ),
    ),
    "top_k": (
        Case(name="300 of 8400", inputs=((1, 8400), np.asarray([300], dtype=np.int64))),
        Case(name="5 of 80, 8400 times", inputs=((1, 8400, 80), np.asarray([5], dtype=np.int64))),
    ),
}


def measure(session: Session, name: str, case: Case, rounds: int, folder: Path) -> dict[str, Any]:
    """Milliseconds of both, and the ratio."""
    model, _ = build_cases(operator_named(name), [case])
    path = folder / "case.onnx"
    onnx.save(model, path)
    bundles = [
        make_bundle(path, options=BundleOptions(runtime=runtime, verify=False))
        for runtime in ("ncnn", "onnxruntime")
    ]
    times = [[_milliseconds(session, bundle) for bundle in bundles] for _ in range(rounds)]
    ratios = sorted(ours / theirs for ours, theirs in times)
    return {
        "operator": name,
        "case": case.name,
        "ncnn_ms": median(ours for ours, _ in times),
        "onnxruntime_ms": median(theirs for _, theirs in times),
        "ratio": median(ratios),
        "lowest": ratios[0],
        "highest": ratios[-1],
    }


def _milliseconds(session: Session, bundle: Bundle) -> float:
    plan = BenchPlan(warmup=5, iterations=0, seconds=0.5)
    (result,) = bench(session, bundle, options=[RunOptions(threads=1)], plan=plan)
    return summarise(result.bench.samples_ns).p50 / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="operators; all without")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = []
    with (
        open_session(find_device("local:")) as session,
        tempfile.TemporaryDirectory() as folder,
    ):
        for name in arguments.names or CASES:
            for case in CASES[name]:
                row = measure(session, name, case, arguments.rounds, Path(folder))
                rows.append(row)
                print(
                    f"{name:>16} {case.name:<22} {row['ncnn_ms']:8.3f} ms, ONNX Runtime "
                    f"{row['onnxruntime_ms']:8.3f} ms: {row['ratio']:.2f} "
                    f"({row['lowest']:.2f} … {row['highest']:.2f})",
                    flush=True,
                )
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
