"""Files whose own arithmetic is in half floats: they are measured by half floats' limits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from deployx_edge.errors import VerificationError
from deployx_edge.runtimes import ncnn as ncnn_runtime
from deployx_edge.runtimes.converter import ConversionRequest, ConvertedModel
from deployx_edge.runtimes.ncnn.native.converter import NativeConverter
from deployx_edge.sources.onnx.file import OnnxSource, read_onnx
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from tests.integration.models.onnx_models import (
    constant,
    initializer,
    model,
    replace_initializer,
    save,
)


def half_file(depth: int, width: int) -> onnx.ModelProto:
    """Convolutions in half floats between two casts, as the usual converters write them."""
    random = np.random.default_rng(depth)
    nodes = [helper.make_node("Cast", ["x"], ["t0"], name="in", to=TensorProto.FLOAT16)]
    weights = []
    for index in range(depth):
        shape = (width, 3 if index == 0 else width, 3, 3)
        values = random.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
        weights.append(constant(f"w{index}", values.astype(np.float16)))
        bias = random.standard_normal(width) * 0.2
        weights.append(constant(f"b{index}", bias.astype(np.float16)))
        inputs = [f"t{index}", f"w{index}", f"b{index}"]
        nodes.append(helper.make_node("Conv", inputs, [f"c{index}"], f"conv{index}", pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"c{index}"], [f"t{index + 1}"], f"relu{index}"))
    nodes.append(helper.make_node("Cast", [f"t{depth}"], ["y"], "out", to=TensorProto.FLOAT))
    return model(nodes, {"x": (1, 3, 16, 16)}, {"y": (1, width, 16, 16)}, weights)


@pytest.mark.parametrize("runtime", ["ncnn", "onnxruntime"])
@pytest.mark.parametrize(("depth", "width"), [(1, 4), (4, 8), (8, 8)])
def test_a_file_in_half_floats_passes(tmp_path: Path, depth: int, width: int, runtime: str) -> None:
    path = save(half_file(depth, width), tmp_path / "m.onnx")
    bundle = make_bundle(path, tmp_path / "b", BundleOptions(runtime=runtime))
    assert bundle.provenance.verification.status == "passed"


class _Scaled(NativeConverter):
    """Converts with one layer's weights off by 10 %."""

    def convert(self, source: OnnxSource, request: ConversionRequest) -> ConvertedModel:
        made = onnx.load(source.path)
        replace_initializer(made, "w2", (initializer(made, "w2") * 1.1).astype(np.float16))
        return super().convert(read_onnx(save(made, request.folder / "o.onnx"), {}), request)


def test_what_is_wrong_in_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ncnn_runtime, "converters", lambda: {"native": _Scaled})
    with pytest.raises(VerificationError, match="first to differ is 't3' of the layer 'conv2'"):
        make_bundle(save(half_file(4, 8), tmp_path / "m.onnx"), tmp_path / "b")
