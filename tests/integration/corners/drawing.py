"""What the cases of operators at their corners are drawn from: shapes, axes and values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from deployx_edge.workflows.operators.cases import Case, Fed

Array = np.ndarray[Any, Any]

_SIZES = (1, 1, 2, 3, 4, 5)
_SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0, 3.4e38, 1e-42)


class Draw:
    """Choices that are the same for the same words."""

    def __init__(self, *words: object) -> None:
        self.random = np.random.default_rng(list("/".join(map(str, words)).encode()))

    def one_of(self, *choices: Any) -> Any:
        return choices[self.random.integers(len(choices))]

    def maybe(self) -> bool:
        return bool(self.random.random() < 0.5)

    def whole(self, low: int, high: int) -> int:
        """From low to high, both included."""
        return int(self.random.integers(low, high + 1))

    def shape(self, least: int = 0, most: int = 5) -> tuple[int, ...]:
        """Of so many axes, one of three of size 1; now and then one as long as vectors are."""
        sizes = [self.one_of(*_SIZES) for _ in range(self.whole(least, most))]
        if sizes and self.random.random() < 0.2:
            sizes[self.whole(0, len(sizes) - 1)] = 19
        return tuple(sizes)

    def axis(self, rank: int) -> int:
        """Counted from either end."""
        return self.whole(-rank, rank - 1)

    def floats(self, shape: tuple[int, ...], *, numbers: bool = False) -> Array:
        """Normal values, equal ones, halves, or some that are special; ``numbers``: without NaN."""
        kind = self.one_of("normal", "equal", "halves", "special")
        if kind == "normal":
            values = self.random.standard_normal(shape)
        elif kind == "equal":
            values = self.random.integers(-2, 3, shape).astype(float)
        elif kind == "halves":
            values = self.random.integers(-9, 10, shape) / 2
        else:
            values = self.random.standard_normal(shape)
            chosen = self.random.choice(_SPECIAL[1:] if numbers else _SPECIAL, shape)
            values = np.where(self.random.random(shape) < 0.4, chosen, values)
        return np.asarray(values, dtype=np.float32)

    def wholes(self, shape: tuple[int, ...], low: int = -9, high: int = 9) -> Array:
        return np.asarray(self.random.integers(low, high + 1, shape), dtype=np.int64)

    def truths(self, shape: tuple[int, ...]) -> Array:
        return np.asarray(self.random.integers(0, 2, shape), dtype=np.bool_)

    def values(self, shape: tuple[int, ...]) -> Array:
        """Of any type."""
        make = self.one_of(self.floats, self.floats, self.wholes, self.truths)
        return np.asarray(make(shape))

    def indices(self, shape: tuple[int, ...], size: int) -> Any:
        """Of an axis of that size, counted from either end: computed, or constant."""
        return self.computed(self.wholes(shape, -size, size - 1), -size, size - 1)

    def computed(self, values: Array, low: Any, high: Any) -> Any:
        """Values within bounds, as an input that is fed or, now and then, a constant."""
        return Fed(values=values, within=(low, high)) if self.random.random() < 0.7 else values

    def given(self, *arrays: Array) -> tuple[Any, ...]:
        """As inputs of a node: fed, but for some that are constants; the first is always fed.

        So is what is no number or infinite: a model of such weights is refused as a damaged one.
        """
        return tuple(
            each
            if place > 0 and self.random.random() < 0.3 and np.isfinite(each).all()
            else Fed(values=each)
            for place, each in enumerate(arrays)
        )

    def broadcast(self, count: int) -> list[tuple[int, ...]]:
        """So many shapes that broadcast to one; the first has it all."""
        whole = self.shape()
        shapes = [whole]
        for _ in range(count - 1):
            kept = whole[self.whole(0, len(whole)) :]
            shapes.append(tuple(1 if self.maybe() else size for size in kept))
        return shapes


# Makes a case of an operator in a model of that opset.
Drawn = Callable[[Draw, int], Case]
