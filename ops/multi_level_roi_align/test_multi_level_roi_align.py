"""Regions of several maps: sizes, samples, counts of pixels, images that are not there."""

import numpy as np

from deployx_edge.workflows.operators.cases import Case, Fed


def _regions(name: str, count: int, images: int, reach: float) -> Fed:
    random = np.random.default_rng(list(name.encode()))
    corners = random.uniform(-5, reach, (count, 2))
    sizes = random.uniform(2, reach, (count, 2))
    numbers = random.integers(0, images, (count, 1))
    values = np.concatenate([numbers, corners, corners + sizes], axis=1)
    return Fed(values=values.astype(np.float32))


def _case(
    name: str,
    maps: tuple[tuple[int, int, int, int], ...],
    strides: tuple[float, ...],
    *,
    count: int = 7,
    operator: str = "",
    **attributes: object,
) -> Case:
    reach = float(maps[0][2] * strides[0])
    return Case(
        name=name,
        inputs=(_regions(name, count, maps[0][0], reach), *maps),
        attributes={
            "output_height": 3,
            "output_width": 2,
            "featmap_strides": list(strides),
            "finest_scale": 8,
            **attributes,
        },
        operator=operator,
    )


_THREE = ((2, 3, 17, 19), (2, 3, 9, 10), (2, 3, 5, 5))
_STRIDES = (4.0, 8.0, 16.0)


CASES = (
    _case("means", _THREE, _STRIDES, pool_mode=1, count=13),
    _case("largest", _THREE, _STRIDES, pool_mode=0),
    _case("samples", _THREE, _STRIDES, sampling_ratio=2, pool_mode=1),
    _case("legacy", _THREE, _STRIDES, aligned=0, pool_mode=1),
    _case("grown", _THREE, _STRIDES, roi_scale_factor=1.5, pool_mode=1),
    _case("one-map", _THREE[:1], _STRIDES[:1], pool_mode=1),
    _case("coarse", _THREE, _STRIDES, finest_scale=2, pool_mode=1),
    _case(
        "their-name", _THREE[1:], _STRIDES[1:], operator="mmcv::MMCVMultiLevelRoiAlign", pool_mode=1
    ),
)
