"""Operators of our own on ncnn against ONNX Runtime's own kernels, with one thread.

    .venv/bin/python benchmarks/operators.py [NAME …] [--rounds 5] [--json FILE]

Each is a model of one node at a size that networks have (`operator_cases.py`), fed with values as
networks have them there. Where ONNX Runtime has no such kernel, it runs the same by standard
operators (`operator_compositions.py`). A round times both runtimes on this computer, one after the
other; what is reported is the median of the ratios within a round (ours / ONNX Runtime's), with the
lowest and the highest.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx
from operator_cases import CASES
from operator_compositions import compose

from deployx_edge.bundle import Bundle
from deployx_edge.config import find_device
from deployx_edge.measurement.statistics import summarise
from deployx_edge.measurement.values import BenchPlan, RunOptions, WorkerLimits
from deployx_edge.operator_facts import operator_named
from deployx_edge.workflows.boards.fed_tensors import board_tensors
from deployx_edge.workflows.boards.session import Session, open_session
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from deployx_edge.workflows.measure.loading import load_model
from deployx_edge.workflows.operators.cases import Case, build_cases


def measure(session: Session, name: str, case: Case, rounds: int, folder: Path) -> dict[str, Any]:
    """Milliseconds of both, and the ratio."""
    ours, (part,) = build_cases(operator_named(name), [case])
    models = {"ncnn": ours, "onnxruntime": compose(name, case) or ours}
    bundles = []
    for runtime, model in models.items():
        path = folder / f"{runtime}.onnx"
        onnx.save(model, path)
        bundles.append(make_bundle(path, options=BundleOptions(runtime=runtime, verify=False)))
    times = [
        [_milliseconds(session, bundle, part.fed) for bundle in bundles] for _ in range(rounds)
    ]
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


def _milliseconds(session: Session, bundle: Bundle, fed: Mapping[str, np.ndarray]) -> float:
    plan = BenchPlan(warmup=5, iterations=0, seconds=0.5)
    session.push(bundle)
    with load_model(session, bundle, RunOptions(threads=1), WorkerLimits()) as load:
        inputs = board_tensors(bundle, fed)
        samples = session.client.bench(load.model_id, inputs, plan)
    return summarise(samples.samples_ns).p50 / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="operators; all without")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = []
    print(f"Load of this computer: {os.getloadavg()[0]:.1f}")
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
