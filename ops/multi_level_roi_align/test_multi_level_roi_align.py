"""Regions of several maps, of which means or the largest count."""

import numpy as np

from deployx_edge.workflows.operators.shared_levels import Array, level_case, level_cases


def _corners(places: Array, sizes: Array, _: Array) -> Array:
    return np.concatenate([places, places + sizes], axis=1)


CASES = (
    *level_cases("mmcv::MMCVMultiLevelRoiAlign", _corners, pool_mode=1),
    level_case("largest", _corners, pool_mode=0),
)
