"""Outlines of things, as COCO writes them, drawn as pixels; and the package that knows them."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deployx_edge.errors import MissingToolError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FIRST_LETTER = 48  # of a compressed run-length code: six bits a letter from "0" on


def coco_tools(module: str) -> Any:
    """A module of pycocotools; MissingToolError, with the command, where it is not installed."""
    try:
        return importlib.import_module(f"pycocotools.{module}")
    except ImportError as error:
        raise MissingToolError(
            "COCO's outlines and average precision need the package pycocotools.",
            remedy="Install it: pip install 'deployx-edge[evaluation]'.",
        ) from error


def draw_outline(
    outline: Any, box: tuple[float, float, float, float], size: tuple[int, int]
) -> NDArray[np.bool_]:
    """The pixels (height, width) of a thing in an image of ``size`` (width, height).

    ``outline`` is a list of polygons, or a run-length code, compressed or not; where there is
    none, the box is filled. Raises UsageError for anything else, and for what reaches beyond the
    image by more than the image's own size.
    """
    width, height = size
    if not outline:
        drawn = np.zeros((height, width), dtype=bool)
        left, right = (min(max(round(x), 0), width) for x in (box[0], box[0] + box[2]))
        top, bottom = (min(max(round(y), 0), height) for y in (box[1], box[1] + box[3]))
        drawn[top:bottom, left:right] = True
        return drawn
    if isinstance(outline, dict):
        return _draw_runs(outline, size)
    if isinstance(outline, list):
        return _draw_polygons(outline, size)
    raise UsageError("An outline is neither a list of polygons nor a run-length code.")


def _draw_runs(outline: dict[str, Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Runs of pixels that are not of the thing and that are, in turn, column by column.

    Read here and not by pycocotools, whose code in C trusts them and writes beyond its memory.
    """
    width, height = size
    if outline.get("size") != [height, width]:
        raise UsageError(f"An outline's size is not that of its image, {height} by {width}.")
    runs = outline.get("counts")
    if isinstance(runs, str):
        runs = _uncompressed(runs)
    if not isinstance(runs, list) or not all(type(run) is int and run >= 0 for run in runs):
        raise UsageError("The counts of an outline are not whole numbers from 0 on.")
    if sum(runs) != width * height:
        raise UsageError(f"The counts of an outline make {sum(runs)} pixels of {width * height}.")
    inside = np.arange(len(runs)) % 2 == 1
    drawn: NDArray[np.bool_] = np.repeat(inside, runs).reshape(width, height).T
    return drawn


def _uncompressed(text: str) -> list[int]:
    """The runs of COCO's compressed code: five bits a letter, from the third run differences."""
    runs: list[int] = []
    value, shift = 0, 0
    for letter in text:
        bits = ord(letter) - _FIRST_LETTER
        if not 0 <= bits < 64 or shift > 60:
            raise UsageError("The counts of an outline are not compressed run-length code.")
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value, shift = 0, 0
    return runs


def _draw_polygons(polygons: Sequence[Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    width, height = size
    for polygon in polygons:
        listed = polygon if isinstance(polygon, list) else []
        if len(listed) < 6 or not all(isinstance(value, int | float) for value in listed):
            raise UsageError("An outline's polygon is not a list of x and y of three corners.")
        corners = np.asarray([float(np.clip(value, -1e300, 1e300)) for value in listed])
        if len(corners) % 2 or not np.isfinite(corners).all():
            raise UsageError("An outline's polygon is not a list of x and y.")
        across, down = corners[::2], corners[1::2]
        if max(abs(across).max() / width, abs(down).max() / height) > 2:
            raise UsageError("An outline's polygon lies far beyond its image.")
    tools = coco_tools("mask")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its arrays are of an older numpy's kind
        code = tools.merge(tools.frPyObjects(polygons, height, width))
        return np.asarray(tools.decode(code), dtype=bool)
