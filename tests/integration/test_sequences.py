"""Bundles that run one after the other are benched, compared and evaluated as one model is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import onnx
import pytest
from onnx import numpy_helper

from deployx_edge import EvaluationOptions, RunOptions, compare, evaluate, find_device
from deployx_edge.bundle import BundleSequence
from deployx_edge.comparison import first_difference
from deployx_edge.errors import UsageError
from deployx_edge.runtime import GENERAL_RUNTIME, RUNTIMES
from deployx_edge.workflows.convert.partition import make_sequence
from tests.integration.test_examples import deployx

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "examples/digits/digits_cnn.onnx"
TEST = ROOT / "examples/digits/digits_test.npz"
CUTS = ("/features/features.5/Relu_output_0", "/features/features.9/MaxPool_output_0")


@pytest.fixture(scope="module")
def sequence(tmp_path_factory: pytest.TempPathFactory) -> BundleSequence:
    """Three parts, of every runtime that there is as far as three go."""
    names = [*list(RUNTIMES)[:2], GENERAL_RUNTIME]
    cuts = [f"{cut}={name}" for cut, name in zip(CUTS, names[1:], strict=True)]
    made = make_sequence(DIGITS, tmp_path_factory.mktemp("digits") / "parts", cuts)
    assert len({bundle.runtime for bundle in made.bundles}) > 1
    return made


def folder_of(sequence: BundleSequence) -> Path:
    return sequence.bundles[0].folder.parent


@pytest.mark.parametrize("device", ["local:", "virtual:linux-arm64"])
def test_each_part_is_benched_and_their_sum_is_told(
    tmp_path: Path, sequence: BundleSequence, device: str
) -> None:
    output = tmp_path / "bench.json"
    done = deployx(
        *("bench", folder_of(sequence), "-d", device, "-n", 5, "--warmup", 1, "--no-link"),
        *("--threads", 1),
        *("--output", output),
    )
    lines = done.stdout.splitlines()
    for part in sequence.parts:
        assert any(part.folder in line for line in lines)
    assert any("sum" in line for line in lines)
    document = json.loads(output.read_text())
    assert [r["model"]["runtime"] for r in document["results"]] == [
        bundle.runtime for bundle in sequence.bundles
    ]
    (told,) = document["sequence"]["sums"]
    p50 = [result["statistics"]["p50"] for result in document["results"]]
    assert told["p50_ns"] == pytest.approx(sum(p50))


def test_parts_are_measured_and_not_compared_with_others(sequence: BundleSequence) -> None:
    done = deployx("bench", folder_of(sequence), "-d", "local:", "--against", DIGITS, code=2)
    assert "measured, and not compared" in done.stderr


@pytest.mark.parametrize("device", [None, "local:"])
def test_what_each_part_gives_is_compared_with_the_source(
    sequence: BundleSequence, device: str | None
) -> None:
    found = compare(DIGITS, folder_of(sequence), device=device)
    assert [layer.layer for layer in found.layers] == [part.folder for part in sequence.parts]
    assert [layer.check.output for layer in found.layers] == [*CUTS, "scores"]
    assert first_difference(found.layers) is None
    assert found.device == device


def test_a_part_that_computes_something_else_is_named(
    tmp_path: Path, sequence: BundleSequence
) -> None:
    shutil.copytree(folder_of(sequence), tmp_path / "parts")
    whole = onnx.load(DIGITS)
    weights = next(t for t in whole.graph.initializer if len(t.dims) == 4)
    values = numpy_helper.to_array(weights) * 3
    weights.CopyFrom(numpy_helper.from_array(values, weights.name))
    onnx.save(whole, tmp_path / "other.onnx")
    found = compare(tmp_path / "other.onnx", tmp_path / "parts")
    first = first_difference(found.layers)
    assert first is not None
    assert first.layer == sequence.parts[0].folder


def test_a_sequence_of_another_model_is_refused(tmp_path: Path, sequence: BundleSequence) -> None:
    whole = onnx.load(DIGITS)
    whole.graph.output[0].name = "other"
    whole.graph.node[-1].output[0] = "other"
    onnx.save(whole, tmp_path / "other.onnx")
    with pytest.raises(UsageError, match="its outputs are scores, the model's other"):
        compare(tmp_path / "other.onnx", folder_of(sequence))


@pytest.mark.parametrize("device", [None, "local:"])
def test_a_sequence_is_as_accurate_as_its_source(
    sequence: BundleSequence, device: str | None
) -> None:
    devices = [] if device is None else [find_device(device).name]
    # Threads of three workers, each waiting for its next loop, would take each other's cores.
    options = EvaluationOptions(run=RunOptions(threads=1), limit=200)
    found = evaluate(folder_of(sequence), TEST, devices, reference=DIGITS, options=options)
    assert found.reference is not None
    (place,) = found.places
    assert found.samples > 100
    assert place.figures[0].value == found.reference.figures[0].value > 0.9
