"""A detector's outputs as boxes, with key points where there are some. Pure functions of arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from deployx_edge.errors import UsageError
from deployx_edge.model import BoxDecoding, PostProcessing, format_shape
from deployx_edge.processing.geometry import Geometry
from deployx_edge.processing.results import Detections
from deployx_edge.processing.steps import class_count

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
    Arrays = Mapping[str, NDArray[Any]]

# Boxes of one class are moved apart by more than any of them is wide, so that one pass of
# suppression serves all classes (the offset trick of torchvision's batched_nms).
_APART = 2.0
# So many boxes at most enter the suppression, the best ones: as in the usual exports.
_MOST_CANDIDATES = 30_000
# Their exports have done the suppression.
_SUPPRESSED = ("rows", "lists")


@dataclass(frozen=True, kw_only=True)
class _Scored:
    """All boxes of a sample (N, 4), a score a class of each (N, C), and key points (N, K, 3)."""

    boxes: Floats
    scores: Floats
    points: Floats | None = None


def detect(
    step: PostProcessing, outputs: Mapping[str, NDArray[Any]], geometry: Geometry
) -> Detections:
    """The boxes that one sample's outputs say, in the pixels of its image.

    Decoded as ``step.boxes`` says, suppressed, mapped back and cut to the image; boxes that are
    empty there are dropped, as is what holds NaN. Raises UsageError for outputs that cannot be of
    the format.
    """
    decoding = step.boxes
    if decoding is None:
        raise UsageError(f"The post-processing of '{step.output}' says nothing of boxes.")
    missing = [name for name in (step.output, *decoding.outputs) if name not in outputs]
    if missing:
        raise UsageError(f"The model gave no output '{missing[0]}', only {', '.join(outputs)}.")
    found = _candidates(step.output, decoding, outputs, geometry)
    # Rows that suppression left empty may have the class -1.
    sound = np.isfinite(found.boxes).all(axis=1) & (found.scores >= decoding.score)
    found = found.chosen(np.flatnonzero(sound & (found.classes >= 0)))
    found = found.chosen(np.argsort(-found.scores, kind="stable")[:_MOST_CANDIDATES])
    if decoding.clip:
        size = (geometry.input_width, geometry.input_height) * 2
        found = replace(found, boxes=np.clip(found.boxes, 0.0, size))
    if decoding.format not in _SUPPRESSED and decoding.iou < 1.0:
        classes = np.zeros_like(found.classes) if decoding.agnostic else found.classes
        found = found.chosen(
            suppress(found.boxes, found.scores, classes, decoding.iou, decoding.most)
        )
    found = _in_image(found, geometry)
    full = (found.boxes[:, 2] > found.boxes[:, 0]) & (found.boxes[:, 3] > found.boxes[:, 1])
    return found.chosen(np.flatnonzero(full)).best(decoding.most)


def _in_image(found: Detections, geometry: Geometry) -> Detections:
    points = found.points
    if points is not None:
        places = geometry.points_to_image(points[..., :2])
        points = np.concatenate([places, points[..., 2:]], axis=-1)
    return replace(found, boxes=geometry.boxes_to_image(found.boxes), points=points)


def suppress(boxes: Floats, scores: Floats, classes: Integers, iou: float, most: int) -> Integers:
    """Greedy non-maximum suppression within each class: the indices that stay, best first.

    Of two boxes (N, 4) of one class whose intersection over union is above ``iou``, the one with
    the lower score goes (of equal scores the later one); at most ``most`` stay.
    """
    if not len(boxes):
        return np.zeros(0, dtype=np.int64)
    reach = float(np.abs(boxes).max()) * _APART + 1.0
    moved = boxes + (classes * reach)[:, None]
    areas = _areas(boxes)
    left = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(left) and len(kept) < most:
        best, left = left[0], left[1:]
        kept.append(int(best))
        shared = _shared(moved[best], moved[left])
        union = areas[best] + areas[left] - shared
        left = left[shared <= iou * union]
    return np.asarray(kept, dtype=np.int64)


def overlaps(first: Floats, second: Floats) -> Floats:
    """Intersection over union of each of N boxes with each of M: (N, M); 0 where both are empty."""
    found = np.zeros((len(first), len(second)))
    areas = _areas(second)
    for row, (box, area) in enumerate(zip(first, _areas(first), strict=True)):
        shared = _shared(box, second)
        union = area + areas - shared
        np.divide(shared, union, out=found[row], where=union > 0)
    return found


def _areas(boxes: Floats) -> Floats:
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 0.0, None)
    areas: Floats = sides[:, 0] * sides[:, 1]
    return areas


def _shared(box: Floats, others: Floats) -> Floats:
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[2:], others[:, 2:])
    sides = np.clip(high - low, 0.0, None)
    shared: Floats = sides[:, 0] * sides[:, 1]
    return shared


def _candidates(
    name: str, decoding: BoxDecoding, outputs: Arrays, geometry: Geometry
) -> Detections:
    """All boxes before suppression: corners in the input's pixels, scores and classes."""
    size = np.asarray([geometry.input_width, geometry.input_height] * 2, dtype=np.float64)
    scale = size if decoding.relative else np.ones(4)
    if decoding.format in _SUPPRESSED:
        found = _listed(name, decoding, outputs)
        return replace(found, boxes=_corners(found.boxes, decoding.corners) * scale)
    scored = _scored(name, decoding, outputs, geometry)
    scores, points = scored.scores, scored.points
    if decoding.background != "none":
        scores = scores[:, 1:] if decoding.background == "first" else scores[:, :-1]
    with np.errstate(invalid="ignore"):
        enough = scores >= decoding.score
    if decoding.best:
        enough &= np.arange(scores.shape[1]) == scores.argmax(axis=1)[:, None]
    # Several classes of one box are several boxes else, as in COCO's evaluation of such models.
    places, classes = np.nonzero(enough)
    if points is not None and decoding.relative:
        points = points * np.asarray([size[0], size[1], 1.0])
    return Detections(
        boxes=scored.boxes[places] * scale,
        scores=scores[places, classes],
        classes=classes.astype(np.int64),
        points=None if points is None else points[places],
    )


def _listed(name: str, decoding: BoxDecoding, outputs: Arrays) -> Detections:
    """Boxes that are suppressed already, each with its score and its class."""
    first = np.asarray(outputs[name], dtype=np.float64)
    if decoding.format == "rows":
        class_count(decoding, first.shape, first.shape)
        rows = first.reshape(-1, 6)
        rows = rows[np.isfinite(rows).all(axis=1)]
        return Detections(boxes=rows[:, :4], scores=rows[:, 4], classes=_whole(rows[:, 5]))
    boxes = first.reshape(-1, first.shape[-1])
    scores = np.asarray(outputs[decoding.scores], np.float64).reshape(-1)
    classes = np.asarray(outputs[decoding.classes], np.float64).reshape(-1)
    if boxes.shape[1] != 4 or not len(boxes) == len(scores) == len(classes):
        raise UsageError(
            f"The model gave boxes of {format_shape(first.shape)} with {len(scores)} scores and "
            f"{len(classes)} classes."
        )
    classes = np.where(np.isfinite(classes), classes, -1.0)
    # Of a background that is counted as a class, the first real one has the number 1.
    numbers = _whole(classes) - (decoding.background == "first")
    return Detections(boxes=boxes, scores=scores, classes=numbers)


def _scored(name: str, decoding: BoxDecoding, outputs: Arrays, geometry: Geometry) -> _Scored:
    """Boxes as corners with a score a class, by the format."""
    first = np.asarray(outputs[name], dtype=np.float64)
    if decoding.format == "centres":
        return _centres(first, decoding, outputs, geometry)
    second = np.asarray(outputs[decoding.scores], np.float64) if decoding.scores else first
    count = class_count(decoding, first.shape, second.shape)
    if decoding.format not in ("pairs", "ssd"):
        assert count is not None  # only what is suppressed already does not say it
        return _yolo(first, decoding, count, geometry)
    scores = _activated(second.reshape(-1, second.shape[-1]), decoding.activation)
    boxes = first.reshape(-1, 4)
    if decoding.format == "pairs":
        return _Scored(boxes=_corners(boxes, decoding.corners), scores=scores)
    priors = _corners(
        np.asarray(outputs[decoding.priors], np.float64).reshape(-1, 4), decoding.corners
    )
    return _Scored(boxes=ssd_boxes(boxes, priors, decoding.variances), scores=scores)


def _yolo(output: Floats, decoding: BoxDecoding, count: int, geometry: Geometry) -> _Scored:
    """Boxes, scores and points of one output; the axis of a box's numbers is the shorter."""
    values = output.reshape(-1, output.shape[-1])
    if len(values) < output.shape[-1]:
        values = values.T
    boxes = values[:, :4]
    if decoding.format == "yolo":
        scores = _activated(values[:, 4 : 4 + count], decoding.activation)
        points = _points(values[:, 4 + count :], decoding)
        return _Scored(boxes=_corners(boxes, "cxcywh"), scores=scores, points=points)
    if decoding.activation == "softmax":
        raise UsageError("Boxes with an objectness take activation=sigmoid, or none.")
    if decoding.format == "yolox":
        boxes = _from_grids(boxes, decoding.strides, geometry)
    # Both factors are activated here, the product is a probability already.
    parts = _activated(values[:, 4:], decoding.activation)
    return _Scored(boxes=_corners(boxes, "cxcywh"), scores=parts[:, 1:] * parts[:, :1])


def _points(values: Floats, decoding: BoxDecoding) -> Floats | None:
    if not decoding.points:
        return None
    points = values.reshape(-1, decoding.points, decoding.point_values)
    if decoding.point_values == 3:
        return points
    return np.concatenate([points, np.ones_like(points[..., :1])], axis=-1)


def _from_grids(boxes: Floats, strides: tuple[int, ...], geometry: Geometry) -> Floats:
    """Boxes cx, cy, width, height in pixels, of those in cells of one grid a stride.

    The middle is (value + cell) · stride, a side exp(value) · stride (Z. Ge et al., YOLOX:
    Exceeding YOLO Series in 2021, as its authors' code decodes it).
    """
    cells, scales = [], []
    for stride in strides:
        rows, columns = geometry.input_height // stride, geometry.input_width // stride
        down, across = np.divmod(np.arange(rows * columns), max(columns, 1))
        cells.append(np.stack([across, down], axis=1))
        scales.append(np.full((rows * columns, 1), float(stride)))
    places, scale = np.concatenate(cells), np.concatenate(scales)
    if len(places) != len(boxes):
        raise UsageError(
            f"The model gave {len(boxes)} boxes; grids of the strides "
            f"{', '.join(map(str, strides))} on {geometry.input_width} x {geometry.input_height} "
            f"pixels have {len(places)} cells."
        )
    with np.errstate(over="ignore"):
        sides = np.exp(boxes[:, 2:]) * scale
    return np.concatenate([(boxes[:, :2] + places) * scale, sides], axis=1)


def _centres(scores: Floats, decoding: BoxDecoding, outputs: Arrays, geometry: Geometry) -> _Scored:
    """Boxes around the cells of a grid, with landmarks (Y. Xu et al., CenterFace, 2019).

    Of sizes and offsets the first channel is of rows, the second of columns; a side is exp(value)
    cells, a middle half a cell and the offset beyond the cell's corner. Landmarks are fractions of
    the box from its upper left corner, which its authors cut to the input first, as here.
    """
    classes, rows, columns = scores.shape[-3:]
    stride = np.asarray([geometry.input_height / rows, geometry.input_width / columns])
    cells = np.stack(np.divmod(np.arange(rows * columns), columns), axis=1)
    with np.errstate(over="ignore"):
        sides = np.exp(_cells(outputs, decoding.sizes, 2, rows, columns)) * stride
    middles = (cells + _cells(outputs, decoding.offsets, 2, rows, columns) + 0.5) * stride
    limits = np.asarray([geometry.input_height, geometry.input_width], dtype=np.float64)
    corners = np.clip(middles - sides / 2, 0.0, limits)
    ends = np.minimum(corners + sides, limits)
    points = None
    if decoding.landmarks:
        shares = _cells(outputs, decoding.landmarks, None, rows, columns)
        places = shares.reshape(len(cells), -1, 2) * sides[:, None] + corners[:, None]
        points = np.concatenate([places[..., ::-1], np.ones_like(places[..., :1])], axis=-1)
    return _Scored(
        boxes=np.concatenate([corners[:, ::-1], ends[:, ::-1]], axis=1),
        scores=_activated(scores.reshape(classes, -1).T, decoding.activation),
        points=points,
    )


def _cells(outputs: Arrays, name: str, channels: int | None, rows: int, columns: int) -> Floats:
    """An output C x rows x columns as (cells, C)."""
    array = np.asarray(outputs[name], np.float64)
    found = array.shape[-3] if channels is None and array.ndim > 2 else channels
    if array.shape[-3:] != (found, rows, columns):
        raise UsageError(
            f"Output '{name}' gave {format_shape(array.shape)}; the scores' grid is {rows} x "
            f"{columns}."
        )
    table: Floats = array.reshape(-1, rows * columns).T
    return table


def ssd_boxes(offsets: Floats, priors: Floats, variances: tuple[float, ...]) -> Floats:
    """Boxes as corners, from offsets (N, 4) of the prior boxes (N, 4, corners).

    With the prior's middle p, size s and variances v: middle = p + v · offset · s, size =
    s · exp(v · offset) (W. Liu et al., SSD: Single Shot MultiBox Detector, ECCV 2016, section 2.2,
    as in the authors' code).
    """
    if priors.shape != offsets.shape:
        raise UsageError(f"There are {len(priors)} prior boxes for {len(offsets)} boxes.")
    scaled = offsets * np.asarray(variances)
    sizes = priors[:, 2:] - priors[:, :2]
    middles = (priors[:, 2:] + priors[:, :2]) / 2 + scaled[:, :2] * sizes
    with np.errstate(over="ignore"):
        found = sizes * np.exp(scaled[:, 2:])
    return np.concatenate([middles - found / 2, middles + found / 2], axis=1)


def _corners(boxes: Floats, corners: str) -> Floats:
    if corners == "xyxy":
        return boxes
    if corners == "yxyx":
        return boxes[:, [1, 0, 3, 2]]
    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def _activated(scores: Floats, activation: str) -> Floats:
    if activation == "sigmoid":
        with np.errstate(over="ignore"):
            sigmoid: Floats = 1.0 / (1.0 + np.exp(-scores))
        return sigmoid
    if activation == "softmax":
        raised = np.exp(scores - scores.max(axis=-1, keepdims=True))
        softmax: Floats = raised / raised.sum(axis=-1, keepdims=True)
        return softmax
    return scores


def _whole(values: Floats) -> Integers:
    return np.rint(values).astype(np.int64)
