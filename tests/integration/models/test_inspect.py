"""What `inspect` says of a model, checked by closed forms, and the canonical model behind it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from deployx_edge.errors import UsageError
from deployx_edge.model import InputRequest
from deployx_edge.runtime import RUNTIMES
from deployx_edge.sources.onnx.canonical import canonical
from deployx_edge.sources.onnx.file import read_onnx
from deployx_edge.workflows.convert.inspect import inspect_model
from tests.integration.models.onnx_models import (
    constant,
    lacking_in_ncnn,
    model,
    save,
    small_cnn,
    weights,
)
from tests.runtimes import missing

COMMAND = Path(sys.executable).with_name("deployx-edge")


def test_parameters_and_multiply_accumulates_by_hand(tmp_path: Path) -> None:
    found = inspect_model(save(small_cnn(), tmp_path / "m.onnx"))
    by_operator = {use.operator: use for use in found.operators}
    pixels, strided = 16 * 16, 8 * 8
    filters = strided_filters(small_cnn())
    assert by_operator["Conv"].macs == (
        pixels * 8 * 3 * 9 + pixels * 8 * 1 * 9 + strided * filters * 8 * 9
    )
    assert by_operator["Gemm"].macs == 6 * filters * 4 * 4
    assert found.macs == by_operator["Conv"].macs + by_operator["Gemm"].macs
    # The batch norm is folded: weights and biases are all that is left.
    assert found.parameters == (
        (8 * 3 * 9 + 8) + (8 * 9 + 8) + (filters * 8 * 9 + filters) + (6 * filters * 16 + 6)
    )
    assert [(tensor.name, tensor.shape) for tensor in found.outputs] == [("scores", (1, 6))]
    left = [use for use in found.operators if not use.rewritten]
    ready = [name for name in RUNTIMES if not missing(name)]
    assert all(use.refused == dict.fromkeys(ready, ()) for use in left)
    assert [use.operator for use in found.operators if use.rewritten] == ["BatchNormalization"]


def strided_filters(made: onnx.ModelProto) -> int:
    return next(int(t.dims[0]) for t in made.graph.initializer if t.name == "w3")


def test_recurrent_and_transposed_layers_are_counted(tmp_path: Path) -> None:
    made = model(
        [
            helper.make_node("ConvTranspose", ["x", "w"], ["t"], strides=[2, 2], name="up"),
            helper.make_node("Reshape", ["t", "shape"], ["s"]),
            helper.make_node("LSTM", ["s", "wx", "wh"], ["y"], hidden_size=4, name="lstm"),
        ],
        {"x": (1, 2, 3, 3)},
        {"y": (18, 1, 1, 4)},
        [
            weights("w", 2, 3, 2, 2),
            constant("shape", np.asarray([18, 1, 6])),
            weights("wx", 1, 16, 6),
            weights("wh", 1, 16, 4),
        ],
    )
    found = inspect_model(save(made, tmp_path / "m.onnx"))
    macs = {use.operator: use.macs for use in found.operators}
    assert macs["ConvTranspose"] == 2 * 3 * 3 * 3 * 2 * 2
    assert macs["LSTM"] == 18 * 16 * (6 + 4)


def test_what_cannot_run_is_named_with_node_and_reason(tmp_path: Path) -> None:
    made = model(
        [
            helper.make_node("Relu", ["x"], ["r"], name="fine"),
            lacking_in_ncnn("r", "h", "odd"),
            helper.make_node("MaxPool", ["r"], ["y"], name="wide", kernel_shape=[2, 2],
                             dilations=[2, 2]),
        ],
        {"x": (1, 3, 8, 8)},
        {"h": (1, 3), "y": (1, 3, 6, 6)},
    )  # fmt: skip
    path = save(made, tmp_path / "m.onnx")
    refused = {use.operator: use.refused["ncnn"] for use in inspect_model(path).operators}
    assert refused["Relu"] == ()
    assert [(node.node, "table" in node.reason) for node in refused["Det"]] == [("odd", True)]
    assert [(node.node, "dilations" in node.reason) for node in refused["MaxPool"]] == [
        ("wide", True)
    ]
    done = subprocess.run(
        [COMMAND, "inspect", path, "--json"], capture_output=True, text=True, check=True
    )
    document = json.loads(done.stdout)
    assert document["kind"] == "inspection"
    rows = {use["operator"]: use for use in document["operators"]}
    assert rows["Det"]["refused"]["ncnn"][0]["node"] == "odd"
    table = subprocess.run([COMMAND, "inspect", path], capture_output=True, text=True, check=True)
    assert "no (1 of 1): odd: " in " ".join(table.stdout.split())


def test_what_cannot_be_inspected(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        inspect_model(tmp_path / "absent.onnx")
    with pytest.raises(UsageError, match="it is a folder and not a file"):
        inspect_model(tmp_path)


def test_shape_arithmetic_is_folded_and_computes_the_same(tmp_path: Path) -> None:
    """Reshape by a shape that is computed from the input's, as exporters write it."""
    made = model(
        [
            helper.make_node("Conv", ["x", "w"], ["c"], pads=[1] * 4, name="conv"),
            helper.make_node("Shape", ["c"], ["shape"]),
            helper.make_node("Gather", ["shape", "two"], ["height"]),
            helper.make_node("Div", ["height", "half"], ["rows"]),
            helper.make_node("Unsqueeze", ["rows", "zero"], ["rows1"]),
            helper.make_node("Concat", ["one", "rows1", "rest"], ["target"], axis=0),
            helper.make_node("Reshape", ["c", "target"], ["y"], name="reshape"),
        ],
        {"x": ("N", 3, "H", 8)},
        {"y": (1, "R", "S")},
        [
            weights("w", 4, 3, 3, 3),
            constant("two", np.asarray(2)),
            constant("half", np.asarray(2)),
            constant("zero", np.asarray([0])),
            constant("one", np.asarray([1])),
            constant("rest", np.asarray([-1])),
        ],
    )
    path = save(made, tmp_path / "m.onnx")
    made_canonical = canonical(read_onnx(path, {"x": InputRequest(shape=(1, 3, 6, 8))}))
    assert {node.op_type for node in made_canonical.model.graph.node} == {"Conv", "Reshape"}
    assert made_canonical.shapes["y"] == (1, 3, 64)
    x = np.random.default_rng(2).standard_normal((1, 3, 6, 8)).astype(np.float32)
    results = [
        onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(
            ["y"], {"x": x}
        )[0]
        for content in (path.read_bytes(), made_canonical.model.SerializeToString())
    ]
    np.testing.assert_allclose(results[0], results[1], rtol=1e-5, atol=1e-6)
    assert made.graph.node[0].name in {n.name for n in made_canonical.model.graph.node}


def test_what_passes_did_is_said(tmp_path: Path) -> None:
    made = model(
        [
            helper.make_node("Div", ["x", "root"], ["d"], name="div"),
            helper.make_node("Erf", ["d"], ["e"], name="erf"),
            helper.make_node("Add", ["e", "one"], ["a"], name="add"),
            helper.make_node("Mul", ["x", "a"], ["m"], name="mul"),
            helper.make_node("Mul", ["m", "half"], ["y"], name="halve"),
        ],
        {"x": (1, 3, 4)},
        {"y": (1, 3, 4)},
        [
            constant("root", np.asarray(2**0.5, dtype=np.float32)),
            constant("one", np.asarray(1, dtype=np.float32)),
            constant("half", np.asarray(0.5, dtype=np.float32)),
        ],
    )
    found = inspect_model(save(made, tmp_path / "gelu.onnx"))
    assert found.passes == {"ncnn": {"gelu": 1}}
    assert [use.operator for use in found.operators if not use.rewritten] == ["Gelu"]
    assert {use.operator for use in found.operators if use.rewritten} == {
        *("Add", "Div", "Erf", "Mul")
    }


def test_operators_of_ours_are_named_with_how_to_get_them(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("TopK", ["x", "count"], ["v", "i"], "top"),
        helper.make_node("grid_sampler", ["image", "grid"], ["s"], "sample", domain="mmdeploy"),
    ]
    inputs = {"x": (1, 9), "image": (1, 2, 5, 7), "grid": (1, 3, 4, 2)}
    made = model(nodes, inputs, {"v": (1, 3), "s": (1, 2, 3, 4)}, [constant("count", [3])])
    made.opset_import.append(helper.make_opsetid("mmdeploy", 1))
    path = save(made, tmp_path / "m.onnx")
    found = inspect_model(path)
    assert found.own["ncnn"] == ("grid_sampler", "top_k")
    assert found.own["onnxruntime"] == ("grid_sampler",)
    done = subprocess.run([COMMAND, "inspect", path], capture_output=True, text=True, check=True)
    told = " ".join(done.stdout.replace("│", "").split())
    assert "operators of ours for ncnn grid_sampler, top_k: a board's build has them after" in told
    assert "'deployx-edge build --target TARGET'" in told


def test_an_operator_that_nobody_has_is_told_with_the_command(tmp_path: Path) -> None:
    node = helper.make_node("RingBlur", ["x"], ["y"], "blur", domain="acme")
    made = model([node], {"x": (1, 3)}, {"y": (1, 3)})
    made.opset_import.append(helper.make_opsetid("acme", 1))
    found = inspect_model(save(made, tmp_path / "m.onnx"))
    for runtime in ("ncnn", "onnxruntime"):
        assert "deployx-edge op new ring_blur --operator acme::RingBlur" in found.refused[runtime]
