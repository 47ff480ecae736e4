"""Less on inputs that broadcast, equal and not, floats and whole numbers."""

import numpy as np

from deployx_edge.workflows.operators.cases import Case, Fed


def _steps(*shape: int) -> Fed:
    """Few values, so that many are equal."""
    return Fed(values=np.random.default_rng(shape).integers(-2, 3, shape).astype(np.float32))


CASES = (
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
