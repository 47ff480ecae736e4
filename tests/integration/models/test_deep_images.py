"""Images of a thermal camera through every command that takes images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from deployx_edge.errors import UsageError
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from deployx_edge.workflows.evaluate.evaluate import evaluate
from deployx_edge.workflows.measure.run import run_anywhere

SIDE = 16


@pytest.fixture(name="model")
def tell_warm_halves(tmp_path: Path) -> Path:
    """The means of both halves, left and right: which one is warmer."""
    value, half = helper.make_tensor_value_info, [SIDE, SIDE // 2]
    graph = helper.make_graph(
        [
            helper.make_node("AveragePool", ["image"], ["p"], kernel_shape=half, strides=half),
            helper.make_node("Flatten", ["p"], ["scores"]),
        ],
        "halves",
        [value("image", TensorProto.FLOAT, [1, 1, SIDE, SIDE])],
        [value("scores", TensorProto.FLOAT, [1, 2])],
    )
    path = tmp_path / "model.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path
    )
    return path


def thermal(folder: Path, dtype: str, centre: float, warmer: float) -> Path:
    """Ten images a class, of values around ``centre``, one half warmer; one dead pixel."""
    generator = np.random.default_rng(0)
    for side in (0, 1):
        (folder / str(side)).mkdir(parents=True)
        for index in range(10):
            heat = centre + warmer / 6 * generator.standard_normal((SIDE, SIDE))
            heat[:, 8 * side : 8 * side + 8] += warmer
            heat[0, 0] = 0
            name = f"{index}.png" if dtype == "uint16" else f"{index}.tif"
            Image.fromarray(heat.astype(dtype)).save(folder / str(side) / name)
    return folder


@pytest.mark.parametrize(
    ("dtype", "centre", "warmer", "step"),
    [
        ("uint16", 30000, 3000, "std=255"),
        ("uint16", 2000, 400, "std=255,range=4095"),
        ("int32", 1_000_000, 90_000, "std=255,range=900000/1200000"),
        ("float32", 293.0, 4.0, "std=255,range=273.15/373.15"),
    ],
)
def test_the_warm_half_is_found(
    model: Path, tmp_path: Path, dtype: str, centre: float, warmer: float, step: str
) -> None:
    data = thermal(tmp_path / "d", dtype, centre, warmer)
    bundle = make_bundle(model, tmp_path / "b", BundleOptions(preprocess=(step,)))
    found = evaluate(bundle.folder, data, [], reference=model)
    assert found.reference is not None
    for place in (found.reference, *found.places):
        assert place.figures[0].value == 1.0
    # And the figures themselves, by closed form, from the bundle with ``run``.
    file = next((data / "0").iterdir())
    outputs = run_anywhere(bundle.folder, [str(file)], None).arrays["scores"]
    low, high = bundle.preprocessing[0].range or (0.0, 65535.0)
    heat = np.clip(np.asarray(Image.open(file)).astype(np.float64), low, high)
    wanted = [((heat[:, half] - low) / (high - low)).mean() for half in (slice(8), slice(8, 16))]
    assert outputs[0] == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_without_a_range_every_command_refuses_by_name(
    model: Path, tmp_path: Path, dtype: str
) -> None:
    data = thermal(tmp_path / "d", dtype, 300, 9)
    words = r"black and white"
    bundle = make_bundle(model, tmp_path / "b", BundleOptions(preprocess=("std=255",)))
    with pytest.raises(UsageError, match=words):
        evaluate(bundle.folder, data, [], reference=model)
    with pytest.raises(UsageError, match=words):
        run_anywhere(bundle.folder, [str(data / "0" / "0.tif")], None)
    with pytest.raises(UsageError, match=words):
        make_bundle(
            model, tmp_path / "c", BundleOptions(preprocess=("std=1",), samples=(data / "0",))
        )
