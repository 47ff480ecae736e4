"""What was found, drawn on the image itself, to be read whatever its size."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy
from PIL import Image, ImageDraw, ImageFont

from deployx_edge.processing.findings import Finding, FoundBox
from deployx_edge.processing.geometry import IGNORED
from deployx_edge.report.drawing import colour_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

# An image whose longer side is shorter is enlarged by a whole factor, so that words fit.
_LEAST_SIDE = 256
_LEAST_FONT = 11
_MASK_WEIGHT = 0.55
_WHITE, _EDGE = (255, 255, 255), (150, 150, 150)
_MOST_CLASSES = 5  # named in a corner
_LEAST_OF_BEST = 0.05  # a class's score, to be named
_LEAST_POINT = 0.3  # a key point's score, to be drawn
_LEAST_SHARE = 0.001  # of the pixels, to be named


def enlargement(width: int, height: int) -> int:
    """The whole factor by which an image of that size is drawn larger."""
    return max(1, -(-_LEAST_SIDE // max(width, height)))


def annotate(image: Image.Image, findings: Sequence[Finding]) -> Image.Image:
    """A copy of the image with masks, boxes and words on it; small ones enlarged."""
    factor = enlargement(*image.size)
    canvas = _coloured(image)
    if factor > 1:
        size = canvas.width * factor, canvas.height * factor
        canvas = canvas.resize(size, Image.Resampling.NEAREST)
    for finding in findings:
        if finding.mask is not None:
            canvas = _with_mask(canvas, finding.mask)
    pen = _Pen(canvas)
    for finding in findings:
        # The best ones last, on top of the others.
        for box in reversed(finding.boxes):
            pen.box(box, factor)
        for area in finding.areas:
            pen.area(area.corners, factor)
    pen.corner([line for finding in findings for line in _lines(finding)])
    texts = [finding.text for finding in findings if finding.text is not None]
    return _with_words_below(canvas, [f"{each.text}  {each.score:.2f}" for each in texts])


def _with_words_below(canvas: Image.Image, lines: Sequence[str]) -> Image.Image:
    """What was read stands below an image, most of which is what was read."""
    if not lines:
        return canvas
    font = _font(max(_LEAST_FONT, round(max(canvas.size) / 24)))
    pen = ImageDraw.Draw(canvas)
    high = int(pen.textbbox((0, 0), "Ág", font=font)[3]) + 6
    wide = max(canvas.width, *(int(pen.textlength(line, font=font)) + 8 for line in lines))
    larger = Image.new("RGB", (wide, canvas.height + high * len(lines)), (255, 255, 255))
    larger.paste(canvas, (0, 0))
    pen = ImageDraw.Draw(larger)
    pen.line((0, canvas.height, wide, canvas.height), fill=_EDGE)
    for place, line in enumerate(lines):
        pen.text((4, canvas.height + place * high + 3), line, fill=(0, 0, 0), font=font)
    return larger


def _coloured(image: Image.Image) -> Image.Image:
    return (image.convert("L") if image.mode == "F" else image).convert("RGB")


def _lines(finding: Finding) -> list[tuple[int | None, str]]:
    """What is said of the whole image, with the number of the colour of each."""
    if finding.kind == "segmentation":
        named = [share for share in finding.shares if share.share >= _LEAST_SHARE]
        # The ground has no colour.
        return [
            (each.index or None, f"{each.label} {each.share:.0%}") for each in named[:_MOST_CLASSES]
        ]
    least = _LEAST_OF_BEST * max((each.score for each in finding.classes), default=0.0)
    named_classes = [each for each in finding.classes if each.score >= least][:_MOST_CLASSES]
    return [(None, f"{each.label} {each.score:.2f}") for each in named_classes]


def _with_mask(canvas: Image.Image, mask: NDArray[numpy.uint8]) -> Image.Image:
    """Class 0, mostly the ground, stays as it is; what the model was not shown is gray."""
    large = numpy.asarray(Image.fromarray(mask).resize(canvas.size, Image.Resampling.NEAREST))
    palette = numpy.asarray([colour_of(index) for index in range(256)], dtype=numpy.float32)
    palette[IGNORED] = 128.0
    pixels = numpy.asarray(canvas, dtype=numpy.float32)
    blended = pixels * (1 - _MASK_WEIGHT) + palette[large] * _MASK_WEIGHT
    found = numpy.where((large == 0)[:, :, None], pixels, blended)
    return Image.fromarray(numpy.rint(found).astype(numpy.uint8))


class _Pen:
    """Lines and words whose size follows the image's."""

    def __init__(self, canvas: Image.Image) -> None:
        longer = max(canvas.size)
        self._size = canvas.size
        self._draw = ImageDraw.Draw(canvas)
        self._line = max(2, round(longer / 400))
        self._font = _font(max(_LEAST_FONT, round(longer / 56)))

    def box(self, box: FoundBox, factor: int) -> None:
        """Its outline lies inside of it, its words above it where there is room."""
        left, top = int(box.x0 * factor), int(box.y0 * factor)
        # A box ends where its last pixel does.
        right = max(left, min(self._size[0], -int(-box.x1 * factor // 1)) - 1)
        bottom = max(top, min(self._size[1], -int(-box.y1 * factor // 1)) - 1)
        colour = colour_of(box.index)
        thin = max(1, min(self._line, (right - left) // 4, (bottom - top) // 4))
        self._draw.rectangle((left, top, right, bottom), outline=colour, width=thin)
        reach = self._line * 1.5
        for x, y, sure in box.points:
            if sure >= _LEAST_POINT:
                place = (
                    x * factor - reach,
                    y * factor - reach,
                    x * factor + reach,
                    y * factor + reach,
                )
                self._draw.ellipse(place, fill=colour, outline=(0, 0, 0))
        words = f"{box.label} {box.score:.2f}"
        _, high = self._measured(words)
        # Inside, where there is none, the outline stays to be seen.
        above = top - high
        self._label((left, above if above >= 0 else top + thin), words, colour, inset=thin)

    def area(self, corners: Sequence[tuple[float, float]], factor: int) -> None:
        """The outline of a place of text."""
        line = [(x * factor, y * factor) for x, y in (*corners, *corners[:1])]
        self._draw.line(line, fill=colour_of(0), width=self._line, joint="curve")

    def corner(self, lines: Sequence[tuple[int | None, str]]) -> None:
        """Lines of words in the upper left corner."""
        place = 0
        for index, words in lines:
            colour = _WHITE if index is None else colour_of(index)
            place += self._label((0, place), words, colour, inset=0)

    def _measured(self, words: str) -> tuple[int, int]:
        right = self._draw.textlength(words, font=self._font)
        # Of all words the same, whether they have long letters or not.
        bottom = self._draw.textbbox((0, 0), "Ág", font=self._font)[3]
        return int(right) + 6, int(bottom) + 3

    def _label(
        self, corner: tuple[int, int], words: str, colour: tuple[int, int, int], *, inset: int
    ) -> int:
        """Words on a ground of that colour, moved so that they are on the image; their height."""
        wide, high = self._measured(words)
        x = max(0, min(corner[0] + (inset if corner[0] else 0), self._size[0] - wide))
        y = max(0, min(corner[1], self._size[1] - high))
        edge = _EDGE if colour == _WHITE else colour
        self._draw.rectangle((x, y, x + wide - 1, y + high - 1), fill=colour, outline=edge)
        light = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
        ink = (0, 0, 0) if light > 110 else (255, 255, 255)
        self._draw.text((x + 3, y + 1), words, fill=ink, font=self._font)
        return high


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """DejaVu, which matplotlib brings along and which knows more letters than Pillow's own."""
    found = find_spec("matplotlib")
    if found is not None and found.origin is not None:
        path = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        try:
            return ImageFont.truetype(str(path), size)
        except OSError:  # a package without its data, or Pillow without FreeType
            pass
    return ImageFont.load_default(size)
