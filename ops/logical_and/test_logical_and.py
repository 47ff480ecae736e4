"""And on inputs that broadcast, computed and constant."""

import numpy as np

from deployx_edge.workflows.operators.cases import Case, Fed


def _truths(*shape: int) -> Fed:
    return Fed(values=np.random.default_rng(shape).integers(0, 2, shape).astype(np.bool_))


CASES = (
    Case(name="same", inputs=(_truths(1, 5, 7), _truths(1, 5, 7))),
    Case(name="image", inputs=(_truths(1, 3, 5, 7), _truths(1, 3, 1, 7))),
    Case(name="both", inputs=(_truths(1, 4, 1), _truths(3, 1, 5))),
    Case(name="constant", inputs=(_truths(1, 3), np.asarray([True, False, True]))),
)
