"""Operators of our own in models for TensorRT: which nodes are plugins, how they are written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from deployx_edge.bundle import Bundle
from deployx_edge.errors import ModelError
from deployx_edge.graph.device_kernels import run_device_kernels
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx.file import read_onnx
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from tests.integration.models.onnx_models import model, save, weights

SHAPES = {"image": (1, 3, 9, 8)}


def deformable(*, mask: bool = True, operator: str = "DeformConv") -> onnx.ModelProto:
    """A convolution that says where the next one looks, as in Deformable ConvNets v2."""
    nodes = [
        helper.make_node("Conv", ["image", "first"], ["features"], "stem", pads=[1] * 4),
        helper.make_node("Conv", ["features", "moves"], ["offset"], "offset", pads=[1] * 4),
        helper.make_node("Conv", ["features", "shares"], ["logits"], "logits", pads=[1] * 4),
        helper.make_node("Sigmoid", ["logits"], ["mask"], "mask"),
    ]
    if operator == "DeformConv":
        given = ["features", "w", "offset", "", "mask" if mask else ""]
        node = helper.make_node(operator, given, ["moved"], "deform", pads=[1] * 4)
    else:
        given = ["features", "offset", "mask", "w"]
        node = helper.make_node(
            operator, given, ["moved"], "deform", domain="mmdeploy", padding=[1, 1]
        )
    nodes += [node, helper.make_node("Relu", ["moved"], ["y"], "relu")]
    constants = [
        weights("first", 4, 3, 3, 3),
        weights("moves", 18, 4, 3, 3),
        weights("shares", 9, 4, 3, 3),
        weights("w", 5, 4, 3, 3),
    ]
    made = model(nodes, SHAPES, {"y": (1, 5, 9, 8)}, constants, opset=19)
    if operator != "DeformConv":
        made.opset_import.append(helper.make_opsetid("mmdeploy", 1))
    return made


def bundled(made: onnx.ModelProto, folder: Path, precision: str = "fp32") -> Bundle:
    options = BundleOptions(runtime="tensorrt", precision=precision)
    return make_bundle(save(made, folder / "m.onnx"), folder / precision, options)


def test_a_plugin_stands_in_floats_among_bfloat16(tmp_path: Path) -> None:
    """Nodes there are called as their tensors are, as many exporters do."""
    bundle = bundled(deformable(), tmp_path, "bf16")
    assert bundle.operators == ("deform_conv",)
    assert bundle.provenance.verification.status == "passed"


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("operator", ["DeformConv", "MMCVModulatedDeformConv2d"])
def test_a_deformable_network_goes_to_the_board_with_a_plugin(
    tmp_path: Path, operator: str, precision: str
) -> None:
    bundle = bundled(deformable(operator=operator), tmp_path, precision)
    wanted = "deform_conv" if operator == "DeformConv" else "mmcv_modulated_deform_conv2d"
    assert bundle.operators == (wanted,)
    assert bundle.provenance.verification.status == "passed"
    written = onnx.shape_inference.infer_shapes(onnx.load(bundle.path("onnx")))
    (node,) = [node for node in written.graph.node if node.op_type == operator]
    # Its name is the plugin's, its inputs are handed on without gaps, and it computes in floats.
    assert all(node.input)
    halves = [
        value for value in written.graph.value_info if value.name in (*node.input, *node.output)
    ]
    assert all(value.type.tensor_type.elem_type == TensorProto.FLOAT for value in halves)
    values = {"image": np.random.default_rng(1).standard_normal(SHAPES["image"], np.float32)}
    right = Reference(read_onnx(tmp_path / "m.onnx", {})).run(values)["y"]
    found = run_device_kernels(bundle.path("onnx"), bundle.operators, values)["y"]
    limit = 1e-5 if precision == "fp32" else 2e-2
    np.testing.assert_allclose(found, right, rtol=limit, atol=limit * np.abs(right).max())


def test_inputs_left_out_at_the_end_are_no_gaps(tmp_path: Path) -> None:
    bundle = bundled(deformable(mask=False), tmp_path)
    written = onnx.load(bundle.path("onnx"))
    (node,) = [node for node in written.graph.node if node.op_type == "DeformConv"]
    assert len(node.input) == 3


def test_a_gap_that_nothing_can_fill_is_named(tmp_path: Path) -> None:
    made = deformable()
    made.graph.initializer.remove(next(t for t in made.graph.initializer if t.name == "w"))
    made.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, (5, 4, 3, 3)))
    with pytest.raises(ModelError, match="leaves out its input 'B'") as found:
        bundled(made, tmp_path)
    assert "node 'deform'" in found.value.message


def test_what_follows_a_plugin_is_still_shown_to_the_parser(tmp_path: Path) -> None:
    made = deformable()
    made.graph.node.append(helper.make_node("Det", ["square"], ["d"], "after"))
    made.graph.node.insert(5, helper.make_node("Slice", ["y", "from", "to"], ["square"], "cut"))
    for name, sizes in (("from", [0, 0, 0, 0]), ("to", [1, 5, 8, 8])):
        made.graph.initializer.append(helper.make_tensor(name, TensorProto.INT64, [4], sizes))
    made.graph.output.append(helper.make_tensor_value_info("d", TensorProto.FLOAT, (1, 5)))
    with pytest.raises(ModelError, match="operator 'Det'") as found:
        bundled(made, tmp_path)
    assert "DeformConv" not in found.value.message


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("opset", [11, 16, 20])
@pytest.mark.parametrize("mode", range(3))
def test_grid_sampler_is_tensorrts_own(
    tmp_path: Path, mode: int, opset: int, precision: str
) -> None:
    nodes = [
        helper.make_node("Relu", ["image"], ["features"], "first"),
        helper.make_node(
            *("grid_sampler", ["features", "grid"], ["sampled"], "sample"),
            domain="mmdeploy",
            interpolation_mode=mode,
            padding_mode=mode,
            align_corners=mode % 2,
        ),
        helper.make_node("Sigmoid", ["sampled"], ["y"], "last"),
    ]
    shapes = {"image": (1, 2, 5, 6), "grid": (1, 3, 4, 2)}
    made = model(nodes, shapes, {"y": (1, 2, 3, 4)}, opset=opset)
    made.opset_import.append(helper.make_opsetid("mmdeploy", 1))
    bundle = bundled(made, tmp_path, precision)
    assert bundle.operators == ()
    assert bundle.provenance.verification.status == "passed"
    written = onnx.load(bundle.path("onnx"))
    (node,) = [node for node in written.graph.node if node.name == "sample"]
    assert (node.domain, node.op_type) == ("", "GridSample")


def test_a_grid_sampler_of_no_known_mode_is_refused(tmp_path: Path) -> None:
    node = helper.make_node(
        "grid_sampler", ["image", "grid"], ["y"], "s", domain="mmdeploy", interpolation_mode=3
    )
    shapes = {"image": (1, 2, 5, 6), "grid": (1, 3, 4, 2)}
    made = model([node], shapes, {"y": (1, 2, 3, 4)}, opset=16)
    made.opset_import.append(helper.make_opsetid("mmdeploy", 1))
    with pytest.raises(ModelError, match="interpolation_mode 3"):
        bundled(made, tmp_path)
