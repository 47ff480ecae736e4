"""The examples from PyTorch to an emulated board: each gives what its network gives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
DEVICE = "virtual:linux-arm64"
DETECTOR = ("examples.detector.model:detector", "image:1x3x128x128", "detector")
SEGMENTER = ("examples.segmenter.model:segmenter", "image:1x3x96x96", "segmenter")


def deployx(*words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "deployx_edge", *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert done.returncode == code, done.stderr
    return done


def torch_outputs(name: str) -> dict[str, np.ndarray]:
    """What the trained network gives for its example's test images."""
    import torch

    from examples.detector.model import detector
    from examples.segmenter.model import segmenter

    network = {"detector": detector, "segmenter": segmenter}[name]()
    folder = ROOT / "examples" / name
    network.load_state_dict(torch.load(folder / f"{name}.pt", weights_only=True))
    network.eval()
    with np.load(folder / "shapes_test.npz") as file, torch.no_grad():
        given = network(torch.from_numpy(file["image"]))
    if hasattr(given, "_asdict"):
        return {key: value.numpy() for key, value in given._asdict().items()}
    return {"output": given.numpy()}


@pytest.mark.parametrize(("factory", "shape", "name"), [DETECTOR, SEGMENTER])
def test_from_pytorch_to_an_emulated_board(
    tmp_path: Path, factory: str, shape: str, name: str
) -> None:
    folder = ROOT / "examples" / name
    deployx(
        *("convert", factory, "--checkpoint", folder / f"{name}.pt", "--input", shape),
        *("--samples", folder / "shapes_test.npz", "-o", tmp_path / name),
    )
    deployx(
        *("run", tmp_path / name, "-i", folder / "shapes_test.npz", "-d", DEVICE),
        *("--output", tmp_path / "out.npz"),
    )
    wanted = torch_outputs(name)
    with np.load(tmp_path / "out.npz") as found:
        assert sorted(found.files) == sorted(wanted)
        for key, array in wanted.items():
            scale = float(np.abs(array).max())
            np.testing.assert_allclose(found[key], array, rtol=0, atol=1e-4 * scale)


def test_the_detector_with_its_post_processing_on_the_host_or_the_board(tmp_path: Path) -> None:
    """Operators of our own do it whole in ncnn; or what is behind the boxes is left to the host."""
    folder = ROOT / "examples" / "detector"
    model = (
        *("examples.detector.model:detector_with_nms", "--checkpoint"),
        *(folder / "detector.pt",),
    )
    shape = "image:1x3x128x128"
    deployx("convert", *model, "--input", shape, "-o", tmp_path / "whole")
    deployx(
        *("convert", *model, "--input", shape, "--partition", "postprocess:input"),
        *("-o", tmp_path / "parts"),
    )
    images = folder / "shapes_test.npz"
    deployx("run", *model, "-i", shape, "-i", images, "--output", tmp_path / "source.npz")
    with np.load(tmp_path / "source.npz") as arrays:
        wanted = arrays["detections"]
    kept = wanted[..., 4] > 0
    assert kept.sum() >= 4  # something was seen in each image
    for name in ("parts", "whole"):
        words = ("run", tmp_path / name, "-i", images, "-d", DEVICE)
        deployx(*words, "--output", tmp_path / f"{name}.npz")
        with np.load(tmp_path / f"{name}.npz") as arrays:
            found = arrays["detections"]
        assert found.shape == wanted.shape == (4, 50, 6)
        np.testing.assert_allclose(found[kept], wanted[kept], rtol=0, atol=1e-2)


def test_compare_with_the_bundle_on_a_board(tmp_path: Path) -> None:
    digits = ROOT / "examples" / "digits" / "digits_cnn.onnx"
    deployx("convert", digits, "-o", tmp_path / "digits")
    words = ("compare", digits, tmp_path / "digits", "-d", f"{DEVICE}?cpu=cortex-a76", "--json")
    exact = json.loads(deployx(*words).stdout)
    half = json.loads(deployx(*words, "--precision", "fp16").stdout)
    assert [row["output"] for row in exact["layers"]][-1] == "scores"
    for first, second in zip(exact["layers"], half["layers"], strict=True):
        assert first["relative_error"] < 1e-5
        assert 1e-5 < second["relative_error"] < 2e-2
    assert (exact["precision"], half["precision"]) == ("fp32", "fp16")


def test_values_beyond_half_floats_stay_right_on_a_board(tmp_path: Path) -> None:
    model = "tests.integration.models.torch_models:wide"
    deployx("convert", model, "--input", "image:1x3x8x8", "-o", tmp_path / "wide")
    for cpu in ("cortex-a53", "cortex-a76"):
        deployx(
            *("compare", model, tmp_path / "wide", "-d", f"{DEVICE}?cpu={cpu}"),
            *("--precision", "fp16", "--plot", tmp_path / f"{cpu}.svg"),
        )
        assert "rms error" in (tmp_path / f"{cpu}.svg").read_text()
