"""TopK at its corners: axes, ties, signs, all and one of them, the smallest."""

import numpy as np

from deployx_edge.workflows.operators.cases import Case, Fed


def _k(count: int) -> np.ndarray:
    return np.asarray([count], dtype=np.int64)


# Many equal values: which index is given is defined, too.
_TIES = np.tile(np.asarray([2, 1, 2, 3, 1, 3, 0], dtype=np.float32), (1, 3, 2))

# Zeros of both signs are equal, and infinities are numbers.
_SIGNS = np.asarray([[0, -0.0, np.inf, -1e-40, 1e-40, -np.inf, -0.0, 0, -2, -3]], dtype=np.float32)

CASES = (
    Case(name="last", inputs=((1, 5, 7), _k(3))),
    Case(name="channels", inputs=((1, 17, 3, 5), _k(4)), attributes={"axis": 1}),
    Case(name="rows", inputs=((1, 3, 9, 5), _k(2)), attributes={"axis": -2}),
    Case(name="smallest", inputs=((1, 6, 11), _k(5)), attributes={"largest": 0}),
    Case(name="one", inputs=((1, 301), _k(1))),
    Case(name="whole", inputs=((1, 2, 33), _k(33))),
    Case(name="vector", inputs=((13,), _k(4)), attributes={"axis": 0}),
    Case(name="several", inputs=((2, 3, 10), _k(3)), attributes={"axis": 2}),
    Case(name="5d", inputs=((1, 2, 3, 4, 5), _k(2)), attributes={"axis": 3}),
    Case(name="ties", inputs=(Fed(values=_TIES), _k(9))),
    Case(name="ties-smallest", inputs=(Fed(values=_TIES), _k(9)), attributes={"largest": 0}),
    Case(name="ties-many", inputs=(Fed(values=np.tile(_TIES, (1, 1, 30))), _k(70))),
    Case(name="signs", inputs=(Fed(values=_SIGNS), _k(9))),
    Case(name="signs-smallest", inputs=(Fed(values=_SIGNS), _k(9)), attributes={"largest": 0}),
    Case(name="many", inputs=((1, 8400), _k(300))),
    Case(name="opset-11", inputs=((1, 5, 7), _k(3)), opset=11),
)
