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


def largest_inside(image: Array, kernel: Array, pads: Pads) -> float:
    """The largest absolute value that half floats would have to hold on the way.

    ``image`` is (channels, height, width), ``kernel`` (outputs, channels, 3, 3).
    Looked at are the tiles with the largest values, and others between them. Sums over channels
    count as the sum of their absolute terms, as nobody knows in which order they are added.
    """
    use = chosen(kernel.shape[1], kernel.shape[0])
    tiles = _tiles(image, use, pads)
    inner = use.kernel @ kernel.astype(np.float64) @ use.kernel.T
    rows = use.image @ tiles
    turned = rows @ use.image.T
    spread = [
        _largest(np.abs(use.image) @ np.abs(tiles)),
        _largest(np.abs(rows) @ np.abs(use.image).T),
    ]
    # A product of matrices for each element of a tile: outputs by channels, channels by tiles.
    left = inner.transpose(2, 3, 0, 1)
    right = turned.transpose(2, 3, 1, 0)
    spread.append(_largest(np.abs(left) @ np.abs(right)))
    summed = (left @ right).transpose(2, 3, 0, 1)
    back = use.result @ summed
    spread.append(_largest(np.abs(use.result) @ np.abs(summed)))
    spread.append(_largest(np.abs(back) @ np.abs(use.result).T))
    return max(spread)


def _tiles(image: Array, use: Transform, pads: Pads) -> Array:
    """Some tiles of the image as (tiles, channels, size, size)."""
    size, step = len(use.image), use.step
    total: Array = np.zeros(image.shape[1:], dtype=np.float32)
    for channel in image:
        total += np.abs(channel)
    total = np.pad(total, pads)
    high, wide = total.shape
    places = [(y, x) for y in range(0, high - 2, step) for x in range(0, wide - 2, step)]
    if len(places) > _TILES:
        peaks = [float(total[y : y + step, x : x + step].max()) for y, x in places]
        best = [places[index] for index in np.argsort(peaks)[-_TILES // 2 :]]
        places = [*best, *places[:: len(places) // (_TILES // 2) + 1]]
    found = np.zeros((len(places), len(image), size, size))
    for tile, place in zip(found, places, strict=True):
        (top, above), (left, beside) = (
            (max(0, start - before), max(0, before - start))
            for start, (before, _) in zip(place, pads, strict=True)
        )
        part = image[:, top : top + size - above, left : left + size - beside]
        tile[:, above : above + part.shape[1], beside : beside + part.shape[2]] = part
    return found


def _largest(values: Array) -> float:
    return float(values.max(initial=0.0))
