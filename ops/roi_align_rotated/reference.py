"""Every value is the mean of samples in its bin of a turned region, read between pixels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployx_edge.workflows.operators.shared_regions import Pooling, pooled, turned

Array = NDArray[Any]


def reference(
    input: Array,
    rois: Array,
    output_height: int,
    output_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    aligned: int,
    clockwise: int,
) -> Array:
    """(regions, channels, height, width); angles are in radians."""
    pooling = Pooling(
        height=output_height,
        width=output_width,
        sampling=sampling_ratio,
        aligned=bool(aligned),
    )
    result = np.zeros((len(rois), input.shape[1], output_height, output_width))
    for index, (image, *box) in enumerate(rois.astype(np.float64)):
        if 0 <= image < len(input):
            *place, angle = turned(np.asarray(box), spatial_scale, 0.0, pooling)
            region = (*place, -angle if clockwise else angle)
            result[index] = pooled(input[int(image)], region, pooling)
    return result
