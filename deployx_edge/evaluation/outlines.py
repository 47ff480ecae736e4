"""Outlines of things, as COCO writes them, drawn as pixels; and the package that knows them."""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from deployx_edge.errors import MissingToolError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
    """The pixels (height, width) of a thing in a picture of ``size`` (width, height).

    ``outline`` is a list of polygons, or a run-length code, compressed or not; where there is
    none, the box is filled. Raises UsageError for anything else.
    """
    width, height = size
    if not outline:
        drawn = np.zeros((height, width), dtype=bool)
        x, y, across, down = box
        drawn[max(0, round(y)) : max(0, round(y + down)), max(0, round(x)) : round(x + across)] = (
            True
        )
        return drawn
    tools = coco_tools("mask")
    try:
        if isinstance(outline, dict) and not isinstance(outline.get("counts"), list):
            coded = outline
        else:
            parts = tools.frPyObjects(outline, height, width)
            coded = tools.merge(parts) if isinstance(parts, list) else parts
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its arrays are of an older numpy's kind
            found = np.asarray(tools.decode(coded), dtype=bool)
    except Exception as error:  # its C code raises whatever it was led to
        raise UsageError(
            f"An outline cannot be read: {' '.join(str(error).split())[:200]}."
        ) from error
    if found.shape != (height, width):
        raise UsageError(f"An outline is for {found.shape[1]}x{found.shape[0]} pixels.")
    return found
