"""GatherElements along every axis, with constant, computed and negative indices."""

import numpy as np

from deployx_edge.workflows.operators.cases import Case, Fed


def _indices(shape: tuple[int, ...], size: int) -> np.ndarray:
    random = np.random.default_rng([size, *shape])
    return random.integers(-size, size, shape, dtype=np.int64)


def _case(name: str, shape: tuple[int, ...], chosen: tuple[int, ...], axis: int) -> Case:
    indices = _indices(chosen, shape[axis])
    return Case(name=name, inputs=(shape, Fed(values=indices)), attributes={"axis": axis})


CASES = (
    _case("last", (1, 5, 7), (1, 5, 9), 2),
    _case("rows", (1, 5, 7), (1, 3, 7), 1),
    _case("channels", (1, 9, 3, 5), (1, 4, 3, 5), 1),
    _case("fewer", (1, 9, 4, 5), (1, 4, 3, 2), -3),
    _case("fewer-last", (1, 9, 4, 5), (1, 4, 3, 8), -1),
    _case("vector", (13,), (29,), 0),
    _case("several", (3, 4, 5), (2, 4, 5), 0),
    _case("5d", (1, 2, 3, 4, 5), (1, 2, 3, 2, 5), 3),
    _case("boxes", (1, 300, 4), (1, 100, 4), 1),
    Case(name="constant", inputs=((1, 5, 7), _indices((1, 2, 7), 5)), attributes={"axis": 1}),
    Case(
        name="whole-numbers",
        inputs=(Fed(values=_indices((1, 5, 7), 900)), _indices((1, 5, 2), 7)),
        attributes={"axis": 2},
    ),
)
