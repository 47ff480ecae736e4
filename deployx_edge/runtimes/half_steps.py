"""What half floats and joined layers may change in quantized steps, computed tensor by tensor.

A runtime that computes in half floats quantizes its inputs from those, so that values on the border
between two steps tip over; what lies between quantized layers it rounds to halves; and it may
join a layer with what cuts its values off, where it rounds once and the source twice. How much that
comes to in a tensor depends on the model, not on a constant: so the source computes each once more
from values that were moved by just that, and the two are compared.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from deployx_edge.comparison import SEED
from deployx_edge.differences import Differences
from deployx_edge.runtimes.cut_apart import CutApart
from deployx_edge.runtimes.quantized_points import Point
from deployx_edge.runtimes.runner import Arrays
from deployx_edge.sources.onnx.walk import SourceWalk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deployx_edge.model import Array

_UNIT = 2.0**-10  # of half floats; they are off by half of that
# They cut values off and change no others, so that a runtime computes them with what is before.
_CUTTING = ("Clip", "Relu")


class HalfSteps:
    """What is known of each of the ``points`` after some inputs, in its steps (or as it is)."""

    def __init__(self, walk: SourceWalk, points: Mapping[str, Point]) -> None:
        import numpy as np

        self._points = points
        self._random = np.random.default_rng(SEED)
        self._cut = _read_by_cuts(walk, points)
        self._moved = {name: Differences(kept=0) for name in points}
        self._largest = dict.fromkeys(points, 0.0)

    def compute(self, apart: CutApart, arrays: Arrays, own: Arrays) -> dict[str, Array]:
        """What the source makes of a model's ``own`` tensors, and of it where rounding moves them.

        A runtime may hand on a quantized tensor as it was before it was rounded. What reads it
        there in quantized values has the rounded one, what reads it in floats either: of both,
        what is nearer counts.
        """
        rounded = {name: self._rounded(name, array) for name, array in own.items()}
        computed = apart.run(arrays, rounded)
        plain = apart.run(arrays, own)
        for name, point in self._points.items():
            if _distance(plain[name], own[name]) < _distance(computed[name], own[name]):
                names = {name, point.exact or name} & plain.keys()
                computed.update({each: plain[each] for each in names})
        self._add(apart, arrays, own, computed)
        return computed

    def _add(self, apart: CutApart, arrays: Arrays, own: Arrays, computed: Arrays) -> None:
        import numpy as np

        moved = apart.run(
            {name: self._shaken(array) for name, array in arrays.items()},
            {name: self._move(name, array) for name, array in own.items()},
        )
        for name, differences in self._moved.items():
            # What is no tensor of a run is a constant.
            tensor = self._points[name].exact or name
            tensor = tensor if tensor in moved else name
            here, there = (self._counted(name, each[tensor]) for each in (computed, moved))
            # The result is rounded to halves, too.
            largest = abs(here).max(initial=0.0, where=np.isfinite(here))
            self._largest[name] = max(self._largest[name], float(largest))
            differences.add(np.zeros_like(here), abs(there - here) + abs(here) * _UNIT)

    def largest(self, name: str) -> float:
        """The largest value of that tensor."""
        return self._largest[name]

    def of(self, name: str) -> Differences:
        """How far that tensor was moved."""
        return self._moved[name]

    def _counted(self, name: str, array: Array) -> Array:
        point = self._points[name]
        return array if point.step is None else point.steps(array)

    def _move(self, name: str, array: Array) -> Array:
        """The tensor as rounding elsewhere would leave it."""
        point = self._points[name]
        if point.step is None or not point.is_rounded:
            return self._shaken(array)
        steps = _tipped(point.steps(array))
        if name in self._cut:
            steps = steps + self._uniform(0.5, array)
        return self._shaken(point.values(steps, array))

    def _rounded(self, name: str, array: Array) -> Array:
        import numpy as np

        point = self._points[name]
        if point.step is None or not point.is_rounded:
            return array
        return point.values(np.rint(point.steps(array)), array)

    def _shaken(self, array: Array) -> Array:
        import numpy as np

        if array.dtype != "float32":
            return array
        return np.asarray(array * (1 + self._uniform(_UNIT, array)), dtype=array.dtype)

    def _uniform(self, most: float, array: Array) -> NDArray[Any]:
        import numpy as np

        return np.asarray(self._random.uniform(-most, most, array.shape), dtype=np.float32)


def _distance(first: Array, second: Array) -> float:
    import numpy as np

    return float(np.square(first.astype(np.float64) - second).sum())


def _tipped(counted: NDArray[Any]) -> NDArray[Any]:
    """Values in steps, rounded; those that half floats may round to the other step go there."""
    import numpy as np

    nearest = np.rint(counted)
    is_near_border = abs(counted - nearest) >= 0.5 - abs(counted) * _UNIT / 2
    tipped: NDArray[Any] = nearest + np.where(is_near_border, np.sign(counted - nearest), 0.0)
    return tipped


def _read_by_cuts(walk: SourceWalk, points: Collection[str]) -> set[str]:
    """The quantized points that nodes read which only cut values off."""
    nodes = walk.makers.values()
    return {node.input[0] for node in nodes if node.op_type in _CUTTING} & {*points}
