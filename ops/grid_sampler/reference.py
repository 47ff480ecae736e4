"""ONNX's own GridSample of the same modes, by ONNX Runtime."""

from typing import Any

from numpy.typing import NDArray
from onnx import TensorProto, helper

from deployx_edge.graph.onnx_runtime import open_model

Array = NDArray[Any]
_MODES = ("linear", "nearest", "cubic")
_PADDINGS = ("zeros", "border", "reflection")


def reference(
    input: Array, grid: Array, interpolation_mode: int, padding_mode: int, align_corners: int
) -> Array:
    """What GridSample gives for these modes."""
    node = helper.make_node(
        "GridSample",
        ["x", "grid"],
        ["y"],
        mode=_MODES[interpolation_mode],
        padding_mode=_PADDINGS[padding_mode],
        align_corners=align_corners,
    )
    values = {"x": input, "grid": grid}
    graph = helper.make_graph(
        [node],
        "reference",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, v.shape) for n, v in values.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    opset = [helper.make_opsetid("", 20)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9)
    (result,) = open_model(model.SerializeToString()).run(None, values)
    return result
