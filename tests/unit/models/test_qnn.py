"""QNN without its package: SoCs, and what is written otherwise for the HTP."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from deployx_edge.errors import UsageError
from deployx_edge.graph.onnx_runtime import open_model
from deployx_edge.runtime import RUNTIMES
from deployx_edge.runtimes.qnn.rewriting import rewrite
from deployx_edge.runtimes.qnn.socs import DEFAULT_SOC, SOCS, find_soc
from deployx_edge.worker_facts import worker_facts

SHAPE = (1, 2, 4, 4)


def quantized(activation: str, numbers: dict[str, np.ndarray]) -> onnx.ModelProto:
    """A convolution whose sums go through an activation before they are quantized."""
    random = np.random.default_rng(1)
    cut = ["sums", "least", "most"] if activation == "Clip" else ["sums"]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"], "xq"),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"], "xd"),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], "wd", axis=0),
        helper.make_node("Conv", ["xd", "wd"], ["sums"], "conv", kernel_shape=[1, 1]),
        helper.make_node(activation, cut, ["cut"], "cut"),
        helper.make_node("QuantizeLinear", ["cut", "s", "z"], ["yq"], "yq"),
        helper.make_node("DequantizeLinear", ["yq", "s", "z"], ["y"], "yd"),
    ]
    constants = {
        "w": random.integers(-127, 128, (2, 2, 1, 1)).astype(np.int8),
        "ws": np.array([0.02, 0.01], dtype=np.float32),
        "wz": np.zeros(2, dtype=np.int8),
        "least": np.float32(-0.3),
        "most": np.float32(0.9),
        **numbers,
    }
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", 1, SHAPE)],
        [helper.make_tensor_value_info("y", 1, SHAPE)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(made)
    return made


@pytest.mark.parametrize("activation", ["Relu", "Clip"])
@pytest.mark.parametrize("zero", [np.uint8(0), np.uint8(77), np.int8(0)])
def test_a_pair_before_what_cuts_values_off_changes_none(activation: str, zero: np.generic) -> None:
    model = quantized(activation, {"s": np.float32(0.011), "z": np.asarray(zero)})
    x = np.random.default_rng(2).standard_normal(SHAPE).astype(np.float32)
    (wanted,) = open_model(model.SerializeToString()).run(["y"], {"x": x})
    rewrite(model)
    onnx.checker.check_model(model)
    after = {
        node.name: [r.op_type for r in model.graph.node if node.output[0] in r.input]
        for node in model.graph.node
    }
    assert after["conv"] == ["QuantizeLinear"]
    (found,) = open_model(model.SerializeToString()).run(["y"], {"x": x})
    assert np.array_equal(found, wanted)
    assert len(np.unique(wanted)) > 4


@pytest.mark.parametrize("moves", ["Flatten", "Transpose", "MaxPool"])
def test_what_only_moves_values_hands_them_on_quantized(moves: str) -> None:
    model = quantized("Relu", {"s": np.float32(0.011), "z": np.uint8(77)})
    model.graph.node[-1].output[0] = "values"
    made = {"kernel_shape": [2, 2]} if moves == "MaxPool" else {}
    model.graph.node.append(helper.make_node(moves, ["values"], ["moved"], "moves", **made))
    model.graph.node.append(helper.make_node("Neg", ["moved"], ["y"], "behind"))
    model.graph.output[0].type.tensor_type.ClearField("shape")
    x = np.random.default_rng(2).standard_normal(SHAPE).astype(np.float32)
    (wanted,) = open_model(model.SerializeToString()).run(["y"], {"x": x})
    rewrite(model)
    makers = {name: node for node in model.graph.node for name in node.output}
    assert makers["moved"].op_type == "DequantizeLinear"
    (found,) = open_model(model.SerializeToString()).run(["y"], {"x": x})
    assert np.array_equal(found, wanted)


def test_what_is_not_quantized_behind_stays_as_it_is() -> None:
    model = quantized("Relu", {"s": np.float32(0.011), "z": np.uint8(3)})
    del model.graph.node[5:]
    model.graph.output[0].name = "cut"
    before = model.SerializeToString()
    rewrite(model)
    assert model.SerializeToString() == before


def test_socs_are_known_by_name_with_what_their_htp_computes() -> None:
    assert (find_soc("sm8550").number, find_soc("sm8550").architecture) == (43, 73)
    assert not find_soc("qcs6490").floats
    assert find_soc(DEFAULT_SOC).floats
    assert RUNTIMES["qnn"].socs[0] == DEFAULT_SOC
    assert set(RUNTIMES["qnn"].socs) == set(SOCS)
    numbers = [soc.number for soc in SOCS.values()]
    assert len(numbers) == len(set(numbers))
    with pytest.raises(UsageError, match=r"no SoC 'sm8555'. Did you mean sm8550") as caught:
        find_soc("sm8555")
    assert "qcs6490" in caught.value.remedy


def test_each_chip_s_libraries_are_those_of_its_htp() -> None:
    facts = worker_facts("qnn")
    architectures = {soc.architecture for soc in SOCS.values()}
    own = {
        number: {f"libQnnHtpV{number}{e}.so" for e in ("Stub", "Skel")} for number in architectures
    }
    every = set().union(*own.values())
    assert every <= set(facts.libraries_on("aarch64"))
    for soc in SOCS.values():
        assert facts.chips.useless_on(soc.name) == every - own[soc.architecture]
