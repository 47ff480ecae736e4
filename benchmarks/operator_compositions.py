"""What ONNX Runtime has no kernel of its own for, as standard operators that it has.

Inputs have the names that ``build_cases`` gives those of a case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import onnx

from deployx_edge.operator_facts import operator_named
from deployx_edge.workflows.operators.cases import Case, Fed, build_cases

_NODE = onnx.helper.make_node


def compose(name: str, case: Case) -> onnx.ModelProto | None:
    """The operator's case by standard operators; None where ONNX Runtime has a kernel for it."""
    return _COMPOSED[name](case) if name in _COMPOSED else None


def _model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int]],
    constants: Mapping[str, np.ndarray],
) -> onnx.ModelProto:
    """inputs -> y."""
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "composed",
        [value(name, onnx.TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [value("y", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    imports = [onnx.helper.make_opsetid("", 16)]
    return onnx.helper.make_model(graph, opset_imports=imports, ir_version=9)


def _shape_of(operand: object) -> tuple[int, ...]:
    if isinstance(operand, Fed):
        return operand.values.shape
    return operand if isinstance(operand, tuple) else np.asarray(operand).shape


def _attention(case: Case) -> onnx.ModelProto:
    """A GridSample a level."""
    places, heads, width = _shape_of(case.inputs[0])[1:]
    queries, _, levels, points = _shape_of(case.inputs[4])[1:]
    constants: dict[str, np.ndarray] = {
        "two": np.asarray(2, dtype=np.float32),
        "one": np.asarray(1, dtype=np.float32),
        "points": np.asarray([3]),
        "last": np.asarray([2]),
        "values-rows": np.asarray([heads, width, places]),
        "places-rows": np.asarray([queries, heads, levels, points, 2]),
        "shares-rows": np.asarray([queries, heads, levels, points]),
        "level-shares": np.asarray([heads, 1, queries, points]),
        "whole": np.asarray([1, queries, heads * width]),
    }
    nodes = [
        _NODE("Transpose", ["case0_x0"], ["turned"], perm=[0, 2, 3, 1]),
        _NODE("Reshape", ["turned", "values-rows"], ["rows"]),
        _NODE("Mul", ["case0_x3", "two"], ["doubled"]),
        _NODE("Sub", ["doubled", "one"], ["centred"]),
        _NODE("Reshape", ["centred", "places-rows"], ["by-query"]),
        _NODE("Transpose", ["by-query"], ["grids"], perm=[1, 2, 0, 3, 4]),
        _NODE("Reshape", ["case0_x4", "shares-rows"], ["shares-by-query"]),
        _NODE("Transpose", ["shares-by-query"], ["weights"], perm=[1, 2, 0, 3]),
    ]
    begin = 0
    for level, (rows, columns) in enumerate(np.asarray(case.inputs[1]).tolist()):
        end = begin + rows * columns
        constants |= {f"begin{level}": np.asarray([begin]), f"end{level}": np.asarray([end])}
        constants |= {f"at{level}": np.asarray(level)}
        constants |= {f"image{level}": np.asarray([heads, width, rows, columns])}
        nodes += [
            _NODE("Slice", ["rows", f"begin{level}", f"end{level}", "last"], [f"part{level}"]),
            _NODE("Reshape", [f"part{level}", f"image{level}"], [f"map{level}"]),
            _NODE("Gather", ["grids", f"at{level}"], [f"grid{level}"], axis=1),
            _NODE("GridSample", [f"map{level}", f"grid{level}"], [f"found{level}"]),
            _NODE("Gather", ["weights", f"at{level}"], [f"share{level}"], axis=1),
            _NODE("Reshape", [f"share{level}", "level-shares"], [f"weight{level}"]),
            _NODE("Mul", [f"found{level}", f"weight{level}"], [f"weighed{level}"]),
        ]
        begin = end
    nodes += [
        _NODE("Sum", [f"weighed{level}" for level in range(levels)], ["all"]),
        _NODE("ReduceSum", ["all", "points"], ["sums"], keepdims=0),
        _NODE("Transpose", ["sums"], ["answers"], perm=[2, 0, 1]),
        _NODE("Reshape", ["answers", "whole"], ["y"]),
    ]
    shapes = {f"case0_x{place}": _shape_of(case.inputs[place]) for place in (0, 3, 4)}
    # More axes than a runtime takes at a model's borders come in flat, as a case's do.
    shapes["case0_x3"] = (1, int(np.prod(shapes["case0_x3"])))
    return _model(nodes, shapes, constants)


def _rotated_regions(case: Case) -> onnx.ModelProto:
    """One GridSample at all samples of all regions, and their means."""
    size, sampling = int(case.attributes["output_height"]), int(case.attributes["sampling_ratio"])
    count = _shape_of(case.inputs[1])[0]
    _, channels, rows, columns = _shape_of(case.inputs[0])
    steps = (np.arange(size * sampling, dtype=np.float32) + 0.5) / (size * sampling) - 0.5
    by_bin = steps.reshape(size, sampling)
    up = np.broadcast_to(by_bin[:, None, :, None], (size, size, sampling, sampling))
    along = np.broadcast_to(by_bin[None, :, None, :], (size, size, sampling, sampling))
    constants: dict[str, np.ndarray] = {
        "scale": np.asarray(case.attributes["spatial_scale"], dtype=np.float32),
        "up": up.reshape(1, -1).copy(),
        "along": along.reshape(1, -1).copy(),
        # From pixels, whose middles are whole, to -1 … 1.
        "width": np.asarray(2 / columns, dtype=np.float32),
        "height": np.asarray(2 / rows, dtype=np.float32),
        "one": np.asarray(1, dtype=np.float32),
        "last": np.asarray([2]),
        "grid-shape": np.asarray([1, count * size * size, sampling * sampling, 2]),
        "by-region": np.asarray([channels, count, size * size]),
        "whole": np.asarray([count, channels, size, size]),
    }
    nodes = [
        _NODE("Split", ["case0_x1"], ["image", "x", "y-of", "w", "h", "angle"], axis=1),
        *(_NODE("Mul", [each, "scale"], [f"{each}-scaled"]) for each in ("x", "y-of", "w", "h")),
        _NODE("Cos", ["angle"], ["cosine"]),
        _NODE("Sin", ["angle"], ["sine"]),
        _NODE("Mul", ["h-scaled", "up"], ["ups"]),
        _NODE("Mul", ["w-scaled", "along"], ["alongs"]),
        _NODE("Mul", ["ups", "cosine"], ["up-cosine"]),
        _NODE("Mul", ["ups", "sine"], ["up-sine"]),
        _NODE("Mul", ["alongs", "cosine"], ["along-cosine"]),
        _NODE("Mul", ["alongs", "sine"], ["along-sine"]),
        _NODE("Add", ["up-sine", "along-cosine"], ["right"]),
        _NODE("Sub", ["up-cosine", "along-sine"], ["down"]),
    ]
    for centre, moved, length in (
        ("x-scaled", "right", "width"),
        ("y-of-scaled", "down", "height"),
    ):
        nodes += [
            _NODE("Add", [moved, centre], [f"{moved}-at"]),
            _NODE("Mul", [f"{moved}-at", length], [f"{moved}-share"]),
            _NODE("Sub", [f"{moved}-share", "one"], [f"{moved}-place"]),
            _NODE("Unsqueeze", [f"{moved}-place", "last"], [f"{moved}-last"]),
        ]
    nodes += [
        _NODE("Concat", ["right-last", "down-last"], ["pairs"], axis=2),
        _NODE("Reshape", ["pairs", "grid-shape"], ["grid"]),
        _NODE("GridSample", ["case0_x0", "grid"], ["samples"], padding_mode="border"),
        _NODE("ReduceMean", ["samples"], ["means"], axes=[3], keepdims=0),
        _NODE("Reshape", ["means", "by-region"], ["regions"]),
        _NODE("Transpose", ["regions"], ["turned"], perm=[1, 0, 2]),
        _NODE("Reshape", ["turned", "whole"], ["y"]),
    ]
    shapes = {f"case0_x{place}": _shape_of(case.inputs[place]) for place in (0, 1)}
    return _model(nodes, shapes, constants)


def _grid_sample(case: Case) -> onnx.ModelProto:
    return build_cases(operator_named("grid_sample"), [replace(case, operator="")])[0]


def _deform_conv(case: Case) -> onnx.ModelProto:
    """ONNX's own operator, of which the inputs stand in another order."""
    places = (0, 2, 1) if len(case.inputs) == 3 else (0, 3, 1, 4, 2)
    own = Case(
        name=case.name,
        inputs=tuple(case.inputs[place] for place in places),
        attributes={"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]},
    )
    model, _ = build_cases(operator_named("deform_conv"), [own])
    # The inputs are named as the case's are.
    names = {f"case0_x{there}": f"case0_x{here}" for there, here in enumerate(places)}
    for given in model.graph.input:
        given.name = names[given.name]
    for tensor in model.graph.initializer:
        tensor.name = names[tensor.name]
    for node in model.graph.node:
        node.input[:] = [names.get(each, each) for each in node.input]
    return model


_COMPOSED: Mapping[str, Callable[[Case], onnx.ModelProto]] = {
    "grid_sampler": _grid_sample,
    "mmcv_deform_conv2d": _deform_conv,
    "mmcv_modulated_deform_conv2d": _deform_conv,
    "multi_scale_deformable_attention": _attention,
    "roi_align_rotated": _rotated_regions,
}
