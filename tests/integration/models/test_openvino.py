"""OpenVINO on this computer: what it leaves behind, what stays fp32, and a computer without it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from tests.integration.models.onnx_models import model, save
from tests.integration.models.test_runtimes import wide_model

ROOT = Path(__file__).parents[3]
DIGITS = ROOT / "examples" / "digits" / "digits_cnn.onnx"


def deployx(folder: Path, packages: Path | None, *words: str) -> subprocess.CompletedProcess[str]:
    """A command with a home folder of its own; ``packages`` are the only ones that it has."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    path = os.pathsep.join(map(str, filter(None, (ROOT, packages))))
    kept = {k: v for k, v in os.environ.items() if not k.startswith("XDG_")}
    own = {"HOME": str(home), "PYTHONPATH": path, "DEPLOYX_EDGE_CACHE": str(folder / "cache")}
    without_site = ("-S",) if packages else ()
    return subprocess.run(
        [sys.executable, *without_site, "-m", "deployx_edge", *words],
        cwd=folder,
        env={**kept, **own},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All packages that are installed here but OpenVINO's."""
    folder = tmp_path_factory.mktemp("packages")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith("openvino"):
            (folder / entry.name).symlink_to(entry)
    return folder


def test_a_conversion_leaves_nothing_in_the_home_folder(tmp_path: Path) -> None:
    """The wheel, imported as it is, keeps an id there and sends it to its makers."""
    words = ("convert", str(DIGITS), "--runtime", "openvino", "-o", "made")
    done = deployx(tmp_path, None, *words)
    assert done.returncode == 0, done.stderr
    assert [path for path in (tmp_path / "home").rglob("*") if path.is_file()] == []


def test_without_its_package_the_way_to_get_it_is_named(tmp_path: Path, packages: Path) -> None:
    words = ("convert", str(DIGITS), "-o", "made", "--runtime")
    done = deployx(tmp_path, packages, *words, "openvino")
    assert done.returncode == 4, done.stderr
    said = " ".join(done.stderr.split())
    assert "the Python package openvino, which is not installed" in said
    assert "pip install 'deployx-edge[openvino]'" in said
    # Whoever has nothing to do with it needs nothing of it.
    done = deployx(tmp_path, packages, *words, "onnxruntime")
    assert done.returncode == 0, done.stderr
    done = deployx(tmp_path, packages, "inspect", str(DIGITS))
    assert done.returncode == 0, done.stderr
    assert "ncnn" in done.stdout
    assert "openvino" not in done.stdout


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_what_half_floats_cannot_hold_is_marked_for_the_worker(
    tmp_path: Path, precision: str
) -> None:
    """It has one precision for a whole model, which a board may be asked for with either file."""
    options = BundleOptions(runtime="openvino", precision=precision)
    bundle = make_bundle(wide_model(tmp_path / "wide.onnx"), tmp_path / "b", options)
    (note,) = bundle.provenance.notes
    assert "stay fp32 where half floats are used: grow, middle;" in note
    made = onnx.load(bundle.path("onnx"))
    assert [(e.key, e.value) for e in made.metadata_props] == [
        ("deployx.kept_float", "grow, middle")
    ]
    small = make_bundle(wide_model(tmp_path / "m.onnx", factor=3.0), tmp_path / "s", options)
    assert not onnx.load(small.path("onnx")).metadata_props


@pytest.mark.parametrize("activation", ["Identity", "Relu", "Sigmoid"])
def test_int8_behind_a_concat_keeps_its_scale(tmp_path: Path, activation: str) -> None:
    """It gave whole numbers, which are within what int8 may be off by in networks."""
    nodes = [
        helper.make_node("Concat", ["a", "b"], ["joined"], axis=1),
        helper.make_node(activation, ["joined"], ["x"]),
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "w_scale", "w_zero"], ["kernel"], axis=0),
        helper.make_node("Conv", ["d", "kernel"], ["y"], "conv"),
    ]
    random = np.random.default_rng(0)
    given = {
        "scale": np.float32(0.0088),
        "zero": np.int8(0),
        "w": random.integers(-127, 128, (4, 8, 1, 1), dtype=np.int8),
        "w_scale": np.full(4, 0.01, dtype=np.float32),
        "w_zero": np.zeros(4, dtype=np.int8),
    }
    shape = (1, 4, 6, 6)
    constants = [numpy_helper.from_array(np.array(array), name) for name, array in given.items()]
    made = model(nodes, {"a": shape, "b": shape}, {"y": shape}, constants)
    options = BundleOptions(runtime="openvino")
    bundle = make_bundle(save(made, tmp_path / "m.onnx"), tmp_path / "b", options)
    (check,) = bundle.provenance.verification.outputs
    assert check.relative_error < 1e-3
