"""Batched suppression of turned boxes: middles, sizes and angles."""

import numpy as np

from deployx_edge.workflows.operators.shared_suppression import suppression_cases

CASES = suppression_cases(
    "mmcv::TRTBatchedRotatedNMS", lambda *parts: np.concatenate(parts, axis=-1)
)
