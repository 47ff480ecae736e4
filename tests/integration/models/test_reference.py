"""What everything is measured by is right itself: ONNX Runtime without graph optimisations.

ONNX Runtime 1.31.1 drops a Pad of zeros before a MaxPool once its basic optimisations are on.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from deployx_edge.errors import VerificationError
from deployx_edge.graph.onnx_runtime import open_model
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx.file import read_onnx
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from tests.integration.models.onnx_models import model, save


def padded_pool(mode: str, before: int, behind: int, kernel: int) -> onnx.ModelProto:
    """A pool over what a Pad of zeros, edges or reflections adds."""
    pads = [0, 0, before, before, 0, 0, behind, behind]
    return model(
        [
            helper.make_node("Pad", ["x", "pads", "zero"], ["padded"], mode=mode, name="pad"),
            helper.make_node("MaxPool", ["padded"], ["y"], kernel_shape=[kernel] * 2, name="pool"),
        ],
        {"x": (1, 2, 8, 8)},
        {"y": (1, 2, "height", "width")},
        [
            helper.make_tensor("pads", onnx.TensorProto.INT64, [8], pads),
            helper.make_tensor("zero", onnx.TensorProto.FLOAT, [], [0.0]),
        ],
    )


def pooled(x: np.ndarray, mode: str, before: int, behind: int, kernel: int) -> np.ndarray:
    """The closed form: the largest value of every window of the padded image."""
    padded = np.pad(x, [(0, 0), (0, 0), (before, behind), (before, behind)], mode=mode)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), axis=(2, 3))
    return windows.max(axis=(4, 5))


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect"])
@pytest.mark.parametrize(("before", "behind", "kernel"), [(1, 1, 3), (0, 1, 2), (2, 1, 3)])
def test_a_pad_before_a_pool_stays(
    tmp_path: Path, mode: str, before: int, behind: int, kernel: int
) -> None:
    path = save(padded_pool(mode, before, behind, kernel), tmp_path / "m.onnx")
    x = -1.0 - np.random.default_rng(0).random((1, 2, 8, 8), dtype=np.float32)
    expected = pooled(x, mode, before, behind, kernel)
    found = Reference(read_onnx(path, {})).run({"x": x})["y"]
    assert np.array_equal(found, expected)


def test_onnx_runtime_as_the_runtime_is_held_against_that(tmp_path: Path) -> None:
    """Its own optimisations are under test; where they are wrong, they are blamed."""
    path = save(padded_pool("constant", 1, 1, 3), tmp_path / "m.onnx")
    options = BundleOptions(runtime="onnxruntime")
    x = -np.ones((1, 2, 8, 8), dtype=np.float32)
    optimized = open_model(path.read_bytes(), optimized=True).run(["y"], {"x": x})[0]
    if np.array_equal(optimized, pooled(x, "constant", 1, 1, 3)):
        make_bundle(path, tmp_path / "b", options)
        return
    with pytest.raises(VerificationError, match="without its optimisations of the graph"):
        make_bundle(path, tmp_path / "b", options)


def test_a_conversion_is_not_blamed_for_it(tmp_path: Path) -> None:
    path = save(padded_pool("constant", 1, 1, 3), tmp_path / "m.onnx")
    bundle = make_bundle(path, tmp_path / "b")
    assert bundle.provenance.verification.status == "passed"


def test_what_a_kernel_warns_of_is_not_for_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    """ONNX Runtime's RoiAlign warns of its largest values whenever a model has one."""
    node = helper.make_node("RoiAlign", ["x", "rois", "images"], ["y"], mode="max")
    made = model(
        [node],
        {"x": (1, 1, 4, 4)},
        {"y": (1, 1, 1, 1)},
        [
            helper.make_tensor("rois", onnx.TensorProto.FLOAT, [1, 4], [0.0, 0.0, 3.0, 3.0]),
            helper.make_tensor("images", onnx.TensorProto.INT64, [1], [0]),
        ],
        opset=16,
    )
    open_model(made.SerializeToString())
    assert capfd.readouterr() == ("", "")
