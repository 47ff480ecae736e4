"""Batched suppression of boxes, also of many at one place."""

import numpy as np

from deployx_edge.workflows.operators.shared_suppression import (
    Array,
    suppression_case,
    suppression_cases,
)


def _corners(places: Array, sizes: Array, _: Array) -> Array:
    return np.concatenate([places, places + sizes], axis=-1)


CASES = (
    *suppression_cases("mmcv::TRTBatchedNMS", _corners),
    suppression_case("many", 150, _corners, iou_threshold=0.6, keep_topk=150),
)
