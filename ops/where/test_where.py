"""Where on inputs that broadcast, of all kinds."""

import numpy as np

from deployx_edge.workflows.operators.cases import Case, Fed


def _truths(*shape: int) -> Fed:
    return Fed(values=np.random.default_rng(shape).integers(0, 2, shape).astype(np.bool_))


CASES = (
    Case(name="same", inputs=(_truths(1, 5, 7), (1, 5, 7), (1, 5, 7))),
    Case(name="image", inputs=(_truths(1, 1, 5, 7), (1, 3, 5, 7), (3, 1, 1))),
    Case(name="number", inputs=(_truths(1, 9), np.asarray(-1e9, dtype=np.float32), (4, 9))),
    Case(name="all", inputs=(_truths(1, 4, 1), (3, 1, 5), (3, 4, 1))),
    Case(
        name="whole-numbers",
        inputs=(
            _truths(7),
            Fed(values=np.arange(4000, 4007, dtype=np.int64)),
            np.asarray(0, dtype=np.int64),
        ),
    ),
)
