"""Structural similarity of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deployx_edge.errors import UsageError
from deployx_edge.model import format_shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WINDOW, _SIGMA = 11, 1.5
_K1, _K2 = 0.01, 0.03


def structural_similarity(found: NDArray[Any], wanted: NDArray[Any], peak: float = 1.0) -> float:
    """SSIM of two images, −1 … 1, the mean over their pixels and channels.

    Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli, IEEE Transactions on Image Processing 13
    (2004) 600-612: windows of 11 by 11 weighted by a normal distribution of 1.5 pixels, those that
    lie within the image; K₁ = 0.01, K₂ = 0.03; ``peak`` is the largest value there can be. The
    last two axes are rows and columns, or those before colours in the last. Raises UsageError
    for shapes that differ, or are less than a window.
    """
    if found.shape != wanted.shape:
        raise UsageError(
            f"An output of {format_shape(found.shape)} cannot be held against a target of "
            f"{format_shape(wanted.shape)}."
        )
    one, other = _planes(found), _planes(wanted)
    if min(one.shape[1:]) < _WINDOW:
        raise UsageError(
            f"ssim needs images of {_WINDOW}x{_WINDOW} at least, this is "
            f"{format_shape(found.shape)}."
        )
    mean_one, mean_other = _averaged(one), _averaged(other)
    variance_one = _averaged(one * one) - mean_one * mean_one
    variance_other = _averaged(other * other) - mean_other * mean_other
    covariance = _averaged(one * other) - mean_one * mean_other
    c1, c2 = (_K1 * peak) ** 2, (_K2 * peak) ** 2
    ratio = (2 * mean_one * mean_other + c1) * (2 * covariance + c2)
    ratio /= (mean_one**2 + mean_other**2 + c1) * (variance_one + variance_other + c2)
    return float(ratio.mean())


def _planes(array: NDArray[Any]) -> NDArray[np.float64]:
    """(planes, rows, columns) of float64."""
    values = np.asarray(array, dtype=np.float64)
    if values.ndim < 2:
        raise UsageError(f"ssim is of images; this is {format_shape(values.shape)}.")
    if values.ndim > 2 and values.shape[-1] in (1, 3) and values.shape[-3] not in (1, 3):
        values = np.moveaxis(values, -1, -3)
    return values.reshape(-1, *values.shape[-2:])


def _averaged(planes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weighted mean of each window that lies within, rows and columns one after the other."""
    places = np.arange(_WINDOW) - _WINDOW // 2
    weights = np.exp(-(places**2) / (2 * _SIGMA**2))
    weights /= weights.sum()
    for axis in (1, 2):
        size = planes.shape[axis] - _WINDOW + 1
        planes = sum(
            weight * planes.take(range(start, start + size), axis=axis)
            for start, weight in enumerate(weights)
        )
    return planes
