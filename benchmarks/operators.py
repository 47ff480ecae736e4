"""Operators of our own on ncnn against ONNX Runtime's own kernels, with one thread.

    .venv/bin/python benchmarks/operators.py [NAME …] [--rounds 5] [--json FILE]

Each is a model of one node at a size that networks have; where ONNX Runtime has no such kernel, it
runs the same by standard operators. A round times both runtimes on this
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


def _indices(size: int, *shape: int) -> Fed:
    return Fed(values=_RANDOM.integers(0, size, shape))


_CORNERS = _RANDOM.uniform(0, 600, (1, 8400, 2))
_SIZES = _RANDOM.uniform(10, 100, (1, 8400, 2))
_BOXES = np.concatenate([_CORNERS, _CORNERS + _SIZES], axis=-1).astype(np.float32)
# As the decoder of a detection transformer has it.
_LEVELS = ((40, 40), (20, 20), (10, 10), (5, 5))
_QUERIES, _HEADS, _WIDTH, _POINTS = 300, 8, 32, 4


def _shares(*shape: int) -> Fed:
    return Fed(values=_RANDOM.random(shape).astype(np.float32))


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
    "gather": (Case(name="300 rows of 8400x4", inputs=((8400, 4), _indices(8400, 300))),),
    "gather_nd": (
        Case(
            name="300 of 80x8400",
            inputs=(
                (80, 8400),
                Fed(values=np.stack([_indices(80, 300).values, _indices(8400, 300).values], -1)),
            ),
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
    "multi_scale_deformable_attention": (
        Case(
            name="300 queries, 4 levels",
            inputs=(
                (1, sum(h * w for h, w in _LEVELS), _HEADS, _WIDTH),
                np.asarray(_LEVELS),
                np.cumsum([0, *(h * w for h, w in _LEVELS[:-1])]),
                _shares(1, _QUERIES, _HEADS, len(_LEVELS), _POINTS, 2),
                _shares(1, _QUERIES, _HEADS, len(_LEVELS), _POINTS),
            ),
            attributes={"im2col_step": 64},
        ),
    ),
    "non_max_suppression": (
        Case(
            name="8400 boxes, 4 classes",
            inputs=(
                Fed(values=_BOXES),
                Fed(values=_RANDOM.random((1, 4, 8400)).astype(np.float32)),
                np.asarray([100]),
                np.asarray([0.5], dtype=np.float32),
                np.asarray([0.7], dtype=np.float32),
            ),
            filled=(400, 3),
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
    "scatter_elements": (
        Case(
            name="300 of 8400x4",
            inputs=((1, 8400, 4), Fed(values=_RANDOM.integers(0, 8400, (1, 300, 4))), (1, 300, 4)),
            attributes={"axis": 1},
        ),
    ),
    "scatter_nd": (
        Case(
            name="300 rows of 8400x4",
            inputs=((8400, 4), _indices(8400, 300, 1), (300, 4)),
        ),
    ),
    "top_k": (
        Case(name="300 of 8400", inputs=((1, 8400), np.asarray([300], dtype=np.int64))),
        Case(name="5 of 80, 8400 times", inputs=((1, 8400, 80), np.asarray([5], dtype=np.int64))),
    ),
}


def composed_attention() -> onnx.ModelProto:
    """The multi-scale attention of ``CASES`` by standard operators: a GridSample a level."""
    heads, levels, queries, points = _HEADS, len(_LEVELS), _QUERIES, _POINTS
    places = sum(h * w for h, w in _LEVELS)
    constants: dict[str, np.ndarray] = {
        "two": np.float32(2),
        "one": np.float32(1),
        "points": np.asarray([3]),
        "last": np.asarray([2]),
        "values-rows": np.asarray([heads, _WIDTH, places]),
        "places-rows": np.asarray([queries, heads, levels, points, 2]),
        "shares-rows": np.asarray([queries, heads, levels, points]),
        "level-shares": np.asarray([heads, 1, queries, points]),
        "whole": np.asarray([1, queries, heads * _WIDTH]),
    }
    node = onnx.helper.make_node
    nodes = [
        node("Transpose", ["value"], ["turned"], perm=[0, 2, 3, 1]),
        node("Reshape", ["turned", "values-rows"], ["rows"]),
        node("Mul", ["at", "two"], ["doubled"]),
        node("Sub", ["doubled", "one"], ["centred"]),
        node("Reshape", ["centred", "places-rows"], ["by-query"]),
        node("Transpose", ["by-query"], ["grids"], perm=[1, 2, 0, 3, 4]),
        node("Reshape", ["shares", "shares-rows"], ["shares-by-query"]),
        node("Transpose", ["shares-by-query"], ["weights"], perm=[1, 2, 0, 3]),
    ]
    begin = 0
    for level, (height, width) in enumerate(_LEVELS):
        end = begin + height * width
        constants |= {f"begin{level}": np.asarray([begin]), f"end{level}": np.asarray([end])}
        constants |= {f"at{level}": np.asarray(level)}
        constants |= {f"image{level}": np.asarray([heads, _WIDTH, height, width])}
        nodes += [
            node("Slice", ["rows", f"begin{level}", f"end{level}", "last"], [f"part{level}"]),
            node("Reshape", [f"part{level}", f"image{level}"], [f"map{level}"]),
            node("Gather", ["grids", f"at{level}"], [f"grid{level}"], axis=1),
            node("GridSample", [f"map{level}", f"grid{level}"], [f"found{level}"]),
            node("Gather", ["weights", f"at{level}"], [f"share{level}"], axis=1),
            node("Reshape", [f"share{level}", "level-shares"], [f"weight{level}"]),
            node("Mul", [f"found{level}", f"weight{level}"], [f"weighed{level}"]),
        ]
        begin = end
    nodes += [
        node("Sum", [f"weighed{level}" for level in range(levels)], ["all"]),
        node("ReduceSum", ["all", "points"], ["sums"], keepdims=0),
        node("Transpose", ["sums"], ["answers"], perm=[2, 0, 1]),
        node("Reshape", ["answers", "whole"], ["y"]),
    ]
    value = onnx.helper.make_tensor_value_info
    inputs = {
        "value": (1, places, heads, _WIDTH),
        "at": (1, queries, heads, levels, points, 2),
        "shares": (1, queries, heads, levels, points),
    }
    graph = onnx.helper.make_graph(
        nodes,
        "attention",
        [value(name, onnx.TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [value("y", onnx.TensorProto.FLOAT, (1, queries, heads * _WIDTH))],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 16)], ir_version=9
    )


# What ONNX Runtime has no kernel of its own for, by standard operators.
COMPOSED = {"multi_scale_deformable_attention": composed_attention}


def measure(session: Session, name: str, case: Case, rounds: int, folder: Path) -> dict[str, Any]:
    """Milliseconds of both, and the ratio."""
    ours, _ = build_cases(operator_named(name), [case])
    models = {"ncnn": ours, "onnxruntime": COMPOSED[name]() if name in COMPOSED else ours}
    bundles = []
    for runtime, model in models.items():
        path = folder / f"{runtime}.onnx"
        onnx.save(model, path)
        bundles.append(make_bundle(path, options=BundleOptions(runtime=runtime, verify=False)))
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
