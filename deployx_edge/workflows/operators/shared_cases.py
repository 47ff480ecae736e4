"""Cases of operators that differ in one function only: each of them is tested by the same ones."""

from __future__ import annotations

import numpy as np

from deployx_edge.workflows.operators.cases import Case, Fed


def _steps(*shape: int) -> Fed:
    """Few values, so that many are equal."""
    return Fed(values=np.random.default_rng(shape).integers(-2, 3, shape).astype(np.float32))


# Of two inputs that broadcast, equal and not, floats and whole numbers.
COMPARISONS = (
    Case(name="same", inputs=(_steps(1, 5, 7), _steps(1, 5, 7))),
    Case(name="image", inputs=(_steps(1, 3, 5, 7), _steps(1, 3, 1, 7))),
    Case(name="channels", inputs=(_steps(1, 17, 3, 5), _steps(17, 1, 1))),
    Case(name="both", inputs=(_steps(1, 4, 1), _steps(3, 1, 5))),
    Case(name="number", inputs=(_steps(1, 5, 7), np.asarray(1, dtype=np.float32))),
    Case(name="5d", inputs=(_steps(1, 2, 3, 4, 5), _steps(4, 1))),
    Case(name="vector", inputs=(_steps(13), _steps(1))),
    Case(
        name="whole-numbers",
        inputs=(
            Fed(values=np.arange(-3, 4, dtype=np.int64)),
            np.asarray([1, 2, -1, 0, 5, -9, 3], dtype=np.int64),
        ),
    ),
)


def _truths(*shape: int) -> Fed:
    return Fed(values=np.random.default_rng(shape).integers(0, 2, shape).astype(np.bool_))


# Of two truth values that broadcast, computed and constant.
LOGIC = (
    Case(name="same", inputs=(_truths(1, 5, 7), _truths(1, 5, 7))),
    Case(name="image", inputs=(_truths(1, 3, 5, 7), _truths(1, 3, 1, 7))),
    Case(name="both", inputs=(_truths(1, 4, 1), _truths(3, 1, 5))),
    Case(name="constant", inputs=(_truths(1, 3), np.asarray([True, False, True]))),
)


_TIES = Fed(values=np.tile(np.asarray([2, 3, 1, 3, 1, 2], dtype=np.float32), (1, 3, 2)))

# Where a value lies along every axis, with ties, kept and dropped.
PLACES = (
    Case(name="first-axis", inputs=((5, 7),)),
    Case(name="channels", inputs=((1, 17, 3, 5),), attributes={"axis": 1}),
    Case(name="dropped", inputs=((1, 21, 4, 6),), attributes={"axis": 1, "keepdims": 0}),
    Case(name="last", inputs=((1, 3, 9, 5),), attributes={"axis": -1}),
    Case(name="vector", inputs=((13,),)),
    Case(name="5d", inputs=((1, 2, 3, 4, 5),), attributes={"axis": 3, "keepdims": 0}),
    Case(name="ties", inputs=(_TIES,), attributes={"axis": 2}),
    Case(name="ties-last", inputs=(_TIES,), attributes={"axis": 2, "select_last_index": 1}),
)
