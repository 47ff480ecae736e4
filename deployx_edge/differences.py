"""Sums of how far one tensor is from another, taken in one input at a time.

An error is held against how much the reference varies BETWEEN inputs, whole and for each slice
along the first axis of a sample (a channel). The error is summed over every element as it comes;
the variation, which needs all inputs at once, over elements that are kept: all of a small tensor,
evenly spread columns of a large one. So memory does not grow with the tensors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deployx_edge.model import Array

# What is worked on at once stays in the processor's cache: 1 MiB of float32.
_BLOCK = 2**18
# A ratio with a denominator of 0 must stay finite, so that it can be written to JSON.
BEYOND = 1e9
# Of rows that long a product of matrices adds up squares faster than a loop over all of them.
_LONG = 64


class Values(Protocol):
    """A tensor whose elements are taken once: all of them, or one after the other."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sizes."""
        ...

    def next(self, count: int) -> Array:
        """So many elements more, in one row; to be used before others are asked for."""
        ...

    def whole(self) -> Array:
        """The tensor; nothing of it has been taken before."""
        ...


class WholeValues:
    """``Values`` of an array."""

    def __init__(self, array: Array) -> None:
        self.shape = array.shape
        self._array = array
        self._row = array.reshape(-1)
        self._taken = 0

    def next(self, count: int) -> Array:
        """So many elements more, in one row."""
        begin, self._taken = self._taken, self._taken + count
        return self._row[begin : self._taken]

    def whole(self) -> Array:
        """The array."""
        return self._array


class Differences:
    """One tensor on two sides over several inputs.

    ``kept`` is how many elements of an input are kept for the variation at most.
    """

    def __init__(self, *, kept: int) -> None:
        self._kept = kept
        self._errors: NDArray[np.float64] | None = None  # sums of squares by slice
        self._elements = 0
        self._squares = 0.0
        self._known: list[NDArray[np.float32 | np.float64]] = []
        self._wanted: list[NDArray[np.float32 | np.float64]] = []
        self._found: list[NDArray[np.float32 | np.float64]] = []
        self._centred: NDArray[np.float64] | None = None
        self.largest_error = 0.0
        self.is_finite = True
        self.has_slices = False

    def know(self, kept: NDArray[np.float32 | np.float64]) -> None:
        """Take in what ``kept_elements`` gave of the reference on one more input: how it varies."""
        self._known.append(kept)
        self._centred = None

    def add(self, wanted: Array, found: Array | Values) -> None:
        """Take in one input; ``found`` has the elements of ``wanted``, in its order.

        Where the reference is not finite, the other side must hold the very same there.
        """
        import numpy as np

        self.has_slices = wanted.ndim >= 2
        rows = _rows(wanted)
        other = WholeValues(_rows(found)) if isinstance(found, np.ndarray | np.generic) else found
        if self._errors is None:
            self._errors = np.zeros(rows.shape[1])
        step = _step(rows, self._kept)
        here = rows[:, :, ::step].copy()
        there = np.empty_like(here)
        for sample, slices, columns in _blocks(rows):
            first = rows[sample, slices, columns]
            second = other.next(first.size).reshape(first.shape)
            self._add_block(first, second, slices)
            begin = -(-columns.start // step)
            some = second[:, begin * step - columns.start :: step]
            there[sample, slices, begin : begin + some.shape[1]] = some
        self._elements += wanted.size
        self._centred = None
        self._wanted.append(here)
        self._found.append(there)

    def _add_block(self, wanted: NDArray[Any], found: NDArray[Any], slices: slice) -> None:
        import numpy as np

        assert self._errors is not None
        with np.errstate(invalid="ignore", over="ignore"):  # looked at below
            error = found - wanted
            sums, squares = _squares(error), float(_squares(wanted).sum(dtype=np.float64))
        if not (np.isfinite(sums).all() and math.isfinite(squares)):
            wanted, found = wanted.astype(np.float64), found.astype(np.float64)
            odd = ~np.isfinite(wanted)
            alike = (wanted == found) | (np.isnan(wanted) & np.isnan(found))
            error = np.where(odd, 0.0, found - np.where(odd, 0.0, wanted))
            self.is_finite &= bool(alike[odd].all()) and bool(np.isfinite(error).all())
            error = np.nan_to_num(error, posinf=0.0, neginf=0.0)
            sums = _squares(error)
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
        found = self._deviation()
        squares = np.einsum("ijk,ijk->j", found, found)
        variations: NDArray[np.float64] = np.sqrt(squares * len(squares) / max(found.size, 1))
        return variations

    def slice_error(self, floor: float) -> float:
        """The worst rms error / rms deviation of a slice; ``floor`` is taken off the error."""
        if not self.has_slices:
            return ratio(self.error, self.variation)
        errors, scales = self.slice_errors() - floor, self.slice_variations()
        if (scales[errors > 0.0] <= 0.0).any():
            return BEYOND
        scales[scales <= 0.0] = 1.0
        return min(max(0.0, float((errors / scales).max(initial=0.0))), BEYOND)

    @property
    def cosine(self) -> float:
        """Of both sides, after the mean over the inputs is taken off each."""
        import numpy as np

        first = _centred(self._wanted) if self._known else self._deviation()
        second = _centred(self._found)
        norm = _rms(first) * _rms(second)
        return float(np.vdot(first, second)) / first.size / norm if norm > 0.0 else 0.0

    def forget_deviation(self) -> None:
        """Let go of what is held so that it is not computed for each question."""
        self._centred = None

    def _deviation(self) -> NDArray[np.float64]:
        if self._centred is None:
            self._centred = _centred([*self._known, *self._wanted])
        return self._centred


def kept_elements(array: Array, most: int) -> NDArray[np.float32 | np.float64]:
    """Those of a tensor by which it is told how much it varies, ``most`` where it is large."""
    rows = _rows(array)
    kept: NDArray[Any] = rows[:, :, :: _step(rows, most)].copy()
    return kept


def kept_shape(array: Array, most: int) -> tuple[int, ...]:
    """The shape of what ``kept_elements`` gives, which is one for all inputs of fixed size."""
    rows = _rows(array)
    return (*rows.shape[:2], len(range(0, rows.shape[2], _step(rows, most))))


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
    rest = math.prod(values.shape[2:])  # also of none: what a suppression leaves may be nothing
    return np.ascontiguousarray(values).reshape(*values.shape[:2], rest)


def _blocks(rows: NDArray[Any]) -> Iterator[tuple[int, slice, slice]]:
    """Sample, slices and columns of blocks that follow each other in memory.

    Each holds whole slices, or a part of one.
    """
    samples, slices, rest = rows.shape
    high = max(1, _BLOCK // max(rest, 1))
    for sample in range(samples):
        for start in range(0, slices, high):
            for column in range(0, rest, _BLOCK):
                yield sample, slice(start, start + high), slice(column, column + _BLOCK)


def _squares(rows: NDArray[Any]) -> NDArray[Any]:
    """The sum of squares of each row."""
    import numpy as np

    sums: NDArray[Any] = (
        np.einsum("ij,ij->i", rows, rows)
        if rows.shape[1] < _LONG
        else np.matmul(rows[:, np.newaxis], rows[:, :, np.newaxis]).reshape(-1)
    )
    return sums


def _step(rows: NDArray[Any], most: int) -> int:
    """How far apart the elements of a slice are that are kept, ``most`` in all.

    They are evenly spread, and there are some of each slice.
    """
    samples, slices, rest = rows.shape
    each = max(1, most // max(samples * slices, 1))
    # An odd step, as an image's width is even: else columns of one place would be taken.
    return 1 if rest <= each else -(-rest // each) | 1


def _centred(arrays: list[NDArray[Any]]) -> NDArray[np.float64]:
    """(inputs × samples, slices, elements), without the mean over the inputs."""
    import numpy as np

    if not arrays:
        return np.zeros((0, 0, 0))
    values = np.stack([np.asarray(array, dtype=np.float64) for array in arrays])
    with np.errstate(invalid="ignore"):
        is_finite = bool(np.isfinite(values.sum()))
    if not is_finite:
        values = np.where(np.isfinite(values), values, 0.0)
    values -= values.mean(axis=0)
    return values.reshape(-1, *values.shape[2:])


def _rms(values: NDArray[Any]) -> float:
    import numpy as np

    return math.sqrt(float(np.vdot(values, values)) / values.size) if values.size else 0.0
