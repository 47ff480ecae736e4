"""How large the values inside Winograd's convolution of 3x3 become.

A tile of the image and the kernel are transformed, multiplied element by element, summed over
the channels, and transformed back: y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A (Lavin and Gray, 2015). Tiles
of many pixels take few products and large factors: what goes in and comes out may be small
where the values in between are beyond half floats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

# Zeros above and below, left and right of an image.
Pads = tuple[tuple[int, int], tuple[int, int]]

_ROOT = 2.0**0.5
_FEW_CHANNELS = 128  # up to them ncnn takes the larger tiles
_TILES = 64


@dataclass(frozen=True, kw_only=True)
class Transform:
    """Bᵀ, G and Aᵀ."""

    image: Array
    kernel: Array
    result: Array

    @property
    def step(self) -> int:
        """How many pixels a tile gives along an axis."""
        return len(self.result)


def _transform(points: list[tuple[float, float, float]], image: list[list[float]]) -> Transform:
    """Of interpolation points (point, its scale in G, its scale in Aᵀ), and infinity at last."""
    size = len(image)
    outputs = size - 2
    kernel = [[scale * point**power for power in range(3)] for point, scale, _ in points]
    result = [
        [scale * point**power for point, _, scale in points] + [float(power == outputs - 1)]
        for power in range(outputs)
    ]
    return Transform(
        image=np.asarray(image),
        kernel=np.asarray([*kernel, [0.0, 0.0, 1.0]]),
        result=np.asarray(result),
    )


_HALF = _ROOT / 2
# The tiles of 4x4 outputs that ncnn computes in half floats.
FOUR = _transform(
    [
        (0.0, 1.0, 1.0),
        (_HALF, -2 / 3, 1.0),
        (-_HALF, -2 / 3, 1.0),
        (_ROOT, 1 / 6, 1.0),
        (-_ROOT, 1 / 6, 1.0),
    ],
    [
        [1.0, 0.0, -2.5, 0.0, 1.0, 0.0],
        [0.0, -_ROOT, -2.0, _HALF, 1.0, 0.0],
        [0.0, _ROOT, -2.0, -_HALF, 1.0, 0.0],
        [0.0, -_HALF, -0.5, _ROOT, 1.0, 0.0],
        [0.0, _HALF, -0.5, -_ROOT, 1.0, 0.0],
        [0.0, 1.0, 0.0, -2.5, 0.0, 1.0],
    ],
)
# Those of 6x6; of the points ½ the powers are written times 32.
SIX = _transform(
    [
        (0.0, 1.0, 1.0),
        (1.0, -2 / 9, 1.0),
        (-1.0, -2 / 9, 1.0),
        (2.0, 1 / 90, 1.0),
        (-2.0, 1 / 90, 1.0),
        (0.5, 1 / 45, 32.0),
        (-0.5, 1 / 45, 32.0),
    ],
    [
        [1.0, 0.0, -5.25, 0.0, 5.25, 0.0, -1.0, 0.0],
        [0.0, 1.0, 1.0, -4.25, -4.25, 1.0, 1.0, 0.0],
        [0.0, -1.0, 1.0, 4.25, -4.25, -1.0, 1.0, 0.0],
        [0.0, 0.5, 0.25, -2.5, -1.25, 2.0, 1.0, 0.0],
        [0.0, -0.5, 0.25, 2.5, -1.25, -2.0, 1.0, 0.0],
        [0.0, 2.0, 4.0, -2.5, -5.0, 0.5, 1.0, 0.0],
        [0.0, -2.0, 4.0, 2.5, -5.0, -0.5, 1.0, 0.0],
        [0.0, -1.0, 0.0, 5.25, 0.0, -5.25, 0.0, 1.0],
    ],
)


def chosen(inputs: int, outputs: int) -> Transform:
    """The tiles that ncnn takes for so many channels."""
    return SIX if max(inputs, outputs) <= _FEW_CHANNELS else FOUR


def largest_inside(image: Array, kernel: Array, pads: Pads, *, limit: float) -> float:
    """A bound of the absolute values that half floats would have to hold on the way.

    ``image`` is (channels, height, width), ``kernel`` (outputs, channels, 3, 3).
    Looked at are the tiles with the largest values, and others between them. Sums over channels
    count as the sum of their absolute terms, as nobody knows in which order they are added. First
    comes a bound for all these tiles at once; only what is beyond ``limit`` by that is looked at
    tile by tile.
    """
    use = chosen(kernel.shape[1], kernel.shape[0])
    tiles = _tiles(image, use, pads)
    turned, inner = _applied(use.image, tiles), _applied(use.kernel, kernel)
    # In each column of the matrices is a value of 1 at least: what is made of rows and columns by
    # absolute ones is no less than what is made of rows alone.
    spread = _largest(_applied(np.abs(use.image), np.abs(tiles).max(axis=0)))
    terms = np.einsum("ocp,cp->op", np.abs(inner), np.abs(turned).max(axis=0))
    size = len(use.image)
    terms = terms.reshape(-1, size, size)
    results = _applied(np.abs(use.result), terms).max(axis=1)
    beyond = results > limit
    held = float(results.max(initial=0.0, where=~beyond))
    if spread <= limit and not beyond.any():
        return max(held, spread)
    return max(held, _looked_at(use, tiles, turned, inner[beyond]))


def _looked_at(use: Transform, tiles: Array, turned: Array, inner: Array) -> float:
    """The same for each of the tiles, and those outputs whose transformed kernels are given."""
    size = len(use.image)
    rows = use.image @ tiles
    spread = [
        _largest(np.abs(use.image) @ np.abs(tiles)),
        _largest(np.abs(rows) @ np.abs(use.image).T),
    ]
    # A product of matrices for each element of a tile: outputs by channels, channels by tiles.
    left = np.ascontiguousarray(inner.transpose(2, 0, 1))
    right = np.ascontiguousarray(turned.transpose(2, 1, 0))
    spread.append(_largest(np.abs(left) @ np.abs(right)))
    summed = (left @ right).transpose(2, 1, 0).reshape(len(tiles), -1, size, size)
    back = use.result @ summed
    spread.append(_largest(np.abs(use.result) @ np.abs(summed)))
    spread.append(_largest(np.abs(back) @ np.abs(use.result).T))
    return max(spread)


def _applied(matrix: Array, squares: Array) -> Array:
    """The matrix on rows and columns of squares, each of which then lies in one row.

    As one product of matrices, which takes a tenth of the time of one for each square.
    """
    both = np.kron(matrix, matrix).astype(np.float32)
    rows = np.ascontiguousarray(squares, dtype=np.float32).reshape(-1, both.shape[1])
    applied: Array = (rows @ both.T).reshape(*squares.shape[:-2], -1)
    return applied


def _tiles(image: Array, use: Transform, pads: Pads) -> Array:
    """Some tiles of the image as (tiles, channels, size, size)."""
    size = len(use.image)
    places = _places(image, use.step, pads)
    found = np.zeros((len(places), len(image), size, size), dtype=np.float32)
    for tile, place in zip(found, places, strict=True):
        (top, above), (left, beside) = (
            (max(0, start - before), max(0, before - start))
            for start, (before, _) in zip(place, pads, strict=True)
        )
        part = image[:, top : top + size - above, left : left + size - beside]
        tile[:, above : above + part.shape[1], beside : beside + part.shape[2]] = part
    return found


def _places(image: Array, step: int, pads: Pads) -> Array:
    """Where in the padded image the tiles are that are looked at, as rows of (y, x)."""
    total, one = np.zeros((2, *image.shape[1:]), dtype=np.float32)
    for channel in image:
        total += np.abs(channel, out=one)
    counts = [
        -(-max(high + before + behind - 2, 0) // step)
        for high, (before, behind) in zip(total.shape, pads, strict=True)
    ]
    (high, wide), (rows, columns) = total.shape, counts
    whole = np.zeros((rows * step + 2, columns * step + 2), dtype=np.float32)
    above, left = pads[0][0], pads[1][0]
    whole[above : above + high, left : left + wide] = total
    squares = whole[: rows * step, : columns * step].reshape(rows, step, columns, step)
    peaks = squares.max(axis=(1, 3)).reshape(-1)
    chosen_ones = np.arange(len(peaks))
    if len(peaks) > _TILES:
        best = np.argpartition(peaks, -_TILES // 2)[-_TILES // 2 :]
        chosen_ones = np.concatenate([best, chosen_ones[:: len(peaks) // (_TILES // 2) + 1]])
    places: Array = np.stack(np.divmod(chosen_ones, columns), axis=1) * step
    return places


def _largest(values: Array) -> float:
    return float(values.max(initial=0.0))
