"""Every value is the mean of samples in its bin of a turned region, read between pixels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    result = np.zeros((len(rois), input.shape[1], output_height, output_width))
    for index, (image, x, y, width, height, angle) in enumerate(rois.astype(np.float64)):
        x, y, width, height = (spatial_scale * each for each in (x, y, width, height))
        if aligned:
            x, y = x - 0.5, y - 0.5
        else:
            width, height = max(width, 1.0), max(height, 1.0)
        down = sampling_ratio or int(np.ceil(height / output_height))
        along = sampling_ratio or int(np.ceil(width / output_width))
        if not down or not along or not 0 <= image < len(input):
            continue
        # Of all samples, how far they lie from the centre along the region's own sides.
        rows = ((np.arange(output_height * down) + 0.5) / (output_height * down) - 0.5) * height
        columns = ((np.arange(output_width * along) + 0.5) / (output_width * along) - 0.5) * width
        turn = np.exp(1j * (angle if clockwise else -angle))
        places = (columns + 1j * rows[:, None]) * turn + x + 1j * y
        read = _between(input[int(image)].astype(np.float64), places.imag, places.real)
        bins = read.reshape(-1, output_height, down, output_width, along)
        result[index] = bins.mean(axis=(2, 4))
    return result


def _between(image: Array, y: Array, x: Array) -> Array:
    """(channels, rows, columns) between the pixels; up to one beyond the image, its border."""
    height, width = image.shape[1:]
    inside = (y >= -1) & (y <= height) & (x >= -1) & (x <= width)
    y, x = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
    top, left = y.astype(int), x.astype(int)
    bottom, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    upper = image[:, top, left] * (1 - x + left) + image[:, top, right] * (x - left)
    lower = image[:, bottom, left] * (1 - x + left) + image[:, bottom, right] * (x - left)
    return (upper * (1 - y + top) + lower * (y - top)) * inside
