"""Draw images of circles, squares and triangles, for the detector and the segmenter.

The same seed gives the same images. The ground is a gradient with blotches, stripes, thin
lines and noise; the shapes lie on it in any turn, may overlap a little, and differ from
what is under them in at least one colour. Needs numpy and pillow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

CLASSES = ("circle", "square", "triangle")
MOST_SHAPES = 5  # in one image; there is at least one

_FINENESS = 4  # shapes are drawn so many times larger, and their edges averaged
_SMALLEST, _LARGEST = 0.16, 0.5  # a shape's diameter, as a part of the image's side
_COVERED = 0.15  # so much of the smaller of two boxes may lie in the other
_CONTRAST = 70.0  # of 255, in the colour that differs most
_LEVELS = 8  # colours are multiples of it, so that files of images stay small

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A square image with what is on it; later shapes cover earlier ones.

    ``pixels`` (side, side, 3) are RGB; ``boxes`` (N, 4) are x0, y0, x1, y1 in pixels, of
    the whole shape, also where it is covered; ``labels`` (N,) index ``CLASSES``; ``mask``
    (side, side) is 0 for the ground and 1 + label for the shape that is seen.
    """

    pixels: NDArray[np.uint8]
    boxes: Floats
    labels: NDArray[np.int64]
    mask: NDArray[np.uint8]


def draw(random: np.random.Generator, side: int) -> Picture:
    """One image of ``side`` x ``side`` pixels."""
    canvas = _ground(random, side)
    mask = np.zeros((side, side), dtype=np.uint8)
    boxes: list[Floats] = []
    labels: list[int] = []
    for _ in range(random.integers(1, MOST_SHAPES + 1)):
        label = int(random.integers(len(CLASSES)))
        outline = _free_outline(random, side, label, boxes)
        if outline is None:
            continue
        coverage = _coverage(outline, side)
        colour = _colour(random, canvas[coverage > 0.5].mean(axis=0))
        shade = 1 + random.uniform(-0.2, 0.2) * _slope(random, side)
        canvas += coverage[:, :, None] * (shade[:, :, None] * colour - canvas)
        mask[coverage > 0.5] = 1 + label
        boxes.append(_box(outline))
        labels.append(label)
    canvas += random.normal(0, random.uniform(1, 6), (side, side, 1))
    pixels = np.clip(np.rint(canvas / _LEVELS) * _LEVELS, 0, 255).astype(np.uint8)
    return Picture(
        pixels=pixels,
        boxes=np.stack(boxes),
        labels=np.array(labels, dtype=np.int64),
        mask=mask,
    )


def draw_many(seed: int, count: int, side: int) -> list[Picture]:
    """``count`` images; other seeds give other ones."""
    random = np.random.default_rng(seed)
    return [draw(random, side) for _ in range(count)]


def to_input(pixels: NDArray[np.uint8]) -> Floats:
    """RGB pixels (N, side, side, 3) of 0 … 255 as a model's input (N, 3, side, side) in 0 … 1."""
    planes: Floats = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).astype(np.float32)
    planes /= 255
    return planes


def _ground(random: np.random.Generator, side: int) -> Floats:
    """A gradient of two colours with blotches, stripes and thin lines, (side, side, 3)."""
    first, second = random.uniform(20, 235, (2, 3))
    along = (_slope(random, side)[:, :, None] + 1) / 2
    coarse = random.normal(0, random.uniform(3, 20), (6, 6)).astype(np.float32)
    blotches = np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))
    waves = random.uniform(10, 40) * _slope(random, side)
    stripes = random.uniform(0, 12) * np.sin(waves)
    ground = first + along * (second - first) + (blotches + stripes)[:, :, None]
    lined = Image.fromarray(np.clip(ground, 0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(lined)
    for _ in range(random.integers(0, 4)):
        ends = [float(value) for value in random.uniform(0, side, 4)]
        red, green, blue = (int(value) for value in random.integers(0, 256, 3))
        pen.line(ends, fill=(red, green, blue), width=int(random.integers(1, 3)))
    return np.array(lined, dtype=np.float32)


def _slope(random: np.random.Generator, side: int) -> Floats:
    """A plane that rises from about -1 to about 1 in a random direction, (side, side)."""
    turn = random.uniform(0, 2 * np.pi)
    across = np.linspace(-1, 1, side, dtype=np.float32)
    right, down = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    plane: Floats = right * across[None, :] + down * across[:, None]
    return plane


def _free_outline(
    random: np.random.Generator, side: int, label: int, boxes: list[Floats]
) -> Floats | None:
    """Corners (N, 2) in pixels of a shape that hardly covers others; None if no place was found."""
    for _ in range(20):
        radius = random.uniform(_SMALLEST, _LARGEST) * side / 2
        centre = random.uniform(radius, side - radius, 2)
        corners = (64, 4, 3)[label]
        turns = random.uniform(0, 2 * np.pi) + np.arange(corners) * (2 * np.pi / corners)
        around = np.stack([np.cos(turns), np.sin(turns)], axis=1)
        outline = (centre + radius * around).astype(np.float32)
        if all(_overlap(_box(outline), other) <= _COVERED for other in boxes):
            return outline
    return None


def _box(outline: Floats) -> Floats:
    """x0, y0, x1, y1 around corners (N, 2)."""
    box: Floats = np.concatenate([outline.min(axis=0), outline.max(axis=0)])
    return box


def _overlap(one: Floats, other: Floats) -> float:
    """The part of the smaller box that lies in the other."""
    inner = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    smaller = min(np.prod(one[2:] - one[:2]), np.prod(other[2:] - other[:2]))
    return float(np.prod(np.maximum(inner, 0)) / smaller)


def _coverage(outline: Floats, side: int) -> Floats:
    """How much of each pixel (side, side) lies inside the corners (N, 2), 0 … 1."""
    large = Image.new("L", (side * _FINENESS, side * _FINENESS))
    corners = [(float(x), float(y)) for x, y in outline * _FINENESS]
    ImageDraw.Draw(large).polygon(corners, fill=255)
    coverage: Floats = np.array(large.reduce(_FINENESS), dtype=np.float32)
    coverage /= 255
    return coverage


def _colour(random: np.random.Generator, under: Floats) -> Floats:
    """A colour (3,) of 0 … 255 that can be told from the mean colour under the shape."""
    while True:
        colour = random.uniform(0, 255, 3).astype(np.float32)
        if np.abs(colour - under).max() >= _CONTRAST:
            return colour
