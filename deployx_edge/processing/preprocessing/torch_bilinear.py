"""Resizing as torch's ``interpolate`` does it to floats: bilinear, ``align_corners=False``.

As torchvision's detectors resize their images: like OpenCV's, it looks at the nearest two pixels by
row and column and does not average where it shrinks; other than there, nothing is rounded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


def resize(
    pixels: NDArray[Any], size: tuple[int, int], box: tuple[float, float, float, float]
) -> NDArray[Any]:
    """The part of an image (H, W) of float32 in ``box``, as wide and high as ``size``.

    ``box`` is left, top, right and bottom; beyond the image's edges its outermost pixels count.
    """
    width, height = size
    left, top, right, bottom = box
    columns, shares = _places(pixels.shape[1], width, left, right)
    along = pixels[:, columns[0]] * (1 - shares) + pixels[:, columns[1]] * shares
    rows, shares = _places(pixels.shape[0], height, top, bottom)
    down: NDArray[Any] = along[rows[0]] * (1 - shares[:, None]) + along[rows[1]] * shares[:, None]
    return down


def _places(length: int, size: int, begin: float, end: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """For each of ``size`` results its two pixels, (2, size), and the share of the second."""
    import numpy as np

    at = (np.arange(size) + 0.5) * ((end - begin) / size) - 0.5 + begin
    first = np.floor(at).astype(np.int64)
    places = np.clip(np.stack([first, first + 1]), 0, length - 1)
    return places, (at - first).astype(np.float32)
