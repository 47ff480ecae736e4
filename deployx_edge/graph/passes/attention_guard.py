"""The guard that torch exports behind an attention's softmax.

    x                        x
    │                        │
    Softmax ─┬─ IsNaN        Softmax
             │    │      ⇒   │
             │  Where(·, 0, ·)
             └────┘          y
               │
               y

A row of a softmax is NaN only where all of it was masked with minus infinity. Such a row would
stay NaN without its guard: the comparison with the source sees it where its inputs lead there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


def drop_attention_guard(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Let every reader of a guarded softmax read the softmax."""
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    outputs = {value.name for value in graph.output}
    zeros = _zeros(model)
    replaced = {
        node.output[0]: node.input[2]
        for node in graph.node
        if _is_guard(node, makers, zeros) and node.output[0] not in outputs
    }
    for node in graph.node:
        for index, name in enumerate(node.input):
            while name in replaced:
                name = replaced[name]
            node.input[index] = name
    kept = [node for node in graph.node if not set(node.output) & set(replaced)]
    read = {name for node in kept for name in node.input} | outputs
    kept = [
        node
        for node in kept
        if node.op_type != "IsNaN" or any(name in read for name in node.output)
    ]
    if replaced:
        del graph.node[:]
        graph.node.extend(kept)
    return len(replaced)


def _is_guard(node: onnx.NodeProto, makers: Mapping[str, onnx.NodeProto], zeros: set[str]) -> bool:
    if node.op_type != "Where" or node.input[1] not in zeros:
        return False
    test, softmax = makers.get(node.input[0]), makers.get(node.input[2])
    return (
        test is not None
        and test.op_type == "IsNaN"
        and test.input[0] == node.input[2]
        and softmax is not None
        and softmax.op_type == "Softmax"
    )


def _zeros(model: onnx.ModelProto) -> set[str]:
    """The names of constants that hold a single zero."""
    from onnx import numpy_helper

    values = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        for entry in node.attribute:
            if node.op_type == "Constant" and entry.name == "value":
                values[node.output[0]] = entry.t
    return {
        name
        for name, tensor in values.items()
        if sum(tensor.dims) <= len(tensor.dims) and not numpy_helper.to_array(tensor).any()
    }
