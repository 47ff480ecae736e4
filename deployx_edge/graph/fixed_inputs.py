"""Inputs that the user fixes to a value: the array that stands in their place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployx_edge.errors import UsageError
from deployx_edge.graph.values import dtype_of, sizes_of
from deployx_edge.model import InputRequest, format_shape, too_large

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    Sizes = tuple[int | None, ...] | None


def fixed_values(
    path: Path, graph: onnx.GraphProto, requests: Mapping[str, InputRequest]
) -> dict[str, NDArray[Any]]:
    """The arrays of the inputs that ``requests`` fixes; UsageError where one does not fit."""
    return {
        value.name: fixed_value(
            f"The input '{value.name}' of {path.name}",
            dtype_of(path, "input", value),
            sizes_of(value),
            requests[value.name],
        )
        for value in graph.input
        if value.name in requests and requests[value.name].values
    }


def fix_inputs(graph: onnx.GraphProto, fixed: Mapping[str, NDArray[Any]]) -> None:
    """Make constants of inputs, in place of the defaults that they may have."""
    from onnx import numpy_helper

    if not fixed:
        return
    inputs = [value for value in graph.input if value.name not in fixed]
    defaults = [tensor for tensor in graph.initializer if tensor.name not in fixed]
    del graph.input[:], graph.initializer[:]
    graph.input.extend(inputs)
    graph.initializer.extend(defaults)
    graph.initializer.extend(numpy_helper.from_array(array, n) for n, array in fixed.items())


def fixed_value(what: str, dtype: str, sizes: Sizes, request: InputRequest) -> NDArray[Any]:
    """The array of the input's type and shape with the values that are asked for.

    ``what`` names the input in errors; ``sizes`` are its axes in the model, None for open ones
    and where nothing is known. UsageError where the values do not fit.
    """
    import numpy as np

    if request.dtype not in (None, dtype):
        raise UsageError(f"{what} is {dtype}, not {request.dtype}.")
    shape = _shape(what, sizes, request)
    values = request.values
    if len(values) not in (1, math.prod(shape)):
        raise UsageError(
            f"{what} is {format_shape(shape)}, the values given for it are {len(values)}.",
            remedy="Give one for all of its elements, or one for each.",
        )
    found = np.asarray(values if len(values) > 1 else values * math.prod(shape)).reshape(shape)
    with np.errstate(all="ignore"):
        array = found.astype(dtype)
    # A number that the type cannot hold becomes another one without a word.
    if np.dtype(dtype).kind == "f":
        held = np.array_equal(np.isinf(array), np.isinf(found))
    else:
        held = np.array_equal(array, found)
    if not held:
        raise UsageError(f"{what} is {dtype}, which cannot hold {_spelled(values)}.")
    return array


def _shape(what: str, sizes: Sizes, request: InputRequest) -> tuple[int, ...]:
    if request.has_shape:
        if sizes is not None and len(sizes) != len(request.shape):
            raise UsageError(
                f"{what} has {len(sizes)} axes, the shape given for it is "
                f"{format_shape(request.shape)}."
            )
        return request.shape
    if sizes is None:
        return request.shape
    known = math.prod(size for size in sizes if size is not None)
    unknown = sum(size is None for size in sizes)
    count = len(request.values)
    # A single open axis follows from the number of values; of one value only where it is all.
    if unknown == 1 and known and count % known == 0 and (count > 1 or known == 1):
        return tuple(count // known if size is None else size for size in sizes)
    if unknown:
        shown = "x".join("?" if size is None else str(size) for size in sizes)
        name = what.split("'")[1]
        example = "x".join("1" if size is None else str(size) for size in sizes)
        raise UsageError(
            f"{what} has dynamic axes ({shown}), so the value alone does not say its shape.",
            remedy=f"Give it as well: --input {name}:{example}={_spelled(request.values)}.",
        )
    shape = tuple(size for size in sizes if size is not None)
    if too_large(shape):
        raise UsageError(f"{what} is {format_shape(shape)}: too large.")
    return shape


def _spelled(values: tuple[int | float, ...]) -> str:
    return ",".join(map(str, values[:8])) + (",…" if len(values) > 8 else "")
