"""Places of text out of a map of probabilities (M. Liao et al., DB, AAAI 2020). By OpenCV."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from deployx_edge.errors import MissingToolError, UsageError
from deployx_edge.model import AreaDecoding, PostProcessing, format_shape
from deployx_edge.processing.geometry import Geometry
from deployx_edge.processing.results import TextBox, TextBoxes

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

# Sides below these are noise, as in PaddleOCR: of a piece and of what it is widened to, in the
# map's pixels, and of a place in the image's.
_LEAST_PIECE = 3.0
_LEAST_WIDENED = 5.0
_LEAST_PLACE = 4.0
# An outline leaves out what deviates by less than this share of its length (PaddleOCR's).
_SIMPLER = 0.002
# Rounded corners are drawn with no larger error, in pixels: Clipper's own.
_ARC_ERROR = 0.25
# Places whose upper left corners differ by less are in one line of text, in the image's pixels.
_SAME_LINE = 10.0


def text_boxes(step: PostProcessing, output: NDArray[Any], geometry: Geometry) -> TextBoxes:
    """The places of text that one sample's map (1, 1, height, width) shows, in its image's pixels.

    Raises UsageError for another shape, MissingToolError without OpenCV.
    """
    decoding = step.areas
    if decoding is None:
        raise UsageError(f"The post-processing of '{step.output}' says nothing of places of text.")
    if output.ndim != 4 or output.shape[:2] != (1, 1):
        raise UsageError(
            f"Output '{step.output}' gave {format_shape(output.shape)}, not one map of "
            "probabilities, 1 x 1 x height x width."
        )
    cv2 = _opencv()
    probabilities: NDArray[np.float32] = np.asarray(output[0, 0], dtype=np.float32)
    if decoding.sigmoid:
        with np.errstate(over="ignore"):
            probabilities = np.reciprocal(1.0 + np.exp(-probabilities), dtype=np.float32)
    text = np.asarray(probabilities > decoding.threshold, dtype=np.uint8)
    if decoding.dilate:
        text = cv2.dilate(text, np.ones((2, 2), np.uint8))
    pieces, _ = cv2.findContours(text, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    rows, columns = probabilities.shape
    scale = (geometry.input_width / columns, geometry.input_height / rows)
    found = []
    for piece in pieces[: decoding.most]:
        place = _place(cv2, piece, probabilities, decoding)
        if place is None:
            continue
        corners = geometry.points_to_image(place.corners * scale)
        corners = np.clip(corners, 0.0, (geometry.width, geometry.height))
        if len(corners) != 4 or _least_side(corners) >= _LEAST_PLACE:
            found.append(TextBox(corners=corners, score=place.score))
    return TextBoxes(boxes=tuple(_in_reading_order(found)))


def _opencv() -> ModuleType:
    try:
        import cv2
    except ImportError as error:
        raise MissingToolError(
            "Places of text are found with OpenCV, which is not installed.",
            remedy="pip install 'deployx-edge[opencv]' (opencv-python-headless)",
        ) from error
    module: ModuleType = cv2
    return module


def _place(
    cv2: ModuleType, piece: NDArray[Any], probabilities: NDArray[Any], decoding: AreaDecoding
) -> TextBox | None:
    """Where the text of one connected piece is, in the map's pixels; None where it is none."""
    if decoding.shape == "polygon":
        outline = cv2.approxPolyDP(piece, _SIMPLER * cv2.arcLength(piece, True), True)
        corners = outline.reshape(-1, 2).astype(np.float64)
        if len(corners) < 4:
            return None
    else:
        corners = _least_rectangle(cv2, piece)
        if _least_side(corners) < _LEAST_PIECE:
            return None
    score = _mean_within(cv2, probabilities, corners)
    if score < decoding.score:
        return None
    distance = _area(corners) * decoding.unclip / _length(corners)
    if decoding.shape == "polygon":
        widened = _widened_outline(cv2, corners, distance)
        rectangle = _least_rectangle(cv2, widened)
    else:
        widened = rectangle = _least_rectangle(cv2, _widened_rectangle(corners, distance))
    return (
        None if _least_side(rectangle) < _LEAST_WIDENED else TextBox(corners=widened, score=score)
    )


def _least_rectangle(cv2: ModuleType, points: NDArray[Any]) -> Floats:
    """The corners of the rectangle of the least area around points, the upper left one first."""
    corners = np.asarray(cv2.boxPoints(cv2.minAreaRect(points.astype(np.float32))), np.float64)
    corners = corners[np.argsort(corners[:, 0], kind="stable")]
    left, right = corners[:2], corners[2:]
    left, right = left[np.argsort(left[:, 1])], right[np.argsort(right[:, 1])]
    return np.stack([left[0], right[0], right[1], left[1]])


def _mean_within(cv2: ModuleType, probabilities: NDArray[Any], corners: Floats) -> float:
    """The mean probability of the pixels within the corners."""
    limits = np.asarray(probabilities.shape[::-1]) - 1
    low = np.clip(np.floor(corners.min(axis=0)), 0, limits).astype(np.int64)
    high = np.clip(np.ceil(corners.max(axis=0)), 0, limits).astype(np.int64)
    within = np.zeros(tuple(high - low + 1)[::-1], np.uint8)
    cv2.fillPoly(within, [(corners - low).astype(np.int32)], 1)
    part = probabilities[low[1] : high[1] + 1, low[0] : high[0] + 1]
    return float(cv2.mean(part, within)[0])


def _widened_rectangle(corners: Floats, distance: float) -> Floats:
    """Points around a rectangle at that distance, with rounded corners, in whole pixels.

    That is what Clipper makes of it (in PaddleOCR by pyclipper), whose numbers are whole: a
    library more for a convex shape of four corners is not worth it.
    """
    whole = np.trunc(corners)
    edges = np.roll(whole, -1, axis=0) - whole
    outward = np.arctan2(-edges[:, 0], edges[:, 1])  # of each edge, as corners go clockwise
    before = np.roll(outward, 1)
    turn = np.mod(outward - before, 2 * math.pi)
    if distance <= 0:
        return whole
    circle = math.pi / math.acos(1.0 - min(_ARC_ERROR, 0.25 * distance) / distance)
    angle = 2 * math.pi / min(circle, math.pi * distance)
    steps = max(1, round(float(turn.max()) / angle))
    turns = np.minimum(np.arange(steps) * angle, turn[:, None])
    angles = before[:, None] + np.concatenate([turns, turn[:, None]], axis=1)
    arcs = np.stack([np.cos(angles), np.sin(angles)], axis=-1) * distance
    return np.rint(whole[:, None] + arcs).reshape(-1, 2)


def _widened_outline(cv2: ModuleType, corners: Floats, distance: float) -> Floats:
    """The outline of all pixels that are no farther than that from the shape within ``corners``."""
    margin = math.ceil(distance) + 2
    low = np.floor(corners.min(axis=0)) - margin
    width, height = (np.ceil(corners.max(axis=0)) + margin - low + 1).astype(int)
    outside = np.ones((height, width), np.uint8)
    cv2.fillPoly(outside, [np.rint(corners - low).astype(np.int32)], 0)
    away = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    near = np.asarray(away <= distance, np.uint8)
    outlines, _ = cv2.findContours(near, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    outline = max(outlines, key=cv2.contourArea)
    outline = cv2.approxPolyDP(outline, _SIMPLER * cv2.arcLength(outline, True), True)
    return np.asarray(outline.reshape(-1, 2) + low, np.float64)


def _area(corners: Floats) -> float:
    x, y = corners.T
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def _length(corners: Floats) -> float:
    return float(_sides(corners).sum())


def _sides(corners: Floats) -> Floats:
    sides: Floats = np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1)
    return sides


def _least_side(corners: Floats) -> float:
    return float(_sides(corners).min())


def _in_reading_order(boxes: list[TextBox]) -> list[TextBox]:
    """From above to below, and from left to right where upper left corners are about as high."""
    placed = sorted(boxes, key=lambda box: (box.corners[0, 1], box.corners[0, 0]))
    for index in range(1, len(placed)):
        # A box moves before those of its line that are to its right.
        while index > 0:
            before, box = placed[index - 1].corners[0], placed[index].corners[0]
            if abs(box[1] - before[1]) >= _SAME_LINE or box[0] >= before[0]:
                break
            placed[index - 1], placed[index] = placed[index], placed[index - 1]
            index -= 1
    return placed
