"""Boxes and masks drawn on images."""

from __future__ import annotations

import base64
import colorsys
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy
from PIL import Image, ImageDraw

from deployx_edge.processing.geometry import IGNORED

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LARGEST, _SMALLEST = 360, 180  # pixels of an image's longer side
_GOLDEN = 0.618033988749895  # neighbouring numbers get colours that lie far apart
_MASK_WEIGHT = 0.7


def colour_of(index: int) -> tuple[int, int, int]:
    """One colour a class, always the same."""
    red, green, blue = colorsys.hsv_to_rgb((0.02 + index * _GOLDEN) % 1.0, 0.85, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def shown_size(width: int, height: int) -> tuple[int, int]:
    """The size in which an image is shown: small ones larger, large ones smaller."""
    longer = max(width, height)
    factor = _LARGEST / longer if longer > _LARGEST else max(1.0, _SMALLEST / longer)
    return max(1, round(width * factor)), max(1, round(height * factor))


def fitted(image: Image.Image) -> Image.Image:
    """The image in RGB in the size in which it is shown."""
    method = Image.Resampling.NEAREST if max(image.size) < _SMALLEST else Image.Resampling.BOX
    return image.convert("RGB").resize(shown_size(*image.size), method)


def with_boxes(
    image: Image.Image,
    boxes: NDArray[numpy.float64],
    classes: Sequence[int],
    words: Sequence[str],
) -> Image.Image:
    """The image as it is shown with boxes (N, 4) in its own pixels, each with its words."""
    drawn = fitted(image)
    scale = drawn.width / image.width, drawn.height / image.height
    pen = ImageDraw.Draw(drawn)
    # The best ones last, on top of the others.
    for box, index, word in reversed(list(zip(boxes, classes, words, strict=True))):
        x0, y0 = float(box[0]) * scale[0], float(box[1]) * scale[1]
        x1, y1 = max(float(box[2]) * scale[0], x0), max(float(box[3]) * scale[1], y0)
        pen.rectangle((x0, y0, x1, y1), outline=colour_of(index), width=2)
        place = pen.textbbox((x0 + 3, y0 + 2), word)
        pen.rectangle(
            (place[0] - 2, place[1] - 1, place[2] + 2, place[3] + 1), fill=colour_of(index)
        )
        pen.text((x0 + 3, y0 + 2), word, fill=(0, 0, 0))
    return drawn


def with_mask(image: Image.Image, mask: NDArray[numpy.uint8]) -> Image.Image:
    """The image as it is shown under the colours of its pixels' classes.

    Class 0, mostly the ground, stays as it is; what does not count is white.
    """
    drawn = fitted(image)
    large = numpy.asarray(Image.fromarray(mask).resize(drawn.size, Image.Resampling.NEAREST))
    palette = numpy.asarray([colour_of(index) for index in range(256)], dtype=numpy.float64)
    palette[IGNORED] = 255.0
    pixels = numpy.asarray(drawn, dtype=numpy.float64)
    blended = pixels * (1 - _MASK_WEIGHT) + palette[large] * _MASK_WEIGHT
    found = numpy.where((large == 0)[:, :, None], pixels, blended)
    return Image.fromarray(numpy.rint(found).astype(numpy.uint8))


def embedded(image: Image.Image) -> str:
    """The image as an address that holds all of it."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
