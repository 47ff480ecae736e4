"""What ``convert.py --architectures`` does: the matrix of architectures by us and by pnnx."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from conversions import ITERATIONS, ROOT, Conversion, convert, output_tensors, samples

from deployx_edge.comparison import structured_inputs
from deployx_edge.errors import DeployxError
from deployx_edge.model import parse_inputs
from deployx_edge.runtimes.ncnn.files import read_param
from deployx_edge.runtimes.reference import Reference
from deployx_edge.runtimes.verification import verify
from deployx_edge.sources.onnx.file import read_onnx
from deployx_edge.workflows.convert.models import TorchOptions, open_source_model

sys.path.insert(0, str(ROOT))

_WORST = 10
_NANOSECONDS = 1e9  # of runs in one round of one model, as far as ITERATIONS allows it


def measure_architectures(
    count: int, rounds: int, threads: int, worker: Path, scratch: Path
) -> list[dict[str, Any]]:
    """One row an architecture; where pnnx failed it holds why, and no ratio."""
    from tests.integration.models.architecture_table import PAGE, read_page

    said = read_page(PAGE.read_text(encoding="utf-8"))
    names = [name for name, (_, verdict) in said.items() if verdict == "right"]
    chosen = names[:: max(len(names) // count, 1)][:count] if count else names
    os.environ["HF_HUB_OFFLINE"] = "1"
    rows = []
    for name in chosen:
        folder = scratch / name
        rows.append(_measured(name, rounds, threads, worker, folder))
        _print_row(rows[-1])
        shutil.rmtree(folder)
    _print_summary(rows)
    return rows


def _measured(name: str, rounds: int, threads: int, worker: Path, folder: Path) -> dict[str, Any]:
    path = _exported(name, "auto", folder / "auto")
    ours = convert("native", path, output_tensors(path), folder / "native")
    try:
        theirs = _right_one_of_pnnx(name, path, folder)
    except DeployxError as error:
        return {"architecture": name, "pnnx_failed": error.message}
    probe = min(samples(worker, ours.model, threads, 3))
    runs = int(min(max(_NANOSECONDS / probe, 5), ITERATIONS))
    # The fastest of a round: what else the computer does only ever adds to a run.
    pairs = [
        [min(samples(worker, made.model, threads, runs)) for made in (ours, theirs)]
        for _ in range(rounds)
    ]
    return {
        "architecture": name,
        "threads": threads,
        "rounds": rounds,
        "milliseconds": median(pair[0] for pair in pairs) / 1e6,
        "latency_ratio": median(mine / other for mine, other in pairs),
        "seconds_ratio": ours.seconds / theirs.seconds,
        "peak_ratio": ours.peak_bytes / theirs.peak_bytes,
        "more_layers": _difference(ours, theirs),
    }


def _exported(name: str, exporter: str, folder: Path) -> Path:
    """The architecture as ONNX, by a process of its own: torch is not what is measured."""
    folder.mkdir(parents=True)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_export, (name, exporter, folder))


def _export(name: str, exporter: str, folder: Path) -> Path:
    from tests.integration.models.architecture_runner import FACTORY
    from tests.integration.models.architectures import find_architecture

    arguments = json.dumps({"name": name})
    options = TorchOptions(factory_arguments=arguments, exporter=exporter)
    inputs = parse_inputs(find_architecture(name).inputs)
    os.chdir(ROOT)  # from where the factory is imported
    with open_source_model(Path(FACTORY), options, inputs) as model:
        return Path(shutil.copy(model.path, folder / f"{name}.onnx"))


def _right_one_of_pnnx(name: str, path: Path, folder: Path) -> Conversion:
    """What pnnx makes of the same file, else of what the older exporter writes; checked."""
    try:
        return _checked(path, folder / "pnnx")
    except DeployxError:
        return _checked(_exported(name, "torchscript", folder / "older"), folder / "pnnx-older")


def _checked(path: Path, folder: Path) -> Conversion:
    made = convert("pnnx", path, output_tensors(path), folder)
    source = read_onnx(path, {})
    inputs = structured_inputs(source.inputs)
    verify(made.model, Reference(source), inputs, accept_unproven=True)
    return made


def _difference(ours: Conversion, theirs: Conversion) -> Mapping[str, int]:
    """By type, how many more layers we write than pnnx does (fewer: below 0)."""
    mine, other = (
        Counter(layer.type for layer in read_param(made.model.path("param")))
        for made in (ours, theirs)
    )
    return {type: mine[type] - other[type] for type in mine | other if mine[type] != other[type]}


def _print_row(row: Mapping[str, Any]) -> None:
    if "pnnx_failed" in row:
        print(f"{row['architecture']:>45}: pnnx: {row['pnnx_failed'][:100]}", flush=True)
        return
    print(
        f"{row['architecture']:>45}: {row['milliseconds']:8.2f} ms | latency / pnnx's "
        f"{row['latency_ratio']:.3f} | time {row['seconds_ratio']:.2f}, memory "
        f"{row['peak_ratio']:.2f}",
        flush=True,
    )


def _print_summary(rows: Sequence[Mapping[str, Any]]) -> None:
    compared = [row for row in rows if "pnnx_failed" not in row]
    print(f"{len(rows)} architectures, of which pnnx gets {len(compared)} right")
    if not compared:
        return
    for key, word in (
        ("latency_ratio", "latency"),
        ("seconds_ratio", "conversion time"),
        ("peak_ratio", "peak memory"),
    ):
        print(f"{word} / pnnx's, median: {median(row[key] for row in compared):.3f}")
    worst = sorted(compared, key=lambda row: -row["latency_ratio"])[:_WORST]
    for row in worst:
        more = ", ".join(f"{type} {count:+d}" for type, count in row["more_layers"].items())
        print(f"  {row['latency_ratio']:.3f} {row['architecture']} ({more})")
