"""Branches and loops that hold an operator of a user's: gone through here, a body at a time.

ONNX Runtime runs each body like a model of its own, in which a reference has its place. This
knows what ONNX says of If, Loop and Scan, and neither operators nor references.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deployx_edge.graph.links import opset_of

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    # Runs the body in that attribute on its inputs in their order, and gives its outputs.
    RunBody = Callable[[str, Sequence[NDArray[Any]]], list[Any]]

_FIRST_OPSETS = {"If": 1, "Loop": 1, "Scan": 9}  # Scan had an axis for batches before


def can_go_through(node: onnx.NodeProto, model: onnx.ModelProto) -> bool:
    """Whether this knows how the node runs its graphs."""
    return not node.domain and opset_of(model) >= _FIRST_OPSETS.get(node.op_type, 1 << 30)


def go_through(
    node: onnx.NodeProto, inputs: Sequence[NDArray[Any] | None], run: RunBody
) -> list[Any]:
    """The node's outputs."""
    return {"If": _branch, "Loop": _loop, "Scan": _scan}[node.op_type](node, inputs, run)


def _branch(node: onnx.NodeProto, inputs: Sequence[NDArray[Any] | None], run: RunBody) -> list[Any]:
    (condition,) = inputs
    assert condition is not None
    return run("then_branch" if _is_true(condition) else "else_branch", [])


def _loop(node: onnx.NodeProto, inputs: Sequence[NDArray[Any] | None], run: RunBody) -> list[Any]:
    import numpy as np

    body: onnx.GraphProto = _attributes(node)["body"]
    given: list[Any] = [*inputs, None, None][: max(len(inputs), 2)]
    limit, goes_on, *carried = given
    rounds = None if limit is None else int(np.asarray(limit).reshape(()))
    count, goes = 0, goes_on is None or _is_true(goes_on)
    gathered: list[list[Any]] = [[] for _ in body.output[1 + len(carried) :]]
    while goes and (rounds is None or count < rounds):
        made = run("body", [_like(count, body.input[0]), _like(goes, body.input[1]), *carried])
        goes = _is_true(made[0])
        carried = made[1 : 1 + len(carried)]
        for kept, array in zip(gathered, made[1 + len(carried) :], strict=True):
            kept.append(array)
        count += 1
    values = body.output[1 + len(carried) :]
    stacked = [_stacked(kept, value) for kept, value in zip(gathered, values, strict=True)]
    return [*carried, *stacked]


def _scan(node: onnx.NodeProto, inputs: Sequence[NDArray[Any] | None], run: RunBody) -> list[Any]:
    attributes = _attributes(node)
    body: onnx.GraphProto = attributes["body"]
    given: list[Any] = list(inputs)
    count = len(given) - attributes["num_scan_inputs"]  # of what is carried
    carried, rows = given[:count], given[count:]
    values = body.output[count:]
    gathered: list[list[Any]] = [[] for _ in values]
    for parts in _rounds(rows, attributes):
        made = run("body", [*carried, *parts])
        carried = made[:count]
        for kept, array in zip(gathered, made[count:], strict=True):
            kept.append(array)
    axes = attributes.get("scan_output_axes") or [0] * len(values)
    backwards = attributes.get("scan_output_directions") or [0] * len(values)
    ordered = [kept[::-1] if back else kept for kept, back in zip(gathered, backwards, strict=True)]
    stacked = map(_stacked, ordered, values, axes)
    return [*carried, *stacked]


def _rounds(rows: Sequence[Any], attributes: Mapping[str, Any]) -> Iterator[list[Any]]:
    """What each round of a Scan is given of what it goes along."""
    import numpy as np

    axes = attributes.get("scan_input_axes") or [0] * len(rows)
    backwards = attributes.get("scan_input_directions") or [0] * len(rows)
    ordered = [
        np.flip(row, axis) if back else row
        for row, axis, back in zip(rows, axes, backwards, strict=True)
    ]
    for step in range(ordered[0].shape[axes[0]]):
        taken = zip(ordered, axes, strict=True)
        yield [np.asarray(np.take(row, step, axis)) for row, axis in taken]


def _stacked(arrays: Sequence[Any], value: onnx.ValueInfoProto, axis: int = 0) -> Any:
    """One array of those of all rounds; where there was none, of what the body says of it."""
    import numpy as np
    from onnx import helper

    if arrays:
        return np.stack(arrays, axis)
    tensor = value.type.tensor_type
    dims = [dim.dim_value for dim in tensor.shape.dim]
    dims.insert(axis if axis >= 0 else len(dims) + 1 + axis, 0)
    kind = tensor.elem_type or 1
    return np.zeros(dims, dtype=helper.tensor_dtype_to_np_dtype(kind))


def _like(value: int | bool, declared: onnx.ValueInfoProto) -> NDArray[Any]:
    """The number of a round, or whether it goes on, with as many axes as the body wants."""
    import numpy as np

    return np.asarray(value).reshape([1] * len(declared.type.tensor_type.shape.dim))


def _is_true(value: Any) -> bool:
    return bool(value.reshape(())) if value.size == 1 else bool(value)


def _attributes(node: onnx.NodeProto) -> Mapping[str, Any]:
    from onnx import helper

    return {each.name: helper.get_attribute_value(each) for each in node.attribute}
