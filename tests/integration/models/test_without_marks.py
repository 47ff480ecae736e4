"""Taking marks out of any graph leaves what it computes, and its names."""

from __future__ import annotations

import copy

import numpy as np
import onnx
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from deployx_edge.graph.marks import without_marks
from deployx_edge.model import MARK_DOMAIN, MARK_OPERATOR
from tests.integration.models.onnx_models import model as onnx_model
from tests.integration.models.rewriter_helper import assert_same, mark_node, run_onnx


@st.composite
def graphs_with_marks(draw: st.DrawFn) -> onnx.ModelProto:
    """Nodes in any order on what is there, marks among them; any tensors are outputs."""
    nodes, tensors = [], ["x"]
    for index in range(draw(st.integers(1, 10))):
        source, name = draw(st.sampled_from(tensors)), f"t{index}"
        kind = draw(st.sampled_from(["Relu", "Tanh", "Add", "Mark", "Mark"]))
        if kind == "Mark":
            nodes.append(mark_node(source, name, f"m[{index}]:input/t"))
        else:
            other = [draw(st.sampled_from(tensors))] if kind == "Add" else []
            nodes.append(helper.make_node(kind, [source, *other], [name]))
        tensors.append(name)
    outputs = draw(st.lists(st.sampled_from(tensors[1:]), min_size=1, unique=True))
    made = onnx_model(nodes, {"x": (1, 3)}, dict.fromkeys(outputs, (1, 3)))
    made.opset_import.append(helper.make_opsetid(MARK_DOMAIN, 1))
    return made


@given(graphs_with_marks())
def test_without_marks_any_graph_computes_the_same(model: onnx.ModelProto) -> None:
    as_identities = copy.deepcopy(model)
    for node in as_identities.graph.node:
        if node.op_type == MARK_OPERATOR:
            node.op_type, node.domain = "Identity", ""
            del node.attribute[:]
    bare = without_marks(model)
    assert not any(node.domain == MARK_DOMAIN for node in bare.graph.node)
    assert [v.name for v in bare.graph.output] == [v.name for v in model.graph.output]
    onnx.checker.check_model(bare, full_check=True)
    x = torch.tensor([[-1.0, 0.5, 2.0]])
    for found, wanted in zip(run_onnx(bare, [x]), run_onnx(as_identities, [x]), strict=True):
        np.testing.assert_array_equal(found, wanted)
    # An Identity stays only where a name has to: between an input or output and an output.
    outer = {value.name for value in (*model.graph.input, *model.graph.output)}
    for node in bare.graph.node:
        assert node.op_type != "Identity" or {*node.input, *node.output} <= outer


def test_marks_within_branches_are_taken_out_too() -> None:
    def branch(operator: str, name: str) -> onnx.GraphProto:
        value = helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 4])
        nodes = [
            helper.make_node(operator, ["b"], [f"{name}_made"]),
            mark_node(f"{name}_made", name, "inner[0]:output/y"),
        ]
        return helper.make_graph(nodes, name, [], [value])

    choice = helper.make_node(
        "If", ["test"], ["y"], then_branch=branch("Relu", "one"), else_branch=branch("Tanh", "two")
    )
    model = onnx_model(
        [
            mark_node("x", "b", "m[0]:input/x"),
            helper.make_node("ReduceMax", ["x"], ["top"], keepdims=0),
            helper.make_node("Cast", ["top"], ["test"], to=onnx.TensorProto.BOOL),
            choice,
        ],
        {"x": (1, 4)},
        {"y": (1, 4)},
    )
    model.opset_import.append(helper.make_opsetid(MARK_DOMAIN, 1))
    bare = without_marks(model)
    assert [entry.domain for entry in bare.opset_import] == [""]
    x = torch.tensor([[-1.0, 0.5, 2.0, 3.0]])
    assert_same(run_onnx(bare, [x]), torch.relu(x))
