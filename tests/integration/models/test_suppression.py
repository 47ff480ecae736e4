"""NonMaxSuppression in ncnn: whole detectors where its results are brought to a fixed number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from deployx_edge.bundle import Bundle
from deployx_edge.device import Device
from deployx_edge.errors import ModelError
from deployx_edge.graph.passes import fix_suppressions
from deployx_edge.runtimes.reference import Reference
from deployx_edge.runtimes.runner import open_converted
from deployx_edge.sources.onnx.file import read_onnx
from deployx_edge.workflows.boards.session import open_session
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from deployx_edge.workflows.convert.conversion import read_converted
from tests.integration.models.onnx_models import constant, model, save, weights

IMAGE = {"image": (1, 3, 8, 8)}
_NODES = (
    helper.make_node("Conv", ["image", "wb"], ["features"], name="stem"),
    helper.make_node("Reshape", ["features", "by-box"], ["boxes"], name="boxes"),
    helper.make_node("Conv", ["image", "ws"], ["logits"], name="classes"),
    helper.make_node("Sigmoid", ["logits"], ["likely"]),
    helper.make_node("Reshape", ["likely", "by-class"], ["scores"], name="scores"),
    helper.make_node(
        "NonMaxSuppression", ["boxes", "scores", "most", "overlap", "least"], ["kept"], "nms"
    ),
)
_CONSTANTS = {
    "by-box": [1, 64, 4],
    "by-class": [1, 2, 64],
    "most": [5],
    "begin": [0],
    "one": [1],
    "ten": [10],
    "fifteen": [15],
    "column": [2],
    "last": 2,
    "every": np.arange(12),
    "minus": -np.ones((20, 3), dtype=np.int64),
    "minus-column": -np.ones(20, dtype=np.int64),
    "minus-float": -np.ones((20, 3), dtype=np.float32),
    "zeros": np.zeros((20, 3), dtype=np.int64),
    "image-first": np.asarray([0, 1, 2]),
    "overlap": np.asarray([0.4], dtype=np.float32),
    "least": np.asarray([0.62], dtype=np.float32),
    "none": np.asarray(0, dtype=np.int64),
    "nothing": np.asarray(0, dtype=np.float32),
}


def detector(
    tail: Sequence[onnx.NodeProto], outputs: dict[str, tuple[int | str, ...]], **changed: object
) -> onnx.ModelProto:
    """Boxes and scores of an image, suppressed; then ``tail``, which reads "kept"."""
    constants = {**_CONSTANTS, **changed}
    tensors = [constant(name, values) for name, values in constants.items()]
    convolutions = [weights("wb", 4, 3, 1, 1, scale=2.0), weights("ws", 2, 3, 1, 1)]
    return model([*_NODES, *tail], IMAGE, outputs, [*convolutions, *tensors])


def to_float(source: str) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], ["y"], to=TensorProto.FLOAT)


def concat(*names: str, axis: int = 0) -> onnx.NodeProto:
    return helper.make_node("Concat", names[:-1], [names[-1]], axis=axis)


def rows(source: str, end: str, made: str) -> onnx.NodeProto:
    return helper.make_node("Slice", [source, "begin", end, "begin"], [made])


COLUMN = helper.make_node("Gather", ["kept", "column"], ["two"], axis=1)
FLAT = helper.make_node("Squeeze", ["two", "one"], ["flat"])
# How models bring results to a number: nodes from "kept" to "y", and the shape of that.
FILLED: dict[str, tuple[list[onnx.NodeProto], tuple[int, ...]]] = {
    "at-once": ([concat("kept", "minus", "all"), rows("all", "ten", "r"), to_float("r")], (10, 3)),
    "floats": (
        [
            helper.make_node("Cast", ["kept"], ["f"], to=TensorProto.FLOAT),
            concat("f", "minus-float", "all"),
            rows("all", "fifteen", "y"),
        ],
        (15, 3),
    ),
    "one-column": (
        [COLUMN, FLAT, concat("flat", "minus-column", "a"), rows("a", "ten", "r"), to_float("r")],
        (10,),
    ),
    "scalar-column": (
        [
            helper.make_node("Gather", ["kept", "last"], ["flat"], axis=-1),
            concat("flat", "minus-column", "a"),
            rows("a", "fifteen", "r"),
            to_float("r"),
        ],
        (15,),
    ),
    "first-cut": (
        [
            rows("kept", "ten", "c"),
            concat("c", "minus", "a"),
            rows("a", "fifteen", "r"),
            to_float("r"),
        ],
        (15, 3),
    ),
    "gathered": (
        [
            concat("kept", "minus", "all"),
            helper.make_node("Gather", ["all", "every"], ["r"]),
            to_float("r"),
        ],
        (12, 3),
    ),
    "several": (
        [
            helper.make_node("Split", ["kept"], ["i", "c", "b"], axis=1),
            concat("b", "minus-first", "first"),
            rows("first", "ten", "r"),
            helper.make_node("Cast", ["r"], ["u"], to=TensorProto.FLOAT),
            concat("c", "minus-first", "second"),
            rows("second", "ten", "s"),
            helper.make_node("Cast", ["s"], ["v"], to=TensorProto.FLOAT),
            concat("u", "v", "y", axis=1),
        ],
        (10, 2),
    ),
}


def compare_here(path: Path, bundle: Bundle) -> list[int]:
    """The bundle gives what the source gives; how many results there were for each image."""
    reference, counts = Reference(read_onnx(path, {})), []
    with open_converted(read_converted(bundle)) as opened:
        for seed in range(6):
            image = np.random.default_rng(seed).standard_normal((1, 3, 8, 8)).astype(np.float32)
            wanted = reference.run({"image": image})["y"]
            found = opened.run({"image": image})["y"]
            np.testing.assert_array_equal(found.reshape(wanted.shape), wanted)
            counts.append(int((wanted.reshape(len(wanted), -1)[:, 0] >= 0).sum()))
    return counts


@pytest.mark.parametrize("name", FILLED)
def test_filled_results_are_right_in_ncnn(tmp_path: Path, name: str) -> None:
    tail, shape = FILLED[name]
    first = -np.ones((20, 1), dtype=np.int64)
    path = save(detector(tail, {"y": shape}, **{"minus-first": first}), tmp_path / "m.onnx")
    bundle = make_bundle(path, tmp_path / "bundle")
    assert "non_max_suppression" in bundle.operators
    assert bundle.provenance.verification.status == "passed"
    counts = compare_here(path, bundle)
    assert len(set(counts)) > 2  # how many there are depends on the image


def whole_detector() -> onnx.ModelProto:
    """With the boxes, scores and classes of what is kept, and zeros where there is nothing."""
    tail = [
        concat("kept", "minus", "all"),
        rows("all", "ten", "r"),
        helper.make_node("Gather", ["r", "last"], ["box"], axis=1),
        helper.make_node("Less", ["box", "none"], ["empty"]),
        helper.make_node("Unsqueeze", ["empty", "one"], ["absent"]),
        helper.make_node("Gather", ["boxes", "box"], ["found"], axis=1),
        helper.make_node("GatherND", ["scores", "triple"], ["score"], name="pick"),
        helper.make_node("Gather", ["r", "image-first"], ["triple"], axis=1),
        helper.make_node("Where", ["absent", "nothing", "found"], ["y"]),
        helper.make_node("Where", ["empty", "nothing", "score"], ["z"]),
    ]
    tail[6], tail[7] = tail[7], tail[6]
    return detector(tail, {"y": (1, 10, 4), "z": (10,)})


def test_a_detector_gives_boxes_and_scores_on_a_board(tmp_path: Path) -> None:
    path = save(whole_detector(), tmp_path / "m.onnx")
    bundle = make_bundle(path, tmp_path / "bundle")
    wanted_operators = {"gather", "gather_nd", "less", "non_max_suppression", "where"}
    assert set(bundle.operators) == wanted_operators
    image = np.random.default_rng(9).standard_normal((1, 3, 8, 8)).astype(np.float32)
    wanted = Reference(read_onnx(path, {})).run({"image": image})
    assert 0 < (wanted["z"] > 0).sum() <= 10
    board = Device(name="here", uri="local:", work_folder=str(tmp_path / "work"))
    with open_session(board) as session, session.loaded(bundle) as loaded:
        found = loaded({"image": image})
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-6)


# What depends on how many results there are, or would see that there are more rows of -1.
OPEN: dict[str, tuple[list[onnx.NodeProto], dict[str, tuple[int | str, ...]]]] = {
    "as-they-are": ([to_float("kept")], {"y": ("n", 3)}),
    "cut-only": ([rows("kept", "ten", "r"), to_float("r")], {"y": ("n", 3)}),
    "zeros": (
        [concat("kept", "zeros", "all"), rows("all", "ten", "r"), to_float("r")],
        {"y": (10, 3)},
    ),
    "in-front": (
        [concat("minus", "kept", "all"), rows("all", "ten", "r"), to_float("r")],
        {"y": (10, 3)},
    ),
    "too-few": (
        [
            rows("minus", "ten", "few"),
            concat("kept", "few", "all"),
            rows("all", "fifteen", "r"),
            to_float("r"),
        ],
        {"y": ("n", 3)},
    ),
    "also-counted": (
        [
            concat("kept", "minus", "all"),
            rows("all", "ten", "r"),
            helper.make_node("Cast", ["r"], ["f"], to=TensorProto.FLOAT),
            helper.make_node("ReduceSum", ["kept"], ["sum"], keepdims=0),
            helper.make_node("Cast", ["sum"], ["s"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["f", "s"], ["y"]),
        ],
        {"y": (10, 3)},
    ),
    "unsigned": (
        [
            helper.make_node("Cast", ["kept"], ["u"], to=TensorProto.UINT8),
            helper.make_node("Cast", ["u"], ["f"], to=TensorProto.FLOAT),
            concat("f", "minus-float", "all"),
            rows("all", "ten", "y"),
        ],
        {"y": (10, 3)},
    ),
}


@pytest.mark.parametrize("name", OPEN)
def test_what_depends_on_their_number_is_refused_with_the_way_out(
    tmp_path: Path, name: str
) -> None:
    tail, outputs = OPEN[name]
    # Where nothing fills them up there must be some, else the source's own output is empty.
    least = np.asarray([0.62 if "minus" in str(tail) else 0.4], dtype=np.float32)
    path = save(detector(tail, outputs, least=least), tmp_path / "m.onnx")
    with pytest.raises(ModelError) as raised:
        make_bundle(path, tmp_path / "bundle")
    text = str(raised.value)
    assert "'NonMaxSuppression' (node 'nms'): how many results it gives depends on values" in text
    assert "--partition with the names of its inputs" in text
    assert "Concat with rows of -1, then Slice" in text


def test_the_pass_finds_nothing_more_to_do() -> None:
    tail, shape = FILLED["one-column"]
    made = detector(tail, {"y": shape})
    shapes: dict[str, tuple[int, ...]] = {"boxes": (1, 64, 4)}
    assert fix_suppressions(made, shapes) == 1
    assert shapes["kept"] == (10, 3)
    onnx.checker.check_model(made)
    assert fix_suppressions(made, shapes) == 0
    assert fix_suppressions(detector(*OPEN["zeros"]), {}) == 0


def test_a_run_that_leaves_nothing_is_compared_too(tmp_path: Path) -> None:
    """ONNX Runtime's own, of which some inputs leave no row at all."""
    tail, shape = FILLED["at-once"]
    path = save(detector(tail, {"y": shape}), tmp_path / "m.onnx")
    bundle = make_bundle(path, tmp_path / "bundle", BundleOptions(runtime="onnxruntime"))
    assert bundle.provenance.verification.status == "passed"
