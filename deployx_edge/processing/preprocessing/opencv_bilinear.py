"""Resizing as OpenCV's INTER_LINEAR does it to values of 8 bits, bit for bit.

Detectors were trained and are run on images that OpenCV has resized; a level of 255 apart moves
their scores. Shares of pixels are whole 2048ths, along rows first; what rows give is kept to 4 bits
less, and each of a column's two is cut to 16 bits before they are added and rounded. Where both
sides are halved, four pixels are averaged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ONE = 2**11
_ROWS_KEEP, _COLUMNS_KEEP, _LAST = 4, 16, 2


def resize(
    pixels: NDArray[Any], size: tuple[int, int], box: tuple[float, float, float, float]
) -> NDArray[Any]:
    """The part of an image (H, W) or (H, W, C) in ``box``, as wide and high as ``size``.

    ``box`` is left, top, right and bottom; beyond the image's edges its outermost pixels count.
    Values that are no whole numbers of 8 bits stay so, and nothing is rounded.
    """
    import numpy as np

    if pixels.dtype != np.uint8:
        return _resize_floats(pixels, size, box)
    width, height = size
    left, top, right, bottom = box
    if _is_halved(pixels, size, box):
        whole = pixels.astype(np.int32)
        even, odd = whole[::2], whole[1::2]
        summed = even[:, ::2] + even[:, 1::2] + odd[:, ::2] + odd[:, 1::2]
        return np.asarray((summed + 2) >> 2, dtype=np.uint8)
    rows, row_shares = _places(pixels.shape[0], height, top, bottom)
    columns, shares = _places(pixels.shape[1], width, left, right)
    # Beside the first and the last pixel the whole share is theirs; of rows it is added up.
    shares[:, (columns[0] == columns[1])] = np.array([[_ONE], [0]])
    used, where = np.unique(rows, return_inverse=True)
    part = pixels[used]
    shape = (1, width) + (1,) * (pixels.ndim - 2)
    along = [np.take(part, columns[side], axis=1) * shares[side].reshape(shape) for side in (0, 1)]
    mixed = (along[0] + along[1]) >> _ROWS_KEEP
    where = where.reshape(2, height)
    weights = row_shares.reshape(2, height, *(1,) * (pixels.ndim - 1))
    cut = [(mixed[where[side]] * weights[side]) >> _COLUMNS_KEEP for side in (0, 1)]
    return np.asarray((cut[0] + cut[1] + (1 << (_LAST - 1))) >> _LAST, dtype=np.uint8)


def _resize_floats(
    pixels: NDArray[Any], size: tuple[int, int], box: tuple[float, float, float, float]
) -> NDArray[Any]:
    import numpy as np

    left, top, right, bottom = box
    rows, row_shares = _places(pixels.shape[0], size[1], top, bottom)
    columns, shares = _places(pixels.shape[1], size[0], left, right)
    along = [pixels[:, columns[side]] * (shares[side] / _ONE) for side in (0, 1)]
    mixed = along[0] + along[1]
    down = [mixed[rows[side]] * (row_shares[side] / _ONE)[:, None] for side in (0, 1)]
    return np.asarray(down[0] + down[1], dtype=pixels.dtype)


def _is_halved(
    pixels: NDArray[Any], size: tuple[int, int], box: tuple[float, float, float, float]
) -> bool:
    height, width = pixels.shape[:2]
    return box == (0.0, 0.0, width, height) and (width, height) == (2 * size[0], 2 * size[1])


def _places(length: int, size: int, begin: float, end: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """For each of ``size`` results its two pixels, (2, size), and their shares in 2048ths."""
    import numpy as np

    at = ((np.arange(size) + 0.5) * ((end - begin) / size) - 0.5 + begin).astype(np.float32)
    first = np.floor(at).astype(np.int64)
    share = at - first.astype(np.float32)
    pixels = np.clip(np.stack([first, first + 1]), 0, length - 1)
    shares = np.rint(np.stack([1 - share, share]) * np.float32(_ONE)).astype(np.int32)
    return pixels, shares
