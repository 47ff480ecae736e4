"""Small ONNX models with seeded random weights, and what can go wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Shape = Sequence[int | str]


def weights(name: str, *shape: int, scale: float = 0.3, seed: int = 0) -> onnx.TensorProto:
    values = np.random.default_rng([seed, *name.encode()]).standard_normal(shape) * scale
    return numpy_helper.from_array(values.astype(np.float32), name)


def constant(name: str, values: object) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values), name)


def lacking_in_ncnn(source: str, made: str, name: str) -> onnx.NodeProto:
    """A node of an operator that ONNX Runtime has and ncnn does not: it drops the last two axes,
    which are of one size."""
    return helper.make_node("Det", [source], [made], name=name)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, Shape],
    outputs: dict[str, Shape],
    initializers: Sequence[onnx.TensorProto] = (),
    *,
    opset: int = 13,
    ir_version: int = 8,
    input_type: int = TensorProto.FLOAT,
    output_type: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(n, input_type, list(s)) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, output_type, list(s)) for n, s in outputs.items()],
        list(initializers),
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    made.ir_version = ir_version
    return made


def save(made: onnx.ModelProto, path: Path) -> Path:
    onnx.save(made, path)
    return path


def small_cnn(
    *, batch: int | str = 1, last_bias: float = 0.1, scores_gain: float = 1.0, tail: str = ""
) -> onnx.ModelProto:
    """image (N, 3, 16, 16): conv, batch norm, relu, depthwise, pool, linear → scores (N, 6).

    ``last_bias`` is the size of the last layer's bias, ``scores_gain`` of its weights,
    ``tail`` an operator after it.
    """
    scores = "linear" if tail else "scores"
    nodes = [
        helper.make_node("Conv", ["image", "w1", "b1"], ["c1"], name="conv1", pads=[1] * 4),
        helper.make_node(
            "BatchNormalization", ["c1", "gamma", "beta", "mean", "var"], ["n1"], name="norm1"
        ),
        helper.make_node("Relu", ["n1"], ["r1"], name="relu1"),
        helper.make_node(
            "Conv", ["r1", "w2", "b2"], ["c2"], name="depthwise", pads=[1] * 4, group=8
        ),
        helper.make_node("Relu", ["c2"], ["r2"], name="relu2"),
        helper.make_node(
            "Conv", ["r2", "w3", "b3"], ["c3"], name="strided", pads=[1] * 4, strides=[2, 2]
        ),
        helper.make_node("Relu", ["c3"], ["r3"], name="relu3"),
        helper.make_node(
            "MaxPool", ["r3"], ["p3"], name="pool", kernel_shape=[2, 2], strides=[2, 2]
        ),
        helper.make_node("Flatten", ["p3"], ["flat"], name="flatten"),
        helper.make_node("Gemm", ["flat", "w4", "b4"], [scores], name="linear", transB=1),
    ]
    if tail:
        nodes.append(helper.make_node(tail, [scores], ["scores"], name="tail"))
    variance = numpy_helper.from_array(np.linspace(0.5, 2.0, 8, dtype=np.float32), "var")
    return model(
        nodes,
        {"image": (batch, 3, 16, 16)},
        {"scores": (batch, 6)},
        [
            weights("w1", 8, 3, 3, 3),
            weights("b1", 8),
            weights("gamma", 8, scale=1.0),
            weights("beta", 8),
            weights("mean", 8),
            variance,
            weights("w2", 8, 1, 3, 3),
            weights("b2", 8),
            weights("w3", 8, 8, 3, 3, scale=0.15),
            weights("b3", 8),
            weights("w4", 6, 128, scale=0.1 * scores_gain),
            weights("b4", 6, scale=last_bias),
        ],
    )


def initializer(made: onnx.ModelProto, name: str) -> np.ndarray:
    return numpy_helper.to_array(next(t for t in made.graph.initializer if t.name == name))


def replace_initializer(made: onnx.ModelProto, name: str, values: np.ndarray) -> None:
    tensor = next(t for t in made.graph.initializer if t.name == name)
    dense = np.ascontiguousarray(values, dtype=np.float32)
    tensor.CopyFrom(numpy_helper.from_array(dense, name))


def node(made: onnx.ModelProto, name: str) -> onnx.NodeProto:
    return next(n for n in made.graph.node if n.name == name)


def bypass(made: onnx.ModelProto, name: str) -> None:
    """Take a node out: its first input goes where its output went."""
    gone = node(made, name)
    for other in made.graph.node:
        for index, word in enumerate(other.input):
            if word == gone.output[0]:
                other.input[index] = gone.input[0]
    made.graph.node.remove(gone)
