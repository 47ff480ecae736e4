"""What ``convert.py --real-sizes`` does: whole conversions, comparison included, beside pnnx alone.

Trained models from the wheels that the tests take, at the sizes that they are used at: a detector
at 320 and 640, text recognition at 48x320, a network of 121 layers at 224, and full HD through
nine convolutions. Processor seconds are those of the command and of all that it starts; memory is
the most that they hold at once, as often as it can be looked at. pnnx compares nothing.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_LOOK_SECONDS = 0.01
_HIGH, _WIDE, _CHANNELS, _LAYERS = 1080, 1920, 32, 8


@dataclass(frozen=True, kw_only=True)
class Sized:
    """A model and the shape of its one input."""

    name: str
    path: Path
    input: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Processor seconds and peak memory in bytes of a program and of what it started."""

    seconds: float
    peak_bytes: int


def measure_real_sizes(rounds: int, scratch: Path) -> list[dict[str, Any]]:
    """One row a model: medians over the rounds of both, and of the ratios within a round."""
    rows = []
    for model in _models(scratch):
        pairs = [_pair(model, scratch / f"{model.name}-{index}") for index in range(rounds)]
        row = {
            "model": model.name,
            "seconds": median(ours.seconds for ours, _ in pairs),
            "pnnx_seconds": median(theirs.seconds for _, theirs in pairs),
            "seconds_ratio": median(ours.seconds / theirs.seconds for ours, theirs in pairs),
            "peak_mb": median(ours.peak_bytes for ours, _ in pairs) / 1e6,
            "pnnx_peak_mb": median(theirs.peak_bytes for _, theirs in pairs) / 1e6,
            "peak_ratio": median(ours.peak_bytes / theirs.peak_bytes for ours, theirs in pairs),
        }
        rows.append(row)
        print(
            f"{model.name:>16}: {row['seconds']:.1f} s, {row['peak_mb']:.0f} MB | pnnx "
            f"{row['pnnx_seconds']:.1f} s, {row['pnnx_peak_mb']:.0f} MB | "
            f"{row['seconds_ratio']:.1f}, {row['peak_ratio']:.1f} times",
            flush=True,
        )
    return rows


def _pair(model: Sized, folder: Path) -> tuple[Cost, Cost]:
    for name in ("ours", "pnnx"):
        (folder / name).mkdir(parents=True)
        shutil.copy(model.path, folder / name / "model.onnx")
    sizes = "x".join(map(str, model.shape))
    command = str(Path(sys.executable).with_name("deployx-edge"))
    ours = _cost(
        [command, "convert", "model.onnx", "-o", "b", "--input", f"{model.input}:{sizes}"],
        folder / "ours",
    )
    listed = ",".join(map(str, model.shape))
    theirs = _cost(
        [str(_pnnx()), "model.onnx", f"inputshape=[{listed}]f32", "fp16=0"], folder / "pnnx"
    )
    shutil.rmtree(folder)
    return ours, theirs


def _pnnx() -> Path:
    found = util.find_spec("pnnx")
    if found is None or found.origin is None:
        sys.exit("pnnx is not installed: pip install --no-deps pnnx")
    return Path(found.origin).with_name("pnnx")


def _cost(words: list[str], folder: Path) -> Cost:
    # What was compiled once is not compiled again, as for anyone who uses it.
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = 0
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(words, cwd=folder, env=kept, stdout=log, stderr=subprocess.STDOUT)
        while child.poll() is None:
            peak = max(peak, sum(map(_resident, _tree(child.pid))))
            time.sleep(_LOOK_SECONDS)
    if child.returncode != 0:
        sys.exit((folder / "log").read_text(errors="replace"))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(seconds=used, peak_bytes=peak)


def _tree(process: int) -> Iterator[int]:
    yield process
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:  # it has just ended
            continue
        for child in children:
            # Until it starts its program, a child shares its parent's memory.
            if _command(int(child)) != _command(process):
                yield from _tree(int(child))


def _command(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def _resident(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)


def _models(scratch: Path) -> Iterator[Sized]:
    detector = _packaged("nudenet", "320n.onnx")
    recogniser = _packaged("rapidocr_onnxruntime", "models/ch_PP-OCRv4_rec_infer.onnx")
    yield Sized(name="detector 320", path=detector, input="images", shape=(1, 3, 320, 320))
    yield Sized(name="detector 640", path=detector, input="images", shape=(1, 3, 640, 640))
    yield Sized(name="text 48x320", path=recogniser, input="x", shape=(1, 3, 48, 320))
    yield Sized(name="121 layers", path=_dense(scratch), input="x", shape=(1, 3, 224, 224))
    shape = (1, 3, _HIGH, _WIDE)
    yield Sized(name="full HD", path=_full_hd(scratch), input="x", shape=shape)


def _packaged(package: str, path: str) -> Path:
    found = util.find_spec(package)
    if found is None or found.origin is None:
        sys.exit(f"{package} is not installed: ./scripts/setup --tests")
    return Path(found.origin).parent / path


def _dense(scratch: Path) -> Path:
    """densenet121 with random weights, its batch norms as nodes of their own."""
    import torch
    from pytorchcv.models.densenet import densenet121  # type: ignore[import-untyped]

    torch.manual_seed(0)
    path = scratch / "densenet121.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            densenet121().eval(),
            (torch.randn(1, 3, 224, 224),),
            str(path),
            dynamo=False,
            opset_version=13,
            do_constant_folding=False,
            training=torch.onnx.TrainingMode.PRESERVE,
            input_names=["x"],
            output_names=["y"],
        )
    return path


def _full_hd(scratch: Path) -> Path:
    """Eight convolutions of 32 channels at full HD, and one that makes an image of twice that."""
    random = np.random.default_rng(0)
    nodes, weights, last, channels = [], [], "x", 3
    for index in range(_LAYERS):
        scale = (2 / (9 * channels)) ** 0.5
        values = random.standard_normal((_CHANNELS, channels, 3, 3)) * scale
        weights.append(numpy_helper.from_array(values.astype(np.float32), f"w{index}"))
        inputs = [last, f"w{index}"]
        nodes.append(helper.make_node("Conv", inputs, [f"c{index}"], f"c{index}", pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"c{index}"], [f"r{index}"], f"r{index}"))
        last, channels = f"r{index}", _CHANNELS
    values = random.standard_normal((12, channels, 1, 1)) * 0.2
    weights.append(numpy_helper.from_array(values.astype(np.float32), "last"))
    nodes.append(helper.make_node("Conv", [last, "last"], ["o"], "o"))
    nodes.append(helper.make_node("DepthToSpace", ["o"], ["y"], "y", blocksize=2, mode="CRD"))
    shapes = {"x": (1, 3, _HIGH, _WIDE), "y": (1, 3, 2 * _HIGH, 2 * _WIDE)}
    values_of = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    }
    graph = helper.make_graph(nodes, "full_hd", [values_of["x"]], [values_of["y"]], weights)
    path = scratch / "full_hd.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return path
