"""Inputs of other shapes than the file says, and the nodes that forbid them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from deployx_edge.errors import ModelError
from deployx_edge.graph.onnx_runtime import open_model, plain_reason
from deployx_edge.graph.values import sizes_of, without_weights
from deployx_edge.model import AxisRange, NamedShape, at_sizes, format_shape

if TYPE_CHECKING:
    import onnx

    Shapes = Mapping[str, tuple[int, ...]]
    Sizes = tuple[int | None, ...]

# Operators that a constant tells the shape of what they give, and where among their inputs.
_SHAPED_BY = {"Reshape": 1, "Expand": 1, "Resize": 3, "Upsample": 1}
# How ONNX Runtime names a node: while it runs, and while it loads.
_NAMED = re.compile(r"the node '([^']*)'|[Nn]ode ?\(([^)]*)\)|[Nn]ode:(\S+)")


class Tensor(NamedShape, Protocol):
    """An input with its new shape; at open axes it has the best sizes."""

    @property
    def ranges(self) -> tuple[AxisRange, ...]:
        """The axes that stay open."""
        ...


def reshaped_inputs(
    variables: Sequence[onnx.ValueInfoProto], inputs: Sequence[Tensor]
) -> dict[str, tuple[int | None, ...]]:
    """The sizes in the file of those inputs for which the user gave others."""
    found = {}
    for value, tensor in zip(variables, inputs, strict=True):
        open_axes = {entry.axis for entry in tensor.ranges}
        dims = sizes_of(value) or ()
        if any(
            size is not None and (axis in open_axes or size != tensor.shape[axis])
            for axis, size in enumerate(dims)
        ):
            found[value.name] = dims
    return found


def check_new_shapes(
    file: str, model: onnx.ModelProto, inputs: Sequence[Tensor], before: Mapping[str, Sizes]
) -> None:
    """Run the model at its new shapes; ModelError where it cannot, naming the node in the way.

    ``before`` are the sizes in the file of those inputs that have others now. A node that keeps
    the number of samples of the file, by a constant, is in the way even if the model runs: it
    would put several samples into one, or a sample into several.
    """
    old = {
        tensor.name: tuple(
            new if size is None else size
            for size, new in zip(before.get(tensor.name, tensor.shape), tensor.shape, strict=True)
        )
        for tensor in inputs
    }
    ends = ("minimum", "maximum") if any(tensor.ranges for tensor in inputs) else ()
    for sizes in ("opt", *ends):
        new = {t.name: at_sizes(t.shape, t.ranges, sizes) for t in inputs}
        tied = list(_tied(model, _inferred(model, old), _inferred(model, new)))
        reason = _failure(model, inputs, new)
        samples = next((node for node, axis in tied if axis == 0), None)
        if not reason and samples is None:
            continue
        node = samples or (tied[0][0] if tied else _node_in(reason, model))
        name = next(name for name in before if old[name] != new[name])
        change = f"'{name}' as {format_shape(new[name])} instead of {format_shape(old[name])}"
        why = (
            f"{reason}."
            if node is None
            else f"the node '{_name(node)}' ({node.op_type}) forbids it"
            + (", a constant holds the old size." if samples or tied else f": {reason}.")
        )
        raise ModelError(
            f"{file} cannot take {change}: {why}",
            remedy="Export the model again with that shape, or with dynamic axes.",
        )


def _tied(model: onnx.ModelProto, old: Shapes, new: Shapes) -> Iterator[tuple[onnx.NodeProto, int]]:
    """Nodes that by a constant keep an axis at its old size, and the axis, in their order."""
    constants = {tensor.name for tensor in model.graph.initializer}
    constants |= {node.output[0] for node in model.graph.node if node.op_type == "Constant"}
    for node in model.graph.node:
        place = _SHAPED_BY.get(node.op_type)
        if place is None or len(node.input) <= place or node.input[place] not in constants:
            continue
        data, result = node.input[0], node.output[0]
        if data not in old or data not in new or result not in old:
            continue
        for axis, (size, given) in enumerate(zip(old[data], new[data], strict=False)):
            before, after = old[result][axis : axis + 1], new.get(result, old[result])
            # A Reshape may have the same size there by chance; others hold the whole shape.
            same = node.op_type != "Reshape" or before == (size,)
            if given != size and same and after[axis : axis + 1] == before:
                yield node, axis
                break


def _inferred(model: onnx.ModelProto, shapes: Shapes) -> Shapes:
    """The shapes of tensors at these shapes of the inputs, as far as inference gets."""
    import onnx

    sized = without_weights(model)
    for value in sized.graph.input:
        dims = value.type.tensor_type.shape.dim
        del dims[:]
        for size in shapes[value.name]:
            dims.add().dim_value = size
    try:
        found = onnx.shape_inference.infer_shapes(sized, data_prop=True).graph
    except Exception:  # it raises all kinds for what it cannot make sense of
        return shapes
    known = dict(shapes)
    for value in (*found.value_info, *found.output):
        dims = value.type.tensor_type.shape.dim
        if value.type.tensor_type.HasField("shape") and all(d.HasField("dim_value") for d in dims):
            known[value.name] = tuple(dim.dim_value for dim in dims)
    return known


def _failure(model: onnx.ModelProto, inputs: Sequence[Tensor], shapes: Shapes) -> str:
    """Why the model does not run at these shapes, in ONNX Runtime's words; "" where it does."""
    import numpy as np

    random = np.random.default_rng(0)
    arrays = {t.name: random.random(shapes[t.name]).astype(t.dtype) for t in inputs}
    try:
        open_model(model.SerializeToString()).run(None, arrays)
    except Exception as error:  # its exceptions share no base
        return plain_reason(error)
    return ""


def _node_in(reason: str, model: onnx.ModelProto) -> onnx.NodeProto | None:
    found = _NAMED.search(reason)
    name = found and next(filter(None, found.groups()), None)
    return next((node for node in model.graph.node if name and _name(node) == name), None)


def _name(node: onnx.NodeProto) -> str:
    return node.name or node.output[0]
