"""Turned regions of several maps: middles, sizes and angles of either direction."""

import numpy as np

from deployx_edge.workflows.operators.shared_levels import Array, level_case, level_cases


def _turned(*parts: Array) -> Array:
    return np.concatenate(parts, axis=1)


CASES = (
    *level_cases("mmcv::MMCVMultiLevelRotatedRoiAlign", _turned, clockwise=1),
    level_case("against-the-clock", _turned, clockwise=0),
)
