"""Not of one and of four axes."""

import numpy as np

from deployx_edge.workflows.operators.cases import Case, Fed


def _truths(*shape: int) -> Fed:
    return Fed(values=np.random.default_rng(shape).integers(0, 2, shape).astype(np.bool_))


CASES = (
    Case(name="image", inputs=(_truths(1, 3, 5, 7),)),
    Case(name="vector", inputs=(_truths(13),)),
)
