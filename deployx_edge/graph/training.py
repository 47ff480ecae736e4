"""What an export in training mode leaves: each run depends on its batch, or on chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployx_edge.errors import ModelError
from deployx_edge.graph.links import OWN_DOMAINS, opset_of
from deployx_edge.graph.subgraphs import read_nodes

if TYPE_CHECKING:
    import onnx


def refuse_training_mode(model: onnx.ModelProto, name: str) -> None:
    """ModelError where a node that is read normalizes by its batch, or drops values by chance."""
    for node in read_nodes(model):
        if node.domain not in OWN_DOMAINS:
            continue
        what = {"BatchNormalization": _normalizes, "Dropout": _drops}.get(node.op_type)
        if what is not None and what(node, model):
            effect = (
                "takes mean and variance from each batch"
                if node.op_type == "BatchNormalization"
                else "drops other values in each run"
            )
            raise ModelError(
                f"{name} was exported in training mode: '{node.op_type}' (node "
                f"'{node.name or node.output[0]}') {effect}.",
                remedy="Export it again after model.eval(), with the exporter's training mode off.",
            )


def _normalizes(node: onnx.NodeProto, model: onnx.ModelProto) -> bool:
    """By the attribute; before opset 14, by outputs that only training has."""
    if any(entry.name == "training_mode" and entry.i for entry in node.attribute):
        return True
    version = opset_of(model)
    return 7 <= version < 14 and sum(map(bool, node.output)) > 1


def _drops(node: onnx.NodeProto, model: onnx.ModelProto) -> bool:
    """By a constant input, and a share that is not 0."""
    mode = _constant(model, node.input[2]) if len(node.input) > 2 else None
    share = _constant(model, node.input[1]) if len(node.input) > 1 and node.input[1] else 0.5
    return bool(mode) and share != 0.0


def _constant(model: onnx.ModelProto, tensor: str) -> float | None:
    from onnx import numpy_helper

    values = [item for item in model.graph.initializer if item.name == tensor]
    for node in model.graph.node:
        if node.op_type == "Constant" and node.output[0] == tensor:
            values += [entry.t for entry in node.attribute if entry.name == "value"]
    return float(numpy_helper.to_array(values[0]).reshape(-1)[0]) if values else None
