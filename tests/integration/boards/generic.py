"""What holds for every runtime on a board: this computer, or one whose accelerator stands in."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from deployx_edge.bundle import Bundle, load_bundle
from deployx_edge.measurement.values import BenchPlan
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx.file import read_onnx
from deployx_edge.workflows.boards.session import Session
from deployx_edge.workflows.measure.bench import bench, profile
from deployx_edge.workflows.measure.run import run
from tests.commands import answer_to
from tests.integration.npu_board import NpuBoard, Wrong
from tests.integration.test_cli import DIGITS

TEST = DIGITS.with_name("digits_test.npz")
CALIBRATION = DIGITS.with_name("digits_calibration.npz")
# Prepared files' names are a key and a hash; what a preparation keeps for the next has others.
_PREPARED_NAME = 129


def of_the_source(given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the digits' source gives, which takes one sample at a time."""
    reference = Reference(read_onnx(DIGITS, {}))
    found = [reference.run({"image": each[None]})["scores"] for each in given["image"]]
    return {"scores": np.concatenate(found)}


def measures_and_computes(
    session: Session,
    bundle: Bundle,
    wanted: Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]],
    precisions: Collection[str] = ("fp32",),
) -> None:
    """The digits, which run in one of these ``precisions`` as far as the runtime tells."""
    image = {"image": np.random.default_rng(0).random((2, 1, 8, 8), dtype=np.float32)}
    found = run(session, bundle, image)
    (result,) = bench(session, bundle, plan=BenchPlan(warmup=1, iterations=5))
    layers = profile(session, bundle, warmup=1, iterations=2).profile.layers
    np.testing.assert_allclose(found["scores"], wanted(image)["scores"], rtol=1e-4, atol=1e-4)
    assert len(result.bench.samples_ns) == 5
    # What a runtime tells of its layers, it tells of those that it ran.
    assert all(len(layer.samples_ns or layer.samples_cycles) == 2 for layer in layers)
    assert {layer.precision for layer in layers} <= {None, "", *precisions}


def prepared_is_made_again(bundle: Bundle, device: str, work: Path) -> None:
    """Where that is asked for, and once for all repeats. ``work`` is the device's empty folder."""

    def made(*words: str) -> list[tuple[str, int]]:
        command = ("bench", bundle.folder, "--device", device, "--iterations", "1", "--no-link")
        answer_to(*command, *words)
        files = (work / "prepared").glob("*.*")
        return [(p.name, p.stat().st_ino) for p in files if len(p.name) == _PREPARED_NAME]

    first = made()
    assert len(first) == 1
    assert made() == first
    # Once for all repeats, in place of what was there.
    again = made("--rebuild", "--repeat", "2")
    assert len(again) == 1
    assert again != first


def goes_wrong_and_on(
    board: NpuBoard,
    bundle: Bundle,
    wrongs: Sequence[Wrong],
    do: Callable[..., str],
    usual: str = "",
) -> None:
    """Each ends a command with its code and its one sentence, and then the digits are computed.

    ``usual`` are the words of a board on which nothing is wrong."""
    few = ("--iterations", "3", "--warmup", "0", "--no-link")
    for wrong in wrongs:
        wrong.check(board, partial(do, "bench", bundle.folder, *few), usual)
    image = {"image": np.load(TEST)["image"][:1]}
    np.savez("image.npz", **image)
    files = ("--input", "image.npz", "--output", "out.npz")
    do("run", bundle.folder, "--device", wrongs[-1].device, *files)
    found = np.load("out.npz")["scores"]
    np.testing.assert_allclose(found, of_the_source(image)["scores"], rtol=1e-4, atol=1e-4)


def int8_goes_the_whole_way(
    runtime: str,
    device: str,
    folder: Path,
    *,
    teach: Callable[[Bundle], None] = lambda bundle: None,
    tells_int8: bool = True,
) -> None:
    """The digits: quantized, pushed, run and evaluated there. ``teach`` tells a board whose library
    stands in what the files compute, where it cannot read that in them."""
    words = ("--calibration", CALIBRATION, "--runtime", runtime, "--count", "32")
    answer_to("quantize", DIGITS, *words, "--preset", "fast", "-o", folder / "int8")
    bundle = load_bundle(folder / "int8")
    assert bundle.precision == "int8"
    teach(bundle)
    to = ("--device", device)
    assert json.loads(answer_to("push", bundle.folder, *to, "--json"))["total_bytes"] > 0
    np.savez(folder / "image.npz", image=np.load(TEST)["image"][:2])
    answer_to("run", bundle.folder, *to, "-i", folder / "image.npz", "--output", folder / "out.npz")
    assert np.load(folder / "out.npz")["scores"].shape == (2, 10)
    samples = ("--dataset", TEST, "--limit", "40", "--reference", DIGITS)
    (there,) = json.loads(answer_to("evaluate", bundle.folder, *samples, *to, "--json"))["places"]
    assert (there["precision"] == "int8") == tells_int8
    # Scales of 32 samples cost something, of few images; what is wrong agrees with one in ten.
    assert there["agreement"] >= 0.9
