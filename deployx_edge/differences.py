"""Sums of how far one tensor is from another, taken in one input at a time.

An error is held against how much the reference varies BETWEEN inputs, whole and for each slice
along the first axis of a sample (a channel). The error is summed over every element as it comes;
the variation, which needs all inputs at once, over elements that are kept: all of a small tensor,
evenly spread columns of a large one. So memory does not grow with the tensors.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deployx_edge.model import Array

# What is worked on at once stays in the processor's cache: 1 MiB of float32.
_BLOCK = 2**18
# A ratio with a denominator of 0 must stay finite, so that it can be written to JSON.
BEYOND = 1e9


class Differences:
    """One tensor on two sides over several inputs.

    ``kept`` is how many elements of an input are kept for the variation at most.
    """

    def __init__(self, *, kept: int) -> None:
        self._kept = kept
        self._errors: NDArray[np.float64] | None = None  # sums of squares by slice
        self._elements = 0
        self._squares = 0.0
        self._wanted: list[NDArray[np.float32 | np.float64]] = []
        self._found: list[NDArray[np.float32 | np.float64]] = []
        self._centred: NDArray[np.float64] | None = None
        self.largest_error = 0.0
        self.is_finite = True
        self.has_slices = False

    def add(self, wanted: Array, found: Array) -> None:
        """Take in one input; ``found`` has the elements of ``wanted``, in its order.

        Where the reference is not finite, the other side must hold the very same there.
        """
        self.has_slices = wanted.ndim >= 2
        rows, other = _rows(wanted), _rows(found.reshape(wanted.shape))
        if self._errors is None:
            import numpy as np

            self._errors = np.zeros(rows.shape[1])
        for first, second, slices in _blocks(rows, other):
            self._add_block(first, second, slices)
        self._elements += wanted.size
        self._centred = None
        self._wanted.append(_columns(rows, self._kept))
        self._found.append(_columns(other, self._kept))

    def _add_block(self, wanted: NDArray[Any], found: NDArray[Any], slices: slice) -> None:
        import numpy as np

        assert self._errors is not None
        with np.errstate(invalid="ignore"):  # infinity less infinity; looked at below
            error = found - wanted
        sums = np.einsum("ij,ij->i", error, error)
        squares = float(np.einsum("ij,ij->", wanted, wanted))
        if not (np.isfinite(sums).all() and math.isfinite(squares)):
            wanted, found = wanted.astype(np.float64), found.astype(np.float64)
            odd = ~np.isfinite(wanted)
            alike = (wanted == found) | (np.isnan(wanted) & np.isnan(found))
            error = np.where(odd, 0.0, found - np.where(odd, 0.0, wanted))
            self.is_finite &= bool(alike[odd].all()) and bool(np.isfinite(error).all())
            error = np.nan_to_num(error, posinf=0.0, neginf=0.0)
            sums = np.einsum("ij,ij->i", error, error)
            squares = float(np.sum(np.square(np.where(odd, 0.0, wanted))))
        self._errors[slices] += sums
        self._squares += squares
        if error.size:
            largest = max(float(error.max()), -float(error.min()))
            self.largest_error = max(self.largest_error, largest)

    @property
    def error(self) -> float:
        """The root mean square error."""
        if self._errors is None or not self._elements:
            return 0.0
        return math.sqrt(float(self._errors.sum()) / self._elements)

    @property
    def magnitude(self) -> float:
        """The root mean square of the reference."""
        return math.sqrt(self._squares / self._elements) if self._elements else 0.0

    @property
    def variation(self) -> float:
        """The root mean square deviation of the reference from its mean over the inputs."""
        return _rms(self._deviation())

    def slice_errors(self) -> NDArray[np.float64]:
        """The rms error of each slice; of a tensor without slices as one."""
        import numpy as np

        if self._errors is None or not self._elements:
            return np.zeros(0)
        return np.sqrt(self._errors * len(self._errors) / self._elements)

    def slice_variations(self) -> NDArray[np.float64]:
        """The rms deviation of each slice of the reference from its mean over the inputs."""
        import numpy as np

        if self._errors is None or not self._elements:
            return np.zeros(0)
        variations: NDArray[np.float64] = np.sqrt(np.mean(self._deviation() ** 2, axis=(0, 2)))
        return variations

    def slice_error(self, floor: float) -> float:
        """The worst rms error / rms deviation of a slice; ``floor`` is taken off the error."""
        if not self.has_slices:
            return ratio(self.error, self.variation)
        errors = self.slice_errors() - floor
        scales = self.slice_variations()
        return max(
            (ratio(float(errors[i]), float(scales[i])) for i in (errors > 0.0).nonzero()[0]),
            default=0.0,
        )

    @property
    def cosine(self) -> float:
        """Of both sides, after the mean over the inputs is taken off each."""
        import numpy as np

        first, second = self._deviation(), _centred(self._found)
        norm = _rms(first) * _rms(second)
        return float(np.mean(first * second)) / norm if norm > 0.0 else 0.0

    def _deviation(self) -> NDArray[np.float64]:
        if self._centred is None:
            self._centred = _centred(self._wanted)
        return self._centred


def ratio(error: float, scale: float) -> float:
    """``error`` / ``scale``, 0 without an error and at most BEYOND."""
    if error == 0.0:
        return 0.0
    return min(error / scale, BEYOND) if scale > 0.0 else BEYOND


def _rows(array: Array) -> NDArray[Any]:
    """The tensor as (samples, slices, the rest); without slices as one."""
    import numpy as np

    values = array if array.dtype == np.float32 else array.astype(np.float64)
    if values.ndim < 2:
        return values.reshape(1, 1, -1)
    return np.ascontiguousarray(values).reshape(values.shape[0], values.shape[1], -1)


def _blocks(rows: NDArray[Any], other: NDArray[Any]) -> Any:
    """Both in blocks of whole slices, or of parts of one; each as a matrix with its slices."""
    samples, slices, rest = rows.shape
    high = max(1, _BLOCK // max(rest, 1))
    for sample in range(samples):
        for start in range(0, slices, high):
            for column in range(0, rest, _BLOCK):
                at = (sample, slice(start, start + high), slice(column, column + _BLOCK))
                yield rows[at], other[at], at[1]


def _columns(rows: NDArray[Any], most: int) -> NDArray[Any]:
    """The same evenly spread elements of every slice, ``most`` in all; never none of a slice."""
    samples, slices, rest = rows.shape
    each = max(1, most // max(samples * slices, 1))
    # An odd step, as a picture's width is even: else columns of one place would be taken.
    step = 1 if rest <= each else -(-rest // each) | 1
    columns: NDArray[Any] = rows[:, :, ::step].copy()
    return columns


def _centred(arrays: list[NDArray[Any]]) -> NDArray[np.float64]:
    """(inputs × samples, slices, elements), without the mean over the inputs."""
    import numpy as np

    if not arrays:
        return np.zeros((0, 0, 0))
    values = np.stack([np.asarray(array, dtype=np.float64) for array in arrays])
    values = np.where(np.isfinite(values), values, 0.0)
    values -= values.mean(axis=0)
    return values.reshape(-1, *values.shape[2:])


def _rms(values: NDArray[Any]) -> float:
    import numpy as np

    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0
