"""What references of operators that bring regions of images to one size have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Pooling:
    """How regions are read: the size they are brought to, how many samples a side of a bin has (0
    for one a pixel), whether pixels are counted by their middles, whether the largest sample or
    their mean counts."""

    height: int
    width: int
    sampling: int
    aligned: bool
    largest: bool = False


def upright(corners: Array, scale: float, grow: float, pooling: Pooling) -> tuple[float, ...]:
    """The middle, width, height and angle of a region (left, top, right, bottom) in the map."""
    low, high = corners[:2], corners[2:4]
    if grow > 0:
        half = (high - low + 1) * grow / 2 - 0.5
        low, high = (low + high) / 2 - half, (low + high) / 2 + half
    begin = low * scale - (0.5 if pooling.aligned else 0.0)
    size = np.maximum((high - low) * scale, 0.0 if pooling.aligned else 1.0)
    return (*(begin + size / 2), *size, 0.0)


def turned(box: Array, scale: float, grow: float, pooling: Pooling) -> tuple[float, ...]:
    """The same of a region that is its middle, width, height and angle."""
    middle = box[:2] * scale - (0.5 if pooling.aligned else 0.0)
    size = np.maximum(box[2:4] * (grow if grow > 0 else 1.0) * scale, 1.0 - pooling.aligned)
    return (*middle, *size, float(box[4]))


def level_of(size: float, finest: float, levels: int) -> int:
    """The map for a region of that size: the next one for each doubling."""
    return int(np.clip(np.floor(np.log2(size / finest + 1e-6)), 0, levels - 1))


def pooled(image: Array, region: Sequence[float], pooling: Pooling) -> Array:
    """(channels, height, width) of a region of (channels, rows, columns)."""
    x, y, width, height, angle = region
    down = pooling.sampling or int(np.ceil(height / pooling.height))
    along = pooling.sampling or int(np.ceil(width / pooling.width))
    if not down or not along:
        return np.zeros((len(image), pooling.height, pooling.width))
    # Of all samples, how far they lie from the middle along the region's own sides.
    rows = ((np.arange(pooling.height * down) + 0.5) / (pooling.height * down) - 0.5) * height
    columns = ((np.arange(pooling.width * along) + 0.5) / (pooling.width * along) - 0.5) * width
    places = (columns + 1j * rows[:, None]) * np.exp(-1j * angle) + x + 1j * y
    read = _between(image.astype(np.float64), places.imag, places.real)
    bins = read.reshape(-1, pooling.height, down, pooling.width, along)
    found: Array = bins.max(axis=(2, 4)) if pooling.largest else bins.mean(axis=(2, 4))
    return found


def _between(image: Array, y: Array, x: Array) -> Array:
    """Between the pixels; up to one beyond the image, its border."""
    height, width = image.shape[1:]
    inside = (y >= -1) & (y <= height) & (x >= -1) & (x <= width)
    y, x = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
    top, left = y.astype(int), x.astype(int)
    bottom, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    upper = image[:, top, left] * (1 - x + left) + image[:, top, right] * (x - left)
    lower = image[:, bottom, left] * (1 - x + left) + image[:, bottom, right] * (x - left)
    between: Array = (upper * (1 - y + top) + lower * (y - top)) * inside
    return between
