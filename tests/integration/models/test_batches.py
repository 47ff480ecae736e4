"""Whether a first axis of one size counts samples, which ncnn runs one by one, or is an axis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from deployx_edge.workflows.convert.bundle import make_bundle
from tests.integration.models.onnx_models import constant, model, save, small_cnn

_OWN = np.random.default_rng(5).standard_normal((4, 6)).astype(np.float32)
node = helper.make_node


def rows(nodes: list[onnx.NodeProto]) -> onnx.ModelProto:
    """Of four rows of six, each of which comes out in its place; "c" is a constant of that shape,
    "s" are sizes of parts."""
    constants = [constant("c", _OWN), constant("s", [1, 2, 1])]
    return model(nodes, {"x": (4, 6)}, {"y": (4, 6)}, constants, opset=15)


def einsum(equation: str, *shape: int) -> onnx.ModelProto:
    return model([node("Einsum", ["x"], ["y"], equation=equation)], {"x": shape}, {"y": (2, 3)})


NO_BATCHES = {
    "each-sees-the-others": rows(
        [node("ReduceMean", ["x"], ["m"], axes=[0], keepdims=1), node("Sub", ["x", "m"], ["y"])]
    ),
    "each-has-its-own": rows([node("Add", ["x", "c"], ["y"])]),
    "the-middle-ones-see-each-other": rows(
        [
            node("Split", ["x", "s"], ["first", "middle", "last"], axis=0),
            node("ReduceMax", ["middle"], ["most"], axes=[0], keepdims=1),
            node("Add", ["middle", "most"], ["sums"]),
            node("Concat", ["first", "sums", "last"], ["y"], axis=0),
        ]
    ),
    "their-number-counts": rows(
        [
            node("Shape", ["x"], ["size"], end=1),
            node("Cast", ["size"], ["factor"], to=1),
            node("Mul", ["x", "factor"], ["y"]),
        ]
    ),
    **{
        f"diagonal-{equation[:4]}": einsum(equation, *shape)
        for equation, shape in (
            ("abab->ab", (2, 3, 2, 3)),
            ("aabb->ab", (2, 2, 3, 3)),
            ("abba->ab", (2, 3, 3, 2)),
        )
    },
}


def test_a_batch_of_independent_samples_runs_one_by_one(tmp_path: Path) -> None:
    path = save(small_cnn(batch=4), tmp_path / "m.onnx")
    bundle = make_bundle(path, tmp_path / "b")
    (image,), (scores,) = bundle.inputs, bundle.outputs
    assert (image.shape[0], image.batch_axis) == (4, 0)
    assert (scores.shape[0], scores.batch_axis) == (4, 0)
    assert bundle.provenance.verification.status == "passed"


@pytest.mark.parametrize("name", NO_BATCHES)
def test_what_counts_no_samples_runs_as_a_whole(tmp_path: Path, name: str) -> None:
    bundle = make_bundle(save(NO_BATCHES[name], tmp_path / "m.onnx"), tmp_path / "b")
    assert bundle.inputs[0].batch_axis is None
    assert bundle.provenance.verification.status == "passed"
