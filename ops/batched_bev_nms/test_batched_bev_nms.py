"""Batched suppression of boxes seen from above: corners before they were turned, and angles."""

import numpy as np

from deployx_edge.workflows.operators.shared_suppression import suppression_cases

CASES = suppression_cases(
    "mmcv::TRTBatchedBEVNMS",
    lambda places, sizes, angles: np.concatenate([places, places + sizes, angles], axis=-1),
)
