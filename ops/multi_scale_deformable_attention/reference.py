"""Each head's places are read as torch's grid_sample reads them, and summed up by their weights."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def reference(
    value: Array,
    spatial_shapes: Array,
    level_start_index: Array,
    sampling_locations: Array,
    attention_weights: Array,
    im2col_step: int,
) -> Array:
    """(batch, queries, heads * dims); ``im2col_step`` is how many images a GPU takes at once."""
    batch, _, heads, dims = value.shape
    queries, points = sampling_locations.shape[1], sampling_locations.shape[4]
    result = np.zeros((batch, queries, heads, dims))
    for level, (height, width) in enumerate(spatial_shapes):
        start = level_start_index[level]
        pixels = value[:, start : start + height * width].reshape(batch, height, width, heads, dims)
        # A border of zeros stands for all that lies beyond.
        padded = np.pad(pixels, [(0, 0), (1, 1), (1, 1), (0, 0), (0, 0)])
        for point in range(points):
            x, y = np.moveaxis(sampling_locations[:, :, :, level, point].astype(np.float64), -1, 0)
            weights = attention_weights[:, :, :, level, point, None]
            result += weights * _read(padded, y * height + 0.5, x * width + 0.5)
    return result.reshape(batch, queries, heads * dims)


def _read(padded: Array, y: Array, x: Array) -> Array:
    """(batch, queries, heads, dims) at places of (batch, queries, heads)."""
    batch, height, width, heads, _ = padded.shape
    image = np.arange(batch)[:, None, None]
    head = np.arange(heads)
    y, x = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
    top = np.minimum(y.astype(int), height - 2)
    left = np.minimum(x.astype(int), width - 2)
    down, right = (y - top)[..., None], (x - left)[..., None]
    upper = (1 - right) * padded[image, top, left, head] + right * padded[
        image, top, left + 1, head
    ]
    lower = (1 - right) * padded[image, top + 1, left, head] + (
        right * padded[image, top + 1, left + 1, head]
    )
    return (1 - down) * upper + down * lower
