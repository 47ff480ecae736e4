"""A processor with half floats, emulated: sums that overflow there are foreseen, or seen."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from tests.integration.models.onnx_models import constant, model, save
from tests.integration.test_examples import deployx

BOARD = "virtual:linux-arm64?cpu=cortex-a76"
CHANNELS = 256
HALVES = ("--precision", "fp16", "--threads", "1")


def cancelling(path: Path, factor: float) -> Path:
    """x times ``factor``, then a sum that goes up to infinity in half floats and back to little."""
    signs = np.repeat([1.0, -1.0], CHANNELS // 2).astype(np.float32)
    kernel = np.tile(signs.reshape(1, -1, 1, 1), (8, 1, 1, 1))
    kernel *= 1 + 0.1 * np.arange(8, dtype=np.float32).reshape(8, 1, 1, 1)
    nodes = [
        helper.make_node("Mul", ["x", "factor"], ["scaled"], name="scale"),
        helper.make_node("Conv", ["scaled", "kernel"], ["sums"], name="conv"),
        helper.make_node("GlobalAveragePool", ["sums"], ["mean"], name="pool"),
        helper.make_node("Flatten", ["mean"], ["y"], name="flat"),
    ]
    constants = [constant("factor", np.float32(factor)), constant("kernel", kernel)]
    made = model(nodes, {"x": (1, CHANNELS, 8, 8)}, {"y": (1, 8)}, constants)
    return save(made, path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model as bundles, and an input that it overflows on."""
    path = tmp_path_factory.mktemp("halves")
    source = cancelling(path / "plain.onnx", 1.0)
    noise = np.random.default_rng(0).standard_normal((1, CHANNELS, 8, 8))
    np.savez(path / "x.npz", x=(800 + 8 * noise).astype(np.float32))
    deployx("convert", source, "-o", path / "unforeseen")
    foreseen = deployx("convert", source, "--samples", path / "x.npz", "-o", path / "foreseen")
    assert "what 'conv' adds up inside may reach" in foreseen.stderr
    deployx("convert", source, "--keep-float", "conv", "-o", path / "asked")
    # pnnx's files are not looked through.
    large = cancelling(path / "large.onnx", 1600.0)
    deployx("convert", large, "--converter", "pnnx", "-o", path / "large")
    return path


@pytest.mark.parametrize(("bundle", "code"), [("unforeseen", 14), ("foreseen", 0), ("asked", 0)])
def test_what_overflows_is_right_where_it_was_foreseen_and_an_error_elsewhere(
    folder: Path, tmp_path: Path, bundle: str, code: int
) -> None:
    words = ("-i", folder / "x.npz", "-d", BOARD, *HALVES, "--output", tmp_path / "y.npz")
    done = deployx("run", folder / bundle, *words, code=code)
    deployx("run", folder / "plain.onnx", "-i", folder / "x.npz", "--output", tmp_path / "w.npz")
    with np.load(tmp_path / "y.npz") as found, np.load(tmp_path / "w.npz") as wanted:
        y, w = found["y"], wanted["y"]
    if code:
        assert not np.isfinite(y).any()
        assert "8 of 8 values are NaN or infinite" in done.stdout
        assert "8 of 8 values of 'y' are NaN or infinite" in done.stderr
        assert "--keep-float" in done.stderr
    else:
        # The input itself is rounded to half floats.
        np.testing.assert_allclose(y, w, rtol=0, atol=0.04 * np.abs(w).max())


def test_each_command_that_uses_a_board_tells_of_infinity(folder: Path, tmp_path: Path) -> None:
    large = folder / "large"
    report = json.loads(
        deployx(
            *("bench", large, "-d", BOARD, *HALVES, "--iterations", "2", "--warmup", "0"),
            *("--output", tmp_path / "bench.json", "--json"),
            code=14,
        ).stdout
    )
    (result,) = report["results"]
    assert "8 of 8 values" in " ".join(result["warnings"])
    profiled = deployx(
        *("profile", large, "-d", BOARD, *HALVES, "--iterations", "1", "--warmup", "0"), code=14
    )
    assert "8 of 8 values" in profiled.stderr
    source = folder / "large.onnx"
    compared = deployx("compare", source, large, "-d", BOARD, *HALVES, code=14)
    assert "NaN or infinite" in compared.stderr
    x = np.random.default_rng(1).random((3, CHANNELS, 8, 8), dtype=np.float32)
    np.savez(tmp_path / "data.npz", x=x, labels=np.zeros(3, dtype=np.int64))
    evaluated = deployx(
        *("evaluate", large, "--dataset", tmp_path / "data.npz", "-d", BOARD),
        *("--precision", "fp16", "--metric", "top1", "--reference", source),
        code=14,
    )
    assert "the outputs of 3 samples hold NaN or infinity" in evaluated.stderr
    deployx("bench", large, "-d", BOARD, "--iterations", "2", "--warmup", "0", "--threads", "1")
