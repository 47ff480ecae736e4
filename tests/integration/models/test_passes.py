"""Graph passes: run before and after, in ONNX Runtime, and applied twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from deployx_edge.graph.passes import (
    NCNN_FUSIONS,
    NCNN_PASSES,
    GraphPass,
    drop_attention_guard,
)
from deployx_edge.workflows.convert.bundle import make_bundle
from tests.integration.models.onnx_models import constant, model, save, weights

ALL = (*NCNN_PASSES, *NCNN_FUSIONS)


def test_passes_have_names_of_their_own() -> None:
    assert len({entry.name for entry in ALL}) == len(ALL)


def shapes_of(made: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    return {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in made.graph.input
    }


def run(made: onnx.ModelProto) -> np.ndarray:
    generator = np.random.default_rng(4)
    arrays = {
        name: generator.standard_normal(shape).astype(np.float32)
        for name, shape in shapes_of(made).items()
    }
    session = onnxruntime.InferenceSession(
        made.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    found: np.ndarray = session.run(["y"], arrays)[0]
    return found


@pytest.mark.parametrize("graph_pass", ALL)
def test_passes_leave_other_models_alone(graph_pass: GraphPass) -> None:
    made = model([helper.make_node("Relu", ["x"], ["y"])], {"x": (1, 4)}, {"y": (1, 4)})
    before = made.SerializeToString()
    assert graph_pass(made, shapes_of(made)) == 0
    assert made.SerializeToString() == before


def gated(opset: int, element: type = np.float32) -> onnx.ModelProto:
    """clip(x + 3, 0, 6) / 6"""
    bounds: dict[str, object] = {"min": 0.0, "max": 6.0} if opset < 11 else {}
    names = ["a"] if opset < 11 else ["a", "low", "high"]
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(element))
    # Before opset 7 the axis said with which axis of x this one goes.
    along: dict[str, object] = {"broadcast": 1, "axis": 1} if opset < 7 else {}
    return model(
        [
            helper.make_node("Add", ["x0", "three"], ["a"], name="add", **along),
            helper.make_node("Clip", names, ["c"], name="clip", **bounds),
            helper.make_node("Div", ["c", "six"], ["y"], name="div", **along),
        ],
        {"x0": (1, 4)},
        {"y": (1, 4)},
        [
            constant("three", np.asarray([3], dtype=element)),
            constant("six", np.asarray([6], dtype=element)),
            constant("low", element(0)),
            constant("high", element(6)),
        ],
        opset=opset,
        input_type=kind,
        output_type=kind,
    )


@pytest.mark.parametrize(
    ("made", "changed"),
    [
        (gated(13), 1),
        (gated(9), 1),
        (gated(7), 1),
        # Operands are broadcast by an attribute.
        (gated(6), 0),
        # A quotient of whole numbers is rounded.
        (gated(13, np.int64), 0),
    ],
)
def test_fusions_keep_to_what_they_know(made: onnx.ModelProto, changed: int) -> None:
    shapes = {**shapes_of(made), "a": (1, 4), "c": (1, 4), "y": (1, 4)}
    before = made.SerializeToString()
    assert sum(fusion(made, shapes) for fusion in NCNN_FUSIONS) == changed
    assert changed or made.SerializeToString() == before


def guarded(replacement: float) -> onnx.ModelProto:
    return model(
        [
            helper.make_node("Softmax", ["x0"], ["s"], axis=-1, name="shares"),
            helper.make_node("IsNaN", ["s"], ["n"], name="test"),
            helper.make_node("Where", ["n", "zero", "s"], ["g"], name="guard"),
            helper.make_node("MatMul", ["g", "w"], ["y"], name="mix"),
        ],
        {"x0": (1, 5, 6)},
        {"y": (1, 5, 4)},
        [weights("w", 6, 4), constant("zero", np.float32(replacement))],
    )


def test_the_guard_behind_a_softmax_is_dropped(tmp_path: Path) -> None:
    made = guarded(0.0)
    expected = run(made)
    assert drop_attention_guard(made, shapes_of(made)) == 1
    assert [node.name for node in made.graph.node] == ["shares", "mix"]
    onnx.checker.check_model(made)
    np.testing.assert_allclose(run(made), expected, rtol=1e-6)
    assert drop_attention_guard(made, shapes_of(made)) == 0
    bundle = make_bundle(save(guarded(0.0), tmp_path / "m.onnx"), tmp_path / "b")
    assert bundle.provenance.verification.status == "passed"


def test_another_where_behind_a_softmax_stays() -> None:
    made = guarded(1.0)
    assert drop_attention_guard(made, shapes_of(made)) == 0
    assert len(made.graph.node) == 4


def test_attention_by_einsum_goes_to_ncnn(tmp_path: Path) -> None:
    made = model(
        [
            helper.make_node("MatMul", ["x", "wq"], ["q"], name="queries"),
            helper.make_node("MatMul", ["x", "wk"], ["k"], name="keys"),
            helper.make_node("Einsum", ["q", "k"], ["s"], equation="bid,bjd->bij", name="scores"),
            helper.make_node("Softmax", ["s"], ["p"], axis=-1, name="shares"),
            helper.make_node("Einsum", ["p", "x"], ["y"], equation="bij,bjd->bid", name="mix"),
        ],
        {"x": (1, 9, 8)},
        {"y": (1, 9, 8)},
        [weights("wq", 8, 8), weights("wk", 8, 8)],
    )
    bundle = make_bundle(save(made, tmp_path / "m.onnx"), tmp_path / "b")
    assert bundle.provenance.verification.status == "passed"
