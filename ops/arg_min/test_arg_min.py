"""ArgMin along every axis, with ties, kept and dropped."""

import numpy as np

from deployx_edge.workflows.operators.cases import Case, Fed

_TIES = Fed(values=np.tile(np.asarray([2, 3, 1, 3, 1, 2], dtype=np.float32), (1, 3, 2)))

CASES = (
    Case(name="first-axis", inputs=((5, 7),)),
    Case(name="channels", inputs=((1, 17, 3, 5),), attributes={"axis": 1}),
    Case(name="dropped", inputs=((1, 21, 4, 6),), attributes={"axis": 1, "keepdims": 0}),
    Case(name="last", inputs=((1, 3, 9, 5),), attributes={"axis": -1}),
    Case(name="vector", inputs=((13,),)),
    Case(name="5d", inputs=((1, 2, 3, 4, 5),), attributes={"axis": 3, "keepdims": 0}),
    Case(name="ties", inputs=(_TIES,), attributes={"axis": 2}),
    Case(name="ties-last", inputs=(_TIES,), attributes={"axis": 2, "select_last_index": 1}),
)
