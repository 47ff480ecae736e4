"""A bundle's tensors as its runtime on a board takes and gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deployx_edge.bundle.values import Bundle
from deployx_edge.errors import UsageError
from deployx_edge.model import (
    TensorSpec,
    check_samples,
    format_shape,
    from_runtime_array,
    to_runtime_arrays,
)
from deployx_edge.runtime import find_runtime

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


def to_board_arrays(bundle: Bundle, arrays: Mapping[str, Array]) -> dict[str, tuple[Array, bool]]:
    """Every input by its name on the board, and whether its first axis counts samples.

    ``arrays`` have the source's shapes, the batch axis with any number of samples; arrays named
    like no input are left aside. UsageError as for ``to_runtime_arrays``.
    """
    if find_runtime(bundle.runtime).single_samples:
        return to_runtime_arrays(bundle.inputs, arrays)
    check_samples(bundle.inputs, arrays)
    return {spec.runtime_name: _to_board(spec, arrays[spec.name]) for spec in bundle.inputs}


def from_board_array(
    bundle: Bundle, spec: TensorSpec, array: Array, *, batched: bool = False
) -> Array:
    """An output that the board gave, in the source's shape and of its element type.

    ``batched``: its first axis counts samples. UsageError where type or shape are others.
    """
    if find_runtime(bundle.runtime).single_samples:
        return from_runtime_array(spec, array, batched=batched)
    import numpy as np

    if array.dtype != _dtype(spec.dtype):
        raise UsageError(
            f"Output '{spec.name}' should be {spec.dtype}, the board gave {array.dtype}.",
            remedy="Convert the model again: its bundle does not say what its file gives.",
        )
    if not batched:
        return array
    if spec.batch_axis is None or array.ndim < spec.batch_axis + 2:
        raise UsageError(
            f"Output '{spec.name}' has no axis for samples, the board gave {array.shape[0]} of "
            f"them: {format_shape(array.shape)}."
        )
    # Each sample keeps its own axis of samples, of size 1.
    single = np.squeeze(array, axis=spec.batch_axis + 1)
    return np.moveaxis(single, 0, spec.batch_axis)


def _to_board(spec: TensorSpec, array: Array) -> tuple[Array, bool]:
    """Whole, in the source's type; several samples are put behind an axis of their own."""
    import numpy as np

    spec.check(array)
    if spec.batch_axis is None or array.shape[spec.batch_axis] == 1:
        return np.ascontiguousarray(array).reshape(array.shape), False
    front = np.moveaxis(array, spec.batch_axis, 0)
    return np.ascontiguousarray(np.expand_dims(front, spec.batch_axis + 1)), True


def _dtype(name: str) -> Any:
    import numpy as np

    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)
