"""Each region is brought to one size: means of samples in its bins, or the largest of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployx_edge.workflows.operators.shared_regions import Pooling, pooled, upright

Array = NDArray[Any]


def reference(
    input: Array,
    rois: Array,
    output_height: int,
    output_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    mode: str,
    aligned: int,
) -> Array:
    """(regions, channels, height, width); a region is an image's number and two corners."""
    pooling = Pooling(
        height=output_height,
        width=output_width,
        sampling=sampling_ratio,
        aligned=bool(aligned),
        largest=mode == "max",
    )
    result = np.zeros((len(rois), input.shape[1], output_height, output_width))
    for index, (image, *corners) in enumerate(rois.astype(np.float64)):
        if 0 <= image < len(input):
            region = upright(np.asarray(corners), spatial_scale, 0.0, pooling)
            result[index] = pooled(input[int(image)], region, pooling)
    return result
