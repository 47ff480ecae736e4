"""Which node a part of a layer is, by the name that QNN's provider gave it."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import helper

from deployx_edge.runtimes.converter import ConvertedModel
from deployx_edge.runtimes.qnn.layer_names import qnn_layer_works
from tests.integration.models.onnx_models import model, weights


@pytest.fixture
def converted(tmp_path: Path) -> ConvertedModel:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "conv", pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"], "cut_token_7"),
        helper.make_node("Neg", ["b"], ["y"], "other"),
    ]
    made = model(nodes, {"x": (1, 3, 8, 8)}, {"y": (1, 4, 8, 8)}, [weights("w", 4, 3, 3, 3)])
    onnx.save(made, tmp_path / "m.onnx")
    return ConvertedModel(
        runtime="qnn",
        inputs=(),
        outputs=(),
        files=(("onnx", tmp_path / "m.onnx"),),
        precision="fp32",
    )


def test_a_number_behind_a_node_s_name_is_not_its_own(converted: ConvertedModel) -> None:
    names = ["conv_token_12", "cut_token_7", "Transpose_token_3", "Input", "QNN_0"]
    works = qnn_layer_works(converted, names)
    assert {name: work.node for name, work in works.items()} == {
        "conv_token_12": "conv",
        "cut_token_7": "cut_token_7",
    }
    assert works["conv_token_12"].macs == 4 * 3 * 9 * 64
    assert works["conv_token_12"].type == "Conv"


def test_which_of_several_parts_of_a_node_multiplies_is_not_told(
    converted: ConvertedModel,
) -> None:
    works = qnn_layer_works(converted, ["conv", "conv_token_1", "other"])
    assert {name: work.node for name, work in works.items()} == {
        "conv": "conv",
        "conv_token_1": "conv",
        "other": "other",
    }
    assert (works["conv"].macs, works["conv_token_1"].macs, works["other"].macs) == (None, None, 0)
