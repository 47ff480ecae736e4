"""Each turned region is read from the map whose scale fits its size, and brought to one size."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployx_edge.workflows.operators.shared_regions import Pooling, level_of, pooled, turned

Array = NDArray[Any]


def reference(
    rois: Array,
    *maps: Array | None,
    output_height: int,
    output_width: int,
    clockwise: int,
    sampling_ratio: int,
    featmap_strides: tuple[float, ...],
    roi_scale_factor: float,
    finest_scale: int,
    aligned: int,
) -> Array:
    """(regions, channels, height, width); a region is an image's number, a middle, width, height
    and an angle in radians."""
    there = [each for each in maps if each is not None]
    pooling = Pooling(
        height=output_height, width=output_width, sampling=sampling_ratio, aligned=bool(aligned)
    )
    result = np.zeros((len(rois), there[0].shape[1], output_height, output_width))
    for index, (image, *box) in enumerate(rois.astype(np.float64)):
        level = level_of(float(np.sqrt(box[2] * box[3])), finest_scale, len(there))
        box[4] = -box[4] if clockwise else box[4]
        if 0 <= image < len(there[0]):
            scale = 1 / featmap_strides[level]
            region = turned(np.asarray(box), scale, roi_scale_factor, pooling)
            result[index] = pooled(there[level][int(image)], region, pooling)
    return result
