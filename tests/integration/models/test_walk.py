"""A source that is run part by part gives what it gives as a whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from deployx_edge.comparison import structured_inputs
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx import walk as walk_of
from deployx_edge.sources.onnx.file import OnnxSource, read_onnx
from deployx_edge.sources.onnx.walk import SourceWalk
from tests.integration.models.onnx_models import constant, model, save, small_cnn, weights


def branching() -> onnx.ModelProto:
    """Tensors that are read much later, in a branch too, one of integers, an output in between."""
    then = helper.make_graph(
        [helper.make_node("Mul", ["first", "first"], ["squared"])],
        "then",
        [],
        [helper.make_tensor_value_info("squared", TensorProto.FLOAT, None)],
    )
    other = helper.make_graph(
        [helper.make_node("Identity", ["second"], ["copied"])],
        "other",
        [],
        [helper.make_tensor_value_info("copied", TensorProto.FLOAT, None)],
    )
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["first"], "c", pads=[1] * 4),
        helper.make_node("Relu", ["first"], ["second"], "r"),
        helper.make_node("Shape", ["second"], ["sizes"], "s"),
        helper.make_node("ReduceMean", ["second"], ["mean"], "m", keepdims=0),
        helper.make_node("Greater", ["mean", "limit"], ["large"], "g"),
        helper.make_node("If", ["large"], ["way"], "i", then_branch=then, else_branch=other),
        helper.make_node("Reshape", ["way", "sizes"], ["again"], "a"),
        helper.make_node("Add", ["again", "first"], ["y"], "p"),
    ]
    return model(
        nodes,
        {"x": (1, 3, 16, 16)},
        {"y": (1, 4, 16, 16), "second": (1, 4, 16, 16)},
        [weights("w", 4, 3, 3, 3), constant("limit", np.float32(0.2))],
    )


def inputs_of(source: OnnxSource) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    return {each.name: random.random(each.shape, dtype=np.float32) for each in source.inputs}


@pytest.mark.parametrize("made", [small_cnn, branching], ids=["network", "branches"])
@pytest.mark.parametrize("most_bytes", [1, 5000, 2**26])
def test_parts_give_what_the_whole_gives(tmp_path: Path, made: object, most_bytes: int) -> None:
    assert callable(made)
    source = read_onnx(save(made(), tmp_path / "m.onnx"), {})
    arrays = inputs_of(source)
    walk = SourceWalk(source, most_bytes=most_bytes)
    portions = list(walk.tensors(arrays))
    assert (len(portions) > 1) == (most_bytes < 2**26)
    seen = {name: array for portion in portions for name, array in portion.items()}
    assert list(seen) == list(walk.names)
    wanted = Reference(source, tensors=walk.names).run(arrays)
    for name, array in wanted.items():
        assert np.array_equal(seen[name], array), name
    outputs = Reference(source).run(arrays)
    assert list(walk.run(arrays)) == list(outputs)
    for name, array in walk.run(arrays).items():
        assert np.array_equal(array, outputs[name])


def test_outputs_outlive_the_runs_behind_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the memory of one run serves the next."""
    monkeypatch.setattr(walk_of, "GIANT_BYTES", 0)
    source = read_onnx(save(small_cnn(), tmp_path / "m.onnx"), {})
    first, second = structured_inputs(source.inputs)[:2]
    opened, plain = SourceWalk(source, most_bytes=1), Reference(source)
    found = [opened.run(arrays) for arrays in (first, second, first)]
    for arrays, given in zip((first, second, first), found, strict=True):
        for name, wanted in plain.run(arrays).items():
            np.testing.assert_allclose(given[name], wanted, rtol=1e-5, atol=1e-6)


def test_bytes_are_those_of_all_tensors(tmp_path: Path) -> None:
    source = read_onnx(save(small_cnn(), tmp_path / "m.onnx"), {})
    walk = SourceWalk(source)
    portions = walk.tensors(inputs_of(source))
    assert walk.tensor_bytes == sum(a.nbytes for part in portions for a in part.values())


@pytest.mark.parametrize("most_bytes", [1, 2**26], ids=["parts", "whole"])
def test_weights_are_held_by_sessions_alone(tmp_path: Path, most_bytes: int) -> None:
    made = small_cnn()
    size = 2**14
    made.graph.initializer.append(weights("large", size))
    made.graph.node.append(helper.make_node("Identity", ["large"], ["copied"]))
    made.graph.output.append(helper.make_tensor_value_info("copied", TensorProto.FLOAT, [size]))
    source = read_onnx(save(made, tmp_path / "m.onnx"), {})
    walk = SourceWalk(source, most_bytes=most_bytes)
    operators = {name: node.op_type for name, node in walk.makers.items()}
    first, second = (walk.run(inputs_of(source)) for _ in range(2))
    assert walk._model.ByteSize() < size
    assert {name: node.op_type for name, node in walk.makers.items()} == operators
    for name in source.output_names:
        np.testing.assert_array_equal(first[name], second[name])
    assert first["copied"].size == size
