"""Operators of our own that TensorRT has itself under ONNX's name: written so for it alone.

Other runtimes keep the operator of ours, which their workers have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployx_edge.errors import ModelError
from deployx_edge.graph.linked_graph import set_attributes
from deployx_edge.graph.links import attribute, opset_of
from deployx_edge.operator_facts import find_operator

if TYPE_CHECKING:
    import onnx

# By the folder of the operator.
NATIVE = ("grid_sampler",)
_SINCE = 16  # the opset that has GridSample
_RENAMED = 20  # the opset from which on its modes have other names
_MODES = ("bilinear", "nearest", "bicubic")
_NEWER_MODES = ("linear", "nearest", "cubic")
_PADDINGS = ("zeros", "border", "reflection")


def write_natively(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with such nodes as TensorRT has them, in an opset that has them.

    The model itself where it has none; ModelError for one that cannot be brought to that opset.
    """
    found = [node for node in model.graph.node if _folder(node) in NATIVE]
    if not found:
        return model
    if opset_of(model) < _SINCE:
        model = _raised(model, found[0])
    modes = _MODES if opset_of(model) < _RENAMED else _NEWER_MODES
    for node in model.graph.node:
        if _folder(node) in NATIVE:
            _as_grid_sample(node, modes)
    return model


def _folder(node: onnx.NodeProto) -> str:
    facts = find_operator(node.domain, node.op_type)
    return facts.name if facts else ""


def _as_grid_sample(node: onnx.NodeProto, modes: tuple[str, ...]) -> None:
    mode = attribute(node, "interpolation_mode", 0)
    padding = attribute(node, "padding_mode", 0)
    if mode not in range(len(modes)) or padding not in range(len(_PADDINGS)):
        raise ModelError(
            f"Operator '{node.op_type}' (node '{node.name}') has the interpolation_mode {mode} and "
            f"the padding_mode {padding}; each is 0, 1 or 2."
        )
    aligned = attribute(node, "align_corners", 0)
    node.domain, node.op_type = "", "GridSample"
    del node.attribute[:]
    values = {"mode": modes[mode], "padding_mode": _PADDINGS[padding], "align_corners": aligned}
    set_attributes(node, values)


def _raised(model: onnx.ModelProto, node: onnx.NodeProto) -> onnx.ModelProto:
    import onnx.version_converter

    try:
        made: onnx.ModelProto = onnx.version_converter.convert_version(model, _SINCE)
    except Exception as error:  # its errors share no base
        raise ModelError(
            f"Operator '{node.op_type}' (node '{node.name}') is GridSample in TensorRT, which ONNX "
            f"has from opset {_SINCE} on; the model is of opset {opset_of(model)} and is not "
            f"brought to that: {error!s:.200}.",
            remedy=f"Export it again with opset {_SINCE}.",
        ) from error
    return made
