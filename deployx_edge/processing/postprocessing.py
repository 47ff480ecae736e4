"""What a model's outputs say: classes, boxes, a class for each pixel. Pure functions of arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deployx_edge.errors import UsageError
from deployx_edge.model import BoxDecoding, MaskDecoding, PostProcessing, format_shape
from deployx_edge.processing.geometry import Geometry
from deployx_edge.processing.steps import class_count

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

# Boxes of one class are moved apart by more than any of them is wide, so that one pass of
# suppression serves all classes (the offset trick of torchvision's batched_nms).
_APART = 2.0
# So many boxes at most enter the suppression, the best ones: as in the usual exports.
_MOST_CANDIDATES = 30_000


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """One class of a classification: its index, its label, its score."""

    index: int
    label: str
    score: float


@dataclass(frozen=True, kw_only=True)
class Detections:
    """Boxes of one image, best first: (N, 4) x0 y0 x1 y1 in pixels, (N,) scores and classes."""

    boxes: Floats
    scores: Floats
    classes: Integers

    def __len__(self) -> int:
        return len(self.scores)

    def above(self, score: float) -> Detections:
        """Those with that score at least."""
        kept = self.scores >= score
        return Detections(
            boxes=self.boxes[kept], scores=self.scores[kept], classes=self.classes[kept]
        )

    def best(self, count: int) -> Detections:
        """The first so many."""
        return Detections(
            boxes=self.boxes[:count], scores=self.scores[:count], classes=self.classes[:count]
        )


def classify(step: PostProcessing, scores: NDArray[Any], count: int = 5) -> tuple[ClassScore, ...]:
    """The ``count`` best classes of one sample's scores (any shape, flattened), best first."""
    values = np.asarray(scores, dtype=np.float64).reshape(-1)
    if step.softmax:
        values = np.exp(values - values.max())
        values /= values.sum()
    order = np.argsort(-values, kind="stable")[:count]
    return tuple(
        ClassScore(
            index=int(index),
            label=step.labels[index] if index < len(step.labels) else str(index),
            score=float(values[index]),
        )
        for index in order
    )


def detect(
    step: PostProcessing, outputs: Mapping[str, NDArray[Any]], geometry: Geometry
) -> Detections:
    """The boxes that one sample's outputs say, in the pixels of its image.

    Decoded as ``step.boxes`` says, suppressed class by class, mapped back and cut to the image;
    boxes that are empty there are dropped, as is what holds NaN. Raises UsageError for outputs
    that cannot be of the format.
    """
    decoding = step.boxes
    if decoding is None:
        raise UsageError(f"The post-processing of '{step.output}' says nothing of boxes.")
    missing = [n for n in (step.output, decoding.scores, decoding.priors) if n and n not in outputs]
    if missing:
        raise UsageError(f"The model gave no output '{missing[0]}', only {', '.join(outputs)}.")
    boxes, scores, classes = _candidates(step.output, decoding, outputs, geometry)
    # Rows that suppression left empty may have the class -1.
    sound = np.isfinite(boxes).all(axis=1) & (scores >= decoding.score) & (classes >= 0)
    boxes, scores, classes = boxes[sound], scores[sound], classes[sound]
    order = np.argsort(-scores, kind="stable")[:_MOST_CANDIDATES]
    boxes, scores, classes = boxes[order], scores[order], classes[order]
    if decoding.format != "rows":
        kept = suppress(boxes, scores, classes, decoding.iou, decoding.most)
        boxes, scores, classes = boxes[kept], scores[kept], classes[kept]
    boxes = geometry.boxes_to_picture(boxes)
    full = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    full &= np.cumsum(full) <= decoding.most
    return Detections(boxes=boxes[full], scores=scores[full], classes=classes[full])


def class_map(
    step: PostProcessing, outputs: Mapping[str, NDArray[Any]], geometry: Geometry
) -> NDArray[np.uint8]:
    """The class of each pixel of one sample's image, (height, width); IGNORED where not seen.

    Raises UsageError for an output that is no such scores, or has more than 255 classes.
    """
    if step.masks is None:
        raise UsageError(f"The post-processing of '{step.output}' says nothing of masks.")
    if step.output not in outputs:
        raise UsageError(f"The model gave no output '{step.output}', only {', '.join(outputs)}.")
    classes = _classes_of_pixels(step.output, step.masks, np.asarray(outputs[step.output]))
    return geometry.classes_to_picture(classes)


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
    name: str,
    decoding: BoxDecoding,
    outputs: Mapping[str, NDArray[Any]],
    geometry: Geometry,
) -> tuple[Floats, Floats, Integers]:
    """All boxes before suppression: corners in the input's pixels, scores and classes."""
    first = np.asarray(outputs[name], dtype=np.float64)
    second = np.asarray(outputs[decoding.scores], np.float64) if decoding.scores else first
    count = class_count(decoding, first.shape, second.shape)
    size = np.asarray([geometry.input_width, geometry.input_height] * 2, dtype=np.float64)
    if decoding.format == "rows":
        rows = first.reshape(-1, 6)
        scale = size if decoding.relative else 1.0
        sound = np.isfinite(rows).all(axis=1)
        rows = rows[sound]
        return _corners(rows[:, :4], decoding.corners) * scale, rows[:, 4], _whole(rows[:, 5])
    if decoding.format in ("yolo", "yolo-objectness"):
        assert count is not None  # only rows do not say it
        boxes, scores = _yolo(first, decoding, count)
        boxes = _corners(boxes, "cxcywh")
        if decoding.format == "yolo":
            scores = _activated(scores, decoding.activation)
    else:
        scores = _activated(second.reshape(-1, second.shape[-1]), decoding.activation)
        boxes = first.reshape(-1, 4)
        if decoding.format == "ssd":
            priors = _corners(
                np.asarray(outputs[decoding.priors], np.float64).reshape(-1, 4), decoding.corners
            )
            boxes = ssd_boxes(boxes, priors, decoding.variances)
        else:
            boxes = _corners(boxes, decoding.corners)
    if decoding.background != "none":
        scores = scores[:, 1:] if decoding.background == "first" else scores[:, :-1]
    if decoding.relative:
        boxes = boxes * size
    # Several classes of one box are several boxes, as in COCO's evaluation of such models.
    with np.errstate(invalid="ignore"):
        places, classes = np.nonzero(scores >= decoding.score)
    return boxes[places], scores[places, classes], classes.astype(np.int64)


def _yolo(output: Floats, decoding: BoxDecoding, count: int) -> tuple[Floats, Floats]:
    """Boxes as cx, cy, width, height, and scores; the axis of a box's numbers is the shorter."""
    values = output.reshape(-1, output.shape[-1])
    if len(values) < output.shape[-1]:
        values = values.T
    if decoding.format == "yolo":
        return values[:, :4], values[:, 4 : 4 + count]
    if decoding.activation == "softmax":
        raise UsageError("Boxes with an objectness take activation=sigmoid, or none.")
    # Both factors are activated here, the product is a probability already.
    parts = _activated(values[:, 4:], decoding.activation)
    return values[:, :4], parts[:, 1:] * parts[:, :1]


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


def _classes_of_pixels(
    name: str, decoding: MaskDecoding, scores: NDArray[Any]
) -> NDArray[np.uint8]:
    wanted = len(decoding.layout)
    if scores.ndim != wanted or scores.shape[0] != 1:
        raise UsageError(
            f"Output '{name}' gave {format_shape(scores.shape)}, not one sample as "
            f"{decoding.layout}."
        )
    one = scores[0]
    if decoding.layout == "NHW":
        whole = np.rint(one)
        if not ((whole >= 0) & (whole <= 255)).all():
            raise UsageError(f"Output '{name}' holds something else than classes 0 to 255.")
        return np.asarray(whole, dtype=np.uint8)
    axis = 0 if decoding.layout == "NCHW" else 2
    if one.shape[axis] == 1:
        return np.asarray(one.squeeze(axis) > decoding.threshold, dtype=np.uint8)
    if one.shape[axis] > 255:
        raise UsageError(f"Output '{name}' has {one.shape[axis]} classes a pixel; 255 are known.")
    return np.asarray(one.argmax(axis=axis), dtype=np.uint8)
