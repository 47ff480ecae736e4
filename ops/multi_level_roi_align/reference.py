"""Each region is read from the map whose scale fits its size, and brought to one size."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployx_edge.workflows.operators.shared_regions import Pooling, level_of, pooled, upright

Array = NDArray[Any]


def reference(
    rois: Array,
    *maps: Array | None,
    output_height: int,
    output_width: int,
    pool_mode: int,
    sampling_ratio: int,
    featmap_strides: tuple[float, ...],
    roi_scale_factor: float,
    finest_scale: int,
    aligned: int,
) -> Array:
    """(regions, channels, height, width); a region is an image's number and two corners."""
    there = [each for each in maps if each is not None]
    pooling = Pooling(
        height=output_height,
        width=output_width,
        sampling=sampling_ratio,
        aligned=bool(aligned),
        largest=pool_mode == 0,
    )
    result = np.zeros((len(rois), there[0].shape[1], output_height, output_width))
    for index, (image, *corners) in enumerate(rois.astype(np.float64)):
        size = np.sqrt((corners[2] - corners[0]) * (corners[3] - corners[1]))
        level = level_of(float(size), finest_scale, len(there))
        scale = 1 / featmap_strides[level]
        if 0 <= image < len(there[0]):
            region = upright(np.asarray(corners), scale, roi_scale_factor, pooling)
            result[index] = pooled(there[level][int(image)], region, pooling)
    return result
