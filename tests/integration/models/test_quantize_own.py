"""int8 with an operator of our own in the middle: it stays in float, its neighbours do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper, numpy_helper

from deployx_edge.quantization.values import PRESETS
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx.file import read_onnx
from deployx_edge.workflows.convert.bundle import BundleOptions
from deployx_edge.workflows.measure.run import run_bundle_here
from deployx_edge.workflows.quantize.quantize import QuantizeOptions, quantize
from tests.integration.models.onnx_models import model, save, weights


@pytest.fixture(scope="module")
def sampled_network(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two convolutions with mmdeploy::grid_sampler between them, and data for it."""
    folder = tmp_path_factory.mktemp("sampled")
    random = np.random.default_rng(3)
    grid = random.uniform(-1, 1, (1, 9, 11, 2)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["image", "w0"], ["a"], "first", pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("grid_sampler", ["b", "grid"], ["c"], "sample", domain="mmdeploy"),
        helper.make_node("Conv", ["c", "w1"], ["d"], "second"),
        helper.make_node("Relu", ["d"], ["y"], "last"),
    ]
    constants = [weights("w0", 8, 3, 3, 3), weights("w1", 6, 8, 3, 3)]
    constants.append(numpy_helper.from_array(grid, "grid"))
    made = model(nodes, {"image": (1, 3, 13, 15)}, {"y": (1, 6, 7, 9)}, constants, opset=17)
    made.opset_import.append(helper.make_opsetid("mmdeploy", 1))
    data = random.standard_normal((16, 3, 13, 15)).astype(np.float32)
    np.savez(folder / "data.npz", image=data)
    return save(made, folder / "m.onnx"), folder / "data.npz"


@pytest.mark.parametrize("runtime", ["ncnn", "onnxruntime"])
def test_its_neighbours_are_quantized_and_it_is_not(
    sampled_network: tuple[Path, Path], tmp_path: Path, runtime: str
) -> None:
    path, data = sampled_network
    options = QuantizeOptions(
        preset="fast",
        settings=PRESETS["fast"],
        count=16,
        bundle=BundleOptions(runtime=runtime),
    )
    made = quantize(path, data, tmp_path / "int8", options)
    modes = {layer.layer: layer.mode for layer in made.report.layers}
    assert modes == {"first": "calibrated", "second": "calibrated"}
    assert made.bundle.precision == "int8"
    assert made.bundle.operators == ("grid_sampler",)
    image = np.load(data)["image"][:1]
    wanted = Reference(read_onnx(path, {})).run({"image": image})["y"]
    found = run_bundle_here(made.bundle, {"image": image})["y"]
    error = np.linalg.norm(found - wanted) / np.linalg.norm(wanted)
    assert 1e-4 < error < 0.05  # 8 bits of its neighbours, and no more
