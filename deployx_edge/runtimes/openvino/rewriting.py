"""What OpenVINO reads otherwise than ONNX means it, written so that it does not.

Each was seen with OpenVINO 2026.4.1, and a test converts models with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployx_edge.graph.links import opset_of

if TYPE_CHECKING:
    import onnx

_OVER_ROWS = ("Hardmax", "LogSoftmax", "Softmax")
_ONE_AXIS_SINCE = 13  # the opset


def rewrite(model: onnx.ModelProto) -> None:
    """Change the model in place; what it computes stays."""
    _drop_empty_inputs(model.graph)
    if opset_of(model) < _ONE_AXIS_SINCE:
        _flatten_softmaxes(model.graph)


def _drop_empty_inputs(graph: onnx.GraphProto) -> None:
    """Optional inputs at the end that are named "": it takes them for inputs of unknown rank."""
    for node in graph.node:
        while node.input and not node.input[-1]:
            node.input.pop()


def _flatten_softmaxes(graph: onnx.GraphProto) -> None:
    """Softmax before opset 13 runs over all axes from its own on; it is read as over one.

    x ── Softmax(axis) ── y   ⇒   x ── Flatten(axis) ── Softmax(1) ── Reshape(Shape(x)) ── y
    """
    from onnx import helper

    made = []
    for node in graph.node:
        if node.op_type not in _OVER_ROWS or node.domain:
            made.append(node)
            continue
        axis = next((each.i for each in node.attribute if each.name == "axis"), 1)
        (taken,), (given,) = node.input, node.output
        flat, rows, shape = (f"{given}/{part}" for part in ("flat", "rows", "shape"))
        made += [
            helper.make_node("Flatten", [taken], [flat], name=flat, axis=axis),
            helper.make_node(node.op_type, [flat], [rows], name=node.name, axis=1),
            helper.make_node("Shape", [taken], [shape], name=shape),
            helper.make_node("Reshape", [rows, shape], [given], name=f"{given}/back"),
        ]
    del graph.node[:]
    graph.node.extend(made)
