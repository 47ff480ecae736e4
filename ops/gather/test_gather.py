"""Gather with computed indices along every axis, of numbers and of a table."""

import numpy as np

from deployx_edge.workflows.operators.cases import Case, Fed


def _indices(shape: tuple[int, ...], size: int) -> Fed:
    random = np.random.default_rng([size, *shape])
    return Fed(values=random.integers(-size, size, shape, dtype=np.int64))


def _case(name: str, shape: tuple[int, ...], chosen: tuple[int, ...], axis: int) -> Case:
    return Case(name=name, inputs=(shape, _indices(chosen, shape[axis])), attributes={"axis": axis})


_TABLE = np.random.default_rng(41).standard_normal((31, 7)).astype(np.float32)

CASES = (
    _case("last", (1, 5, 7), (9,), 2),
    _case("rows", (1, 5, 7), (3,), 1),
    _case("channels", (1, 9, 3, 5), (4,), -3),
    _case("vector", (13,), (29,), 0),
    _case("one", (1, 11, 3), (1,), 1),
    _case("grid", (17, 5), (3, 4), 0),
    _case("within", (3, 11, 2), (2, 5), 1),
    _case("several", (3, 4, 5), (2,), 0),
    _case("5d", (1, 2, 3, 4, 5), (7,), 3),
    _case("boxes", (8400, 4), (100,), 0),
    Case(name="table", inputs=(_TABLE, _indices((1, 12), 31))),
    Case(name="opset-11", inputs=((1, 5, 7), _indices((3,), 5)), attributes={"axis": 1}, opset=11),
    Case(
        name="whole-numbers",
        inputs=(_indices((1, 6, 5), 900), _indices((4,), 6)),
        attributes={"axis": 1},
    ),
)
