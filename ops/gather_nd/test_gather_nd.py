"""GatherND with computed tuples of every depth, and with axes that count samples."""

from typing import Any

import numpy as np

from deployx_edge.workflows.operators.cases import Case, Fed


def _case(
    name: str, shape: tuple[int, ...], chosen: tuple[int, ...], depth: int, batch: int = 0
) -> Case:
    random = np.random.default_rng([depth, batch, *shape])
    sizes = shape[batch : batch + depth]
    columns = [random.integers(-size, size, chosen, dtype=np.int64) for size in sizes]
    attributes: dict[str, Any] = {"batch_dims": batch} if batch else {}
    inputs = (shape, Fed(values=np.stack(columns, axis=-1)))
    return Case(name=name, inputs=inputs, attributes=attributes, opset=13)


CASES = (
    _case("elements", (3, 5, 7), (11,), 3),
    _case("rows", (3, 5, 7), (6,), 2),
    _case("slices", (9, 3, 5), (4,), 1),
    _case("grid", (5, 7), (3, 4), 2),
    _case("one", (4, 5, 7), (1,), 3),
    _case("scores", (4, 80, 300), (100,), 3),
    _case("5d", (4, 5, 4, 6, 3), (7,), 4),
    _case("samples", (3, 5, 7), (3,), 1, batch=1),
    _case("samples-several", (3, 5, 7), (3, 4), 2, batch=1),
    _case("two-axes-of-samples", (2, 3, 5, 4), (2, 3), 1, batch=2),
)
