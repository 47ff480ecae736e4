"""Graphs written as expressions, and what every fusion of them is held to."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from deployx_edge.graph.passes import GraphPass
from tests.integration.models.operator_runner import check
from tests.integration.models.operators.case import Case

Operand = str | float | Sequence[int] | np.ndarray
# The opsets that know what fusions make.
NEWEST = onnx.defs.onnx_opset_version()


class Graph:
    """A graph in the making: a call adds a node and gives its output's name."""

    def __init__(self, opset: int = 13, **inputs: tuple[int, ...]) -> None:
        self.opset = opset
        self._inputs = inputs
        self._nodes: list[onnx.NodeProto] = []
        self._tensors: list[onnx.TensorProto] = []

    def __call__(self, operator: str, *operands: Operand, **attributes: Any) -> str:
        name = f"{operator.lower()}_{len(self._nodes)}"
        inputs = [entry if isinstance(entry, str) else self.constant(entry) for entry in operands]
        self._nodes.append(
            helper.make_node(operator, inputs, [f"{name}_out"], name=name, **attributes)
        )
        return f"{name}_out"

    def constant(self, values: float | Sequence[int] | np.ndarray) -> str:
        name = f"constant_{len(self._tensors)}"
        array = np.asarray(values)
        kind = np.int64 if array.dtype.kind == "i" else array.dtype
        array = array.astype(np.float32 if array.dtype.kind == "f" else kind)
        self._tensors.append(numpy_helper.from_array(array, name))
        return name

    def mean(self, tensor: str, axes: Sequence[int] = (-1,), **attributes: Any) -> str:
        if self.opset < 18:
            return self("ReduceMean", tensor, axes=list(axes), **attributes)
        return self("ReduceMean", tensor, list(axes), **attributes)

    def model(self, *outputs: str) -> onnx.ModelProto:
        values = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in self._inputs.items()
        ]
        graph = helper.make_graph(
            self._nodes,
            "graph",
            values,
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            self._tensors,
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        made.ir_version = 8
        inferred = onnx.shape_inference.infer_shapes(made, strict_mode=True)
        del made.graph.output[:]
        made.graph.output.extend(inferred.graph.output)
        return made


def shapes_of(made: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    inferred = onnx.shape_inference.infer_shapes(made, data_prop=True).graph
    return {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in (*inferred.input, *inferred.value_info, *inferred.output)
        if value.type.tensor_type.HasField("shape")
    }


def noise(made: onnx.ModelProto, seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        value.name: (
            3.0
            * random.standard_normal([dim.dim_value for dim in value.type.tensor_type.shape.dim])
        ).astype(np.float32)
        for value in made.graph.input
    }


def run(made: onnx.ModelProto, seed: int) -> list[np.ndarray]:
    """What ONNX Runtime computes of it, without optimizing it."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        made.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    found: list[np.ndarray] = session.run(None, noise(made, seed))
    return found


def reference(made: onnx.ModelProto, seed: int) -> list[np.ndarray]:
    """What ONNX's own evaluator computes; it has all that ONNX Runtime leaves out."""
    found = ReferenceEvaluator(made).run(None, noise(made, seed))
    return [np.asarray(array) for array in found]


Runner = Callable[[onnx.ModelProto, int], list[np.ndarray]]


def operators(made: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in made.graph.node]


def fused(
    graph_pass: GraphPass,
    made: onnx.ModelProto,
    *,
    times: int = 1,
    rtol: float = 2e-5,
    runner: Runner = run,
) -> onnx.ModelProto:
    """The model after the pass, which must change it so often and leave what it computes.

    Its operators may be newer than the model: it runs as one of the newest opset, so that all
    else in it must be the same in both.
    """
    after = copy.deepcopy(made)
    shapes = shapes_of(made)
    assert graph_pass(after, shapes) == times
    ends = {name: node.name for node in made.graph.node for name in node.output}
    for node in after.graph.node:
        for name in node.output:
            assert ends.get(name, node.name) == node.name
    again = after.SerializeToString()
    assert graph_pass(after, shapes) == 0
    assert after.SerializeToString() == again
    newest = copy.deepcopy(after)
    newest.opset_import[0].version = NEWEST
    onnx.checker.check_model(newest)
    for seed in (4, 5):
        for first, second in zip(run(made, seed), runner(newest, seed), strict=True):
            assert first.shape == second.shape
            np.testing.assert_allclose(second, first, rtol=rtol, atol=rtol * abs(first).max())
    return after


def left_alone(graph_pass: GraphPass, made: onnx.ModelProto) -> None:
    """The pass finds nothing in the model, and does not touch it."""
    before = made.SerializeToString()
    shapes = shapes_of(made)
    assert graph_pass(made, shapes) == 0
    assert made.SerializeToString() == before


def right_in_ncnn(made: onnx.ModelProto, folder: Path) -> None:
    """Converted with all passes, it computes in ncnn what ONNX Runtime computes."""
    outcome = check(Case(name="fused", model=made), folder)
    assert outcome.verdict == "right", outcome.detail
