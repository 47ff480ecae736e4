"""Resize and Upsample, along any axes.

Every mode of ONNX is a product with a fixed matrix along each axis. So that matrix decides:
where ncnn's Interp has the same one it is used, else the product itself is written.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deployx_edge.graph.onnx_runtime import open_model
from deployx_edge.model import format_shape
from deployx_edge.runtimes.ncnn.native.axes import natural_dims
from deployx_edge.runtimes.ncnn.native.convolution import as_channels
from deployx_edge.runtimes.ncnn.native.graph import Graph, Node, RefusedError
from deployx_edge.runtimes.ncnn.native.graph_builder import GraphBuilder
from deployx_edge.runtimes.ncnn.native.table import writes

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NEAREST, _LINEAR, _CUBIC = 1, 2, 3
# Interp's settings that may give what a mode of ONNX gives: (resize_type, align_corner).
_SETTINGS = {
    "nearest": ((_NEAREST, 0),),
    "linear": ((_LINEAR, 0), (_LINEAR, 1)),
    "cubic": ((_CUBIC, 0), (_CUBIC, 1)),
}
_SAME = 1e-5  # of coefficients that are at most about 1
_CUBIC_A = -0.75  # interp.cpp
_LONGEST = 4096  # elements of an axis; beyond that the matrix itself costs too much


@writes("Resize", "Upsample")
def resize(builder: GraphBuilder, node: Node) -> None:
    """Interp, or a product with the mode's own matrix along each axis."""
    graph = builder.graph
    shape, result = graph.shape(node.input(0)), graph.shape(node.outputs[0])
    _check(node, shape, result)
    if shape == result:  # ONNX Runtime then looks at no scale either
        builder.view(node.outputs[0], node.input(0))
        return
    matrices = {}
    for axis in range(len(shape)):
        matrix = _matrix(graph, node, axis)
        if matrix is not None:
            matrices[axis] = matrix
    setting = _interp_setting(node, shape, result, matrices)
    if setting is None:
        _by_products(builder, node, matrices)
        return
    kind, align = setting
    height = result[2] if len(shape) == 4 else 1
    params = {0: kind, 3: height, 4: result[-1], 6: align}
    bottom = builder.take(node.input(0), as_channels(shape))
    builder.add("Interp", node, (bottom,), {node.outputs[0]: as_channels(result)}, params)


def _check(node: Node, shape: tuple[int, ...], result: tuple[int, ...]) -> None:
    if len(shape) != len(result):
        raise RefusedError(f"it resizes {format_shape(shape)} to {format_shape(result)}")
    if node.text("coordinate_transformation_mode", "") == "tf_crop_and_resize":
        raise RefusedError("it crops and resizes at once (tf_crop_and_resize)")
    if node.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise RefusedError("it keeps the aspect ratio, so that its axes depend on each other")
    sizes = [max(a, b) for a, b in zip(shape, result, strict=True) if a != b]
    if max(sizes, default=0) > _LONGEST:
        raise RefusedError(f"it resizes an axis of more than {_LONGEST} elements")


def _interp_setting(
    node: Node,
    shape: tuple[int, ...],
    result: tuple[int, ...],
    matrices: dict[int, NDArray[Any]],
) -> tuple[int, int] | None:
    """The setting of Interp that has the same matrices, None where none has."""
    import numpy as np

    if len(shape) not in (3, 4) or min(matrices) < 2:
        return None
    mode = node.text("mode", "nearest")
    full = {
        axis: matrices.get(axis, np.eye(shape[axis], dtype=np.float32))
        for axis in range(2, len(shape))
    }
    for kind, align in _SETTINGS.get(mode, ()):
        theirs = {axis: interp_matrix(shape[axis], result[axis], kind, align) for axis in full}
        if all(np.abs(theirs[axis] - matrix).max() < _SAME for axis, matrix in full.items()):
            return kind, align
    return None


def _by_products(builder: GraphBuilder, node: Node, matrices: Mapping[int, NDArray[Any]]) -> None:
    import numpy as np

    shape = list(builder.graph.shape(node.input(0)))
    blob = builder.take(node.input(0))
    for axis, matrix in matrices.items():
        before, behind = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
        if behind == 1:
            blob = builder.reshape(node, blob, (before, shape[axis]))
            factor = builder.memory(node, np.ascontiguousarray(matrix.T))
            blob = builder.step("MatMul", node, (blob, factor), {0: 0})
        else:
            blob = builder.reshape(node, blob, (before, shape[axis], behind))
            factor = builder.memory(node, np.ascontiguousarray(matrix[np.newaxis]))
            blob = builder.step("MatMul", node, (factor, blob), {0: 0})
        shape[axis] = matrix.shape[0]
    dims = natural_dims(shape)
    builder.view_of_blob(node.outputs[0], builder.reshape(node, blob, dims), dims)


def _matrix(graph: Graph, node: Node, axis: int) -> NDArray[Any] | None:
    """The (outputs, inputs) matrix of the node along one axis, as ONNX Runtime computes it.

    None where the axis stays as it is.
    """
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    shape, result = graph.shape(node.input(0)), graph.shape(node.outputs[0])
    size, wanted = shape[axis], result[axis]
    # One row becomes two, so that something is resized even where the axis keeps its size.
    scales = [1.0, 1.0, 2.0, _scale(graph, node, axis, size, wanted)]
    if size == wanted and scales[-1] == 1.0:
        return None
    attributes = {
        name: value for name, value in node.attributes.items() if name not in ("scales", "axes")
    }
    inputs = {"x": np.eye(size, dtype=np.float32).reshape(1, size, 1, size)}
    constants = [numpy_helper.from_array(np.asarray(scales, dtype=np.float32), "scales")]
    names = ["x", "scales"]
    if node.operator == "Resize" and graph.opset >= 11:
        # Opset 11 knows no input that is left out, only empty ones.
        nothing = numpy_helper.from_array(np.zeros(0, dtype=np.float32), "nothing")
        if _by_sizes(node):
            sizes = np.asarray([1, size, 2, wanted], dtype=np.int64)
            constants = [nothing, numpy_helper.from_array(sizes, "sizes")]
            names = ["x", "nothing", "nothing" if graph.opset < 13 else "", "sizes"]
        else:
            constants.append(nothing)
            names = ["x", "nothing", "scales"]
    elif "scales" in node.attributes:
        attributes["scales"], constants, names = scales, [], ["x"]
    made = helper.make_graph(
        [helper.make_node(node.operator, names, ["y"], **attributes)],
        "resize",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, size, 1, size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        constants,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", graph.opset)])
    model.ir_version = min(model.ir_version, 8)
    try:
        (turned,) = open_model(model.SerializeToString()).run(None, inputs)
    except Exception as error:  # its exceptions share no other base
        raise RefusedError(f"ONNX Runtime does not run it alone: {error}") from error
    if turned.shape != (1, size, 2, wanted):
        raise RefusedError("its sizes along height and width depend on each other")
    matrix: NDArray[Any] = turned[0, :, 0].T
    return matrix


def _by_sizes(node: Node) -> bool:
    return bool(node.input(3))


def _scale(graph: Graph, node: Node, axis: int, size: int, wanted: int) -> float:
    """The scale that the node gives for the axis; from the sizes where it gives none."""
    if _by_sizes(node):
        return wanted / size
    if "scales" in node.attributes:
        values = [float(value) for value in node.attributes["scales"]]
    else:
        name = node.input(1) if node.operator == "Upsample" or graph.opset < 11 else node.input(2)
        values = [float(value) for value in graph.constant(name, "scales").reshape(-1)]
    axes = node.integers("axes")
    if axes is not None:
        values = [
            dict(zip(axes, values, strict=True)).get(place, 1.0)
            for place in range(len(graph.shape(node.input(0))))
        ]
    return values[axis]


def interp_matrix(size: int, wanted: int, kind: int, align: int) -> NDArray[Any]:
    """What ncnn's Interp does along one axis, as an (outputs, inputs) matrix (``interp.cpp``)."""
    import numpy as np

    matrix = np.zeros((wanted, size), dtype=np.float64)
    if size == wanted:
        np.fill_diagonal(matrix, 1.0)
        return matrix
    if kind == _NEAREST:
        ratio = np.float32(size) / np.float32(wanted)
        for place in range(wanted):
            matrix[place, min(int(np.float32(place) * ratio), size - 1)] = 1.0
        return matrix
    taps = (0, 1) if kind == _LINEAR else (-1, 0, 1, 2)
    for place in range(wanted):
        if align:
            centre = place * (size - 1) / (wanted - 1) if wanted > 1 else 0.0
        else:
            centre = (place + 0.5) * size / wanted - 0.5
        first = math.floor(centre)
        share = centre - first
        weights = (1.0 - share, share) if kind == _LINEAR else _cubic(share)
        for tap, weight in zip(taps, weights, strict=True):
            matrix[place, min(max(first + tap, 0), size - 1)] += weight
    return matrix


def _cubic(share: float) -> tuple[float, float, float, float]:
    a = _CUBIC_A

    def near(x: float) -> float:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1

    x = share + 1
    first = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    second, third = near(share), near(1 - share)
    return first, second, third, 1.0 - first - second - third
