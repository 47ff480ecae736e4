"""Where an image lies in a model's input: pure functions of sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployx_edge.processing.geometry import Geometry

if TYPE_CHECKING:
    from deployx_edge.model import PreProcessing

Size = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Placement:
    """An image is resized to ``sides`` and laid into an input of ``size`` at ``corner``.

    (width, height) and (x, y) in pixels. A corner below zero cuts; ``box`` is the part of the
    image that is resized, left, top, right and bottom, None for all of it.
    """

    size: Size
    sides: Size
    corner: tuple[int, int] = (0, 0)
    box: tuple[float, float, float, float] | None = None


def placement_of(step: PreProcessing, width: int, height: int) -> Placement:
    """How an image of that size is laid into the input that the pre-processing makes of it."""
    size = (step.width, step.height)
    if step.fit == "letterbox":
        sides = _letterbox_size(step, width, height)
        if step.is_open:
            across, down = (-(-side // step.multiple) * step.multiple for side in sides)
            size = (across, down)
        return Placement(size=size, sides=sides, corner=_letterbox_corner(step, size, sides))
    if step.fit == "height":
        across = max(1, min(step.width, math.ceil(step.height * width / height)))
        return Placement(size=size, sides=(across, step.height))
    if step.fit == "multiple":
        sides = _limited_size(step, width, height)
        return Placement(size=sides, sides=sides)
    if step.short is not None:
        sides = _short_size(step.short, width, height)
        left, top = _middle(step, sides)
        return Placement(size=size, sides=sides, corner=(-left, -top))
    if step.fit == "crop":
        return Placement(size=size, sides=size, box=_proportioned(step, width, height))
    return Placement(size=size, sides=size)


def geometry_of(step: PreProcessing, width: int, height: int) -> Geometry:
    """How an image of that size lies in the input that the pre-processing makes of it."""
    placed = placement_of(step, width, height)
    left, top, right, bottom = placed.box or (0.0, 0.0, float(width), float(height))
    scale_x = placed.sides[0] / (right - left)
    scale_y = placed.sides[1] / (bottom - top)
    if step.fit == "letterbox" and step.rounding == "down":
        scale_x = scale_y = _ratio(
            step, width, height
        )  # YOLOX divides by it, less than a pixel off
    return Geometry(
        width=width,
        height=height,
        input_width=placed.size[0],
        input_height=placed.size[1],
        scale_x=scale_x,
        scale_y=scale_y,
        offset_x=placed.corner[0] - left * scale_x,
        offset_y=placed.corner[1] - top * scale_y,
    )


def _letterbox_size(step: PreProcessing, width: int, height: int) -> Size:
    ratio = _ratio(step, width, height)
    whole = math.floor if step.rounding == "down" else round
    # At least a pixel: an image may be a thousand times wider than high.
    return max(1, whole(width * ratio)), max(1, whole(height * ratio))


def _ratio(step: PreProcessing, width: int, height: int) -> float:
    return min(step.width / width, step.height / height)


def _limited_size(step: PreProcessing, width: int, height: int) -> Size:
    """Sides by the limit, each a multiple, as in PaddleOCR's resizing for text detection.

    Multiples are the nearest as there, or by ``rounding`` the next ones up, as in CenterFace's.
    """
    ratio = 1.0
    if step.limit == "min" and min(width, height) < step.side:
        ratio = step.side / min(width, height)
    elif step.limit == "max" and max(width, height) > step.side:
        ratio = step.side / max(width, height)
    whole = math.ceil if step.rounding == "up" else round
    across, down = (
        max(1, whole(int(side * ratio) / step.multiple)) * step.multiple for side in (width, height)
    )
    return across, down


def _letterbox_corner(step: PreProcessing, size: Size, sides: Size) -> Size:
    if step.place == "corner":
        return 0, 0
    return (size[0] - sides[0]) // 2, (size[1] - sides[1]) // 2


def _short_size(short: int, width: int, height: int) -> Size:
    """Sides whose shorter one is ``short``; the longer rounded down, as in torchvision's Resize."""
    if width <= height:
        return short, int(short * height / width)
    return int(short * width / height), short


def _middle(step: PreProcessing, sides: Size) -> Size:
    """The upper left corner of the middle that is cut out, as in torchvision's CenterCrop."""
    return round((sides[0] - step.width) / 2.0), round((sides[1] - step.height) / 2.0)


def _proportioned(
    step: PreProcessing, width: int, height: int
) -> tuple[float, float, float, float]:
    """The largest middle of the wanted proportions, as in Pillow's ImageOps.fit."""
    wanted = step.width / step.height
    across, down = float(width), float(height)
    if width / height > wanted:
        across = wanted * height
    elif width / height < wanted:
        down = width / wanted
    left, top = (width - across) * 0.5, (height - down) * 0.5
    return left, top, left + across, top + down
