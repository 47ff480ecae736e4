"""OpenVINO's converter and wheel, as far as no wheel is needed for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from deployx_edge.runtimes.openvino.converter import KEPT_FLOAT
from deployx_edge.runtimes.openvino.rewriting import rewrite
from deployx_edge.runtimes.openvino.wheel import plain_reason
from tests.integration.models.onnx_models import model, weights

ROOT = Path(__file__).parents[3]


def run(made: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(
        made.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x})[0]


@pytest.mark.parametrize("operator", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_a_softmax_over_several_axes_is_one_over_rows(operator: str, axis: int) -> None:
    node = helper.make_node(operator, ["x"], ["y"], name="rows", axis=axis)
    made = model([node], {"x": (2, 3, 4)}, {"y": (2, 3, 4)}, [])
    made.opset_import[0].version = 11
    made.ir_version = 7
    x = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    wanted = run(made, x)
    rewrite(made)
    assert [node.op_type for node in made.graph.node] == ["Flatten", operator, "Shape", "Reshape"]
    np.testing.assert_allclose(run(made, x), wanted, rtol=1e-6, atol=1e-6)


def test_a_softmax_over_one_axis_stays() -> None:
    node = helper.make_node("Softmax", ["x"], ["y"], axis=1)
    made = model([node], {"x": (2, 3)}, {"y": (2, 3)}, [])
    made.opset_import[0].version = 13
    before = made.SerializeToString()
    rewrite(made)
    assert made.SerializeToString() == before


def test_inputs_that_are_left_out_at_the_end_are_not_there() -> None:
    node = helper.make_node("ConvTranspose", ["x", "w", ""], ["y"])
    made = model([node], {"x": (1, 2, 4, 4)}, {"y": (1, 3, 6, 6)}, [weights("w", 2, 3, 3, 3)])
    rewrite(made)
    assert list(made.graph.node[0].input) == ["x", "w"]


@pytest.mark.parametrize("zero", [-128, -3, 0, 127])
def test_int8_becomes_uint8_with_the_same_values(zero: int) -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
    ]
    given = [
        numpy_helper.from_array(np.float32(0.1), "scale"),
        numpy_helper.from_array(np.int8(zero), "zero"),
    ]
    made = model(nodes, {"x": (300,)}, {"y": (300,)}, given)
    x = np.linspace(-30, 30, 300, dtype=np.float32)
    wanted = run(made, x)
    rewrite(made)
    assert {node.input[2] for node in made.graph.node} == {"zero/unsigned"}
    np.testing.assert_array_equal(run(made, x), wanted)


def test_int8_that_others_read_stays() -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
        helper.make_node("Cast", ["q"], ["y"], to=onnx.TensorProto.FLOAT),
    ]
    given = [
        numpy_helper.from_array(np.float32(0.1), "scale"),
        numpy_helper.from_array(np.int8(0), "zero"),
    ]
    made = model(nodes, {"x": (3,)}, {"y": (3,)}, given)
    before = made.SerializeToString()
    rewrite(made)
    assert made.SerializeToString() == before


def test_the_worker_reads_the_mark_that_the_converter_writes() -> None:
    source = ROOT / "device_agent" / "workers" / "openvino" / "openvino_load.cpp"
    assert f'"{KEPT_FLOAT}"' in source.read_text(encoding="utf-8")


def test_what_openvino_says_is_one_line_without_its_own_files() -> None:
    text = (
        "Exception from src/inference/src/cpp/core.cpp:105:\n"
        "Check 'a == b' failed at src/model.cpp:3:\n"
        "Tensor name 'nope' was not found.\n\n"
    )
    assert plain_reason(text) == "Tensor name 'nope' was not found"
    assert plain_reason("Exception from here:\n") == "Exception from here"
