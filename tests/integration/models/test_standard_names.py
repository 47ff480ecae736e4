"""MMDeploy's operators that are ONNX's under another name, or a few of ONNX's: what they compute.

The expected values come from PyTorch's own functions, or from the definition.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper

from deployx_edge.errors import ModelError
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx.file import read_onnx
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from tests.integration.models.onnx_models import save

Arrays = dict[str, NDArray[np.float32]]


def single(
    node: onnx.NodeProto,
    shapes: dict[str, tuple[int, ...]],
    opset: int,
    constants: dict[str, NDArray[np.generic]] | None = None,
) -> onnx.ModelProto:
    """A model of that node, between what comes in and goes out as floats."""
    inputs = [helper.make_tensor_value_info(k, TensorProto.FLOAT, v) for k, v in shapes.items()]
    outputs = [helper.make_tensor_value_info(k, TensorProto.FLOAT, None) for k in node.output]
    tensors = [onnx.numpy_helper.from_array(v, k) for k, v in (constants or {}).items()]
    graph = helper.make_graph([node], "one", inputs, outputs, tensors)
    imports = [helper.make_opsetid("", opset)]
    imports += [helper.make_opsetid(node.domain, 1)] if node.domain else []
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def run(made: onnx.ModelProto, folder: Path, seed: int = 0, **given: NDArray[np.float32]) -> Arrays:
    """What it computes, and what came in."""
    path = save(made, folder / "m.onnx")
    source = read_onnx(path, {})
    assert {node.domain for node in source.nodes} == {""}
    random = np.random.default_rng(seed)
    fed = {
        each.name: given.get(each.name, random.standard_normal(each.shape).astype(np.float32))
        for each in source.inputs
    }
    return {**fed, **Reference(source).run(fed)}


def close(found: NDArray[np.float32], wanted: torch.Tensor | NDArray[np.float32]) -> None:
    np.testing.assert_allclose(found, np.asarray(wanted), rtol=1e-5, atol=1e-5)


OPSETS = pytest.mark.parametrize("opset", [11, 17])


@OPSETS
@pytest.mark.parametrize("name", ["TRTInstanceNormalization", "MMCVInstanceNormalization"])
def test_instance_normalization(tmp_path: Path, name: str, opset: int) -> None:
    node = helper.make_node(name, ["x", "s", "b"], ["y"], "n", domain="mmdeploy", epsilon=0.01)
    found = run(single(node, {"x": (2, 3, 5, 7), "s": (3,), "b": (3,)}, opset), tmp_path)
    x, s, b = (torch.from_numpy(found[key]) for key in "xsb")
    close(found["y"], torch.nn.functional.instance_norm(x, weight=s, bias=b, eps=0.01))


@OPSETS
def test_scatter_nd(tmp_path: Path, opset: int) -> None:
    node = helper.make_node("ScatterND", ["x", "i", "u"], ["y"], "n", domain="mmdeploy")
    constants = {"i": np.asarray([[1, 2], [0, 0]])}
    found = run(single(node, {"x": (2, 3, 4), "u": (2, 4)}, opset, constants), tmp_path)
    wanted = found["x"].copy()
    wanted[[1, 0], [2, 0]] = found["u"]
    close(found["y"], wanted)


@OPSETS
@pytest.mark.parametrize("rest", [(), (5,), (3, 2)])
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_gather_top_k(tmp_path: Path, rest: tuple[int, ...], dtype: type, opset: int) -> None:
    node = helper.make_node("GatherTopk", ["x", "i"], ["y"], "n", domain="mmdeploy")
    index = np.asarray([[6, 0, 0], [2, 5, 1]], dtype=dtype)
    found = run(single(node, {"x": (2, 7, *rest)}, opset, {"i": index}), tmp_path)
    close(found["y"], np.stack([found["x"][0][index[0]], found["x"][1][index[1]]]))


@OPSETS
def test_grid_priors(tmp_path: Path, opset: int) -> None:
    node = helper.make_node(
        "GridPriorsTRT", ["a", "h", "w"], ["y"], "n", domain="mmdeploy", stride_h=8, stride_w=4
    )
    found = run(single(node, {"a": (3, 4), "h": (2,), "w": (5,)}, opset), tmp_path)
    wanted = [
        found["a"][a] + np.asarray([4 * x, 8 * y, 4 * x, 8 * y], dtype=np.float32)
        for y in range(2)
        for x in range(5)
        for a in range(3)
    ]
    close(found["y"], np.stack(wanted))


@OPSETS
@pytest.mark.parametrize("mask", [None, (4, 5), (2, 4, 5)])
@pytest.mark.parametrize("outputs", [["y"], ["y", "shares"]])
def test_scaled_dot_product_attention(
    tmp_path: Path, mask: tuple[int, ...] | None, outputs: list[str], opset: int
) -> None:
    shapes: dict[str, tuple[int, ...]] = {"q": (2, 4, 6), "k": (2, 5, 6), "v": (2, 5, 6)}
    shapes |= {"m": mask} if mask else {}
    node = helper.make_node(
        "ScaledDotProductAttentionTRT", list(shapes), outputs, "n", domain="mmdeploy"
    )
    found = run(single(node, shapes, opset), tmp_path)
    q, k, v = (torch.from_numpy(found[key]) for key in "qkv")
    bias = torch.from_numpy(found["m"]) if mask else None
    close(found["y"], torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias))
    if "shares" in outputs:
        scores = q @ k.transpose(1, 2) / 6**0.5 + (0 if bias is None else bias)
        close(found["shares"], scores.softmax(-1))


@OPSETS
@pytest.mark.parametrize("aligned", [0, 1])
@pytest.mark.parametrize("factors", [(2.0, 3.0), (0.5, 1.5)])
def test_bicubic_interpolation(
    tmp_path: Path, factors: tuple[float, float], aligned: int, opset: int
) -> None:
    node = helper.make_node(
        *("TRTBicubicInterpolate", ["x"], ["y"], "n"),
        domain="mmdeploy",
        scale_factor=factors,
        align_corners=aligned,
    )
    found = run(single(node, {"x": (2, 3, 5, 7)}, opset), tmp_path)
    sizes = (int(5 * factors[0]), int(7 * factors[1]))
    close(found["y"], bicubic(found["x"], sizes, aligned))


@OPSETS
@pytest.mark.parametrize("aligned", [0, 1])
@pytest.mark.parametrize("domain", ["Test", "mmdeploy"])
def test_the_tutorials_resize(tmp_path: Path, domain: str, aligned: int, opset: int) -> None:
    node = helper.make_node(
        "DynamicTRTResize", ["x", "like"], ["y"], "n", domain=domain, align_corners=aligned
    )
    found = run(single(node, {"x": (1, 3, 5, 7), "like": (1, 1, 9, 4)}, opset), tmp_path)
    close(found["y"], bicubic(found["x"], (9, 4), aligned))


def bicubic(x: NDArray[np.float32], sizes: tuple[int, int], aligned: int) -> torch.Tensor:
    return torch.nn.functional.interpolate(
        torch.from_numpy(x), size=sizes, mode="bicubic", align_corners=bool(aligned)
    )


@pytest.mark.parametrize(("aligned", "opset"), [(0, 11), (0, 16), (1, 16)])
@pytest.mark.parametrize("domain", ["mmcv", "mmdeploy"])
def test_roi_align_is_onnxs(tmp_path: Path, domain: str, aligned: int, opset: int) -> None:
    node = helper.make_node(
        *("MMCVRoiAlign", ["x", "r"], ["y"], "n"),
        domain=domain,
        output_height=2,
        output_width=3,
        spatial_scale=0.5,
        sampling_ratio=2,
        mode="avg",
        aligned=aligned,
    )
    regions = np.asarray([[1, 0, 0, 8, 6], [0, 3, 2, 3.5, 9]], dtype=np.float32)
    found = run(single(node, {"x": (2, 3, 6, 7), "r": (2, 5)}, opset), tmp_path, r=regions)
    attributes = {"coordinate_transformation_mode": "half_pixel"} if aligned else {}
    if opset >= 16 and not aligned:
        attributes = {"coordinate_transformation_mode": "output_half_pixel"}
    own = helper.make_node(
        *("RoiAlign", ["x", "c", "i"], ["y"], "n"),
        output_height=2,
        output_width=3,
        spatial_scale=0.5,
        sampling_ratio=2,
        **attributes,
    )
    constants = {"i": np.asarray([1, 0])}
    own_model = single(own, {"x": (2, 3, 6, 7), "c": (2, 4)}, opset, constants)
    wanted = run(own_model, tmp_path, x=found["x"], c=regions[:, 1:].copy())
    close(found["y"], wanted["y"])


@pytest.mark.parametrize("runtime", ["ncnn", "openvino", "tensorrt"])
def test_every_runtime_has_them(tmp_path: Path, runtime: str) -> None:
    if runtime == "openvino":
        pytest.importorskip("openvino", reason="OpenVINO is not installed")
    node = helper.make_node(
        "TRTInstanceNormalization", ["x", "s", "b"], ["y"], "n", domain="mmdeploy"
    )
    constants = {
        "s": np.asarray([1, 2, 3], dtype=np.float32),
        "b": np.asarray([0, 1, 2], dtype=np.float32),
    }
    path = save(single(node, {"x": (1, 3, 5, 7)}, 13, constants), tmp_path / "m.onnx")
    bundle = make_bundle(path, tmp_path / "b", BundleOptions(runtime=runtime))
    assert bundle.operators == ()
    assert bundle.provenance.verification.status == "passed"


def test_a_function_of_the_models_own_stays_what_it_is(tmp_path: Path) -> None:
    node = helper.make_node("GatherTopk", ["x"], ["y"], "n", domain="mmdeploy")
    made = single(node, {"x": (2, 3)}, 13)
    body = [helper.make_node("Neg", ["a"], ["b"])]
    imports = [helper.make_opsetid("", 13)]
    made.functions.append(
        helper.make_function("mmdeploy", "GatherTopk", ["a"], ["b"], body, imports)
    )
    found = run(made, tmp_path)
    close(found["y"], -found["x"])


def test_what_is_not_the_same_is_not_written_so(tmp_path: Path) -> None:
    """An old opset has no operators for it."""
    node = helper.make_node("GatherTopk", ["x", "i"], ["y"], "n", domain="mmdeploy")
    made = single(node, {"x": (2, 3)}, 10, {"i": np.asarray([[1], [0]])})
    with pytest.raises(ModelError, match="'GatherTopk'"):
        make_bundle(save(made, tmp_path / "m.onnx"), tmp_path / "b")
