"""Hardmax along every axis, with ties, and of a single value."""

import numpy as np

from deployx_edge.workflows.operators.cases import Case, Fed

_TIES = np.tile(np.asarray([1, 3, 2, 3, 3], dtype=np.float32), (1, 4, 1))

CASES = (
    Case(name="last", inputs=((1, 5, 7),)),
    Case(name="rows", inputs=((1, 5, 7),), attributes={"axis": 1}),
    Case(name="channels", inputs=((1, 17, 3, 5),), attributes={"axis": 1}),
    Case(name="height", inputs=((1, 3, 9, 5),), attributes={"axis": -2}),
    Case(name="several", inputs=((2, 3, 10),), attributes={"axis": 2}),
    Case(name="batch", inputs=((3, 4, 5),), attributes={"axis": 0}),
    Case(name="vector", inputs=((13,),), attributes={"axis": 0}),
    Case(name="one", inputs=((1, 6, 1),)),
    Case(name="5d", inputs=((1, 2, 3, 4, 5),), attributes={"axis": 3}),
    Case(name="ties", inputs=(Fed(values=_TIES),)),
    Case(name="opset-13", inputs=((1, 5, 7),), opset=13),
)
