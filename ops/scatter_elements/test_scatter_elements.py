"""ScatterElements along every axis and with each reduction, then with indices that repeat."""

import numpy as np

from deployx_edge.workflows.operators.cases import Case, Fed


def _each_once(shape: tuple[int, ...], axis: int, size: int) -> Fed:
    """Indices that do not repeat along the axis, as without a reduction the order is open."""
    random = np.random.default_rng(shape)
    keys = np.moveaxis(random.random((*shape[:axis], *shape[axis + 1 :], size)), -1, axis)
    chosen = np.argsort(keys, axis)
    return Fed(values=np.take(chosen, range(shape[axis]), axis) - (size if axis % 2 else 0))


def _any(shape: tuple[int, ...], size: int) -> Fed:
    return Fed(values=np.random.default_rng(shape).integers(-size, size, shape, dtype=np.int64))


CASES = (
    Case(name="rows", inputs=((5, 7), _each_once((3, 7), 0, 5), (3, 7))),
    Case(
        name="channels",
        inputs=((1, 9, 3, 5), _each_once((1, 4, 3, 5), 1, 9), (1, 4, 3, 5)),
        attributes={"axis": 1},
    ),
    Case(
        name="fewer",
        inputs=((1, 3, 9, 7), _each_once((1, 2, 4, 5), 2, 9), (1, 2, 4, 5)),
        attributes={"axis": -2},
    ),
    *(
        Case(
            name=reduction,
            inputs=((1, 4, 6), _any((1, 4, 9), 6), (1, 4, 9)),
            attributes={"axis": 2, "reduction": reduction},
            opset=18,
        )
        for reduction in ("add", "mul", "min", "max")
    ),
    Case(name="vector", inputs=((13,), _each_once((6,), 0, 13), (6,)), opset=11),
)
