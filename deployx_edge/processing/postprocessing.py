"""What a model's outputs say: classes, boxes, masks, text. Pure functions of arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from deployx_edge.errors import UsageError
from deployx_edge.model import MaskDecoding, PostProcessing, format_shape
from deployx_edge.processing.areas import text_boxes
from deployx_edge.processing.boxes import detect as detect
from deployx_edge.processing.boxes import overlaps as overlaps
from deployx_edge.processing.boxes import ssd_boxes as ssd_boxes
from deployx_edge.processing.boxes import suppress as suppress
from deployx_edge.processing.geometry import IGNORED, Geometry
from deployx_edge.processing.preprocessing.torch_bilinear import resize
from deployx_edge.processing.results import (
    Classification,
    ClassMap,
    ClassScore,
    Interpretation,
    TextLine,
)
from deployx_edge.processing.results import Detections as Detections

if TYPE_CHECKING:
    from numpy.typing import NDArray


def interpret(
    step: PostProcessing, outputs: Mapping[str, NDArray[Any]], geometry: Geometry
) -> Interpretation:
    """What one sample's outputs say of its image, by the post-processing's kind.

    ``geometry`` says where the image lies in the input: boxes, masks and places of text are in the
    image's pixels. Raises UsageError for outputs that cannot be of the kind.
    """
    if step.kind == "detection":
        return detect(step, outputs, geometry)
    if step.kind == "segmentation":
        return ClassMap(classes=class_map(step, outputs, geometry))
    if step.kind == "text":
        return read_line(step, _of(step, outputs))
    if step.kind == "text-boxes":
        return text_boxes(step, _of(step, outputs), geometry)
    scores = _of(step, outputs)
    values = np.asarray(scores, dtype=np.float64)
    proper = bool(((values >= 0) & (values <= 1)).all())
    return Classification(classes=classify(step, scores), probabilities=step.softmax or proper)


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


def read_line(step: PostProcessing, scores: NDArray[Any]) -> TextLine:
    """The line of text that one sample's scores spell (A. Graves et al., CTC, ICML 2006).

    The best class at each step; of equal ones in a row the first, and no blanks. Raises UsageError
    for scores that are not one sample's, or of other classes than ``step.labels`` and the blank.
    """
    decoding = step.text
    if decoding is None:
        raise UsageError(f"The post-processing of '{step.output}' says nothing of text.")
    values = np.asarray(scores, dtype=np.float64)
    axis = decoding.layout.index("N")
    if values.ndim != 3 or values.shape[axis] != 1 or values.shape[2] != len(step.labels) + 1:
        raise UsageError(
            f"Output '{step.output}' gave {format_shape(values.shape)}, not one sample as "
            f"{decoding.layout} with {len(step.labels)} characters and a blank."
        )
    values = values.squeeze(axis)
    if decoding.softmax:
        values = np.exp(values - values.max(axis=1, keepdims=True))
        values /= values.sum(axis=1, keepdims=True)
    best = values.argmax(axis=1)
    blank = 0 if decoding.blank == "first" else values.shape[1] - 1
    new = np.ones(len(best), dtype=bool)
    new[1:] = best[1:] != best[:-1]
    steps = np.flatnonzero(new & (best != blank))
    sure = values[steps, best[steps]]
    shift = 1 if decoding.blank == "first" else 0
    return TextLine(
        text="".join(step.labels[index - shift] for index in best[steps]),
        score=float(sure.mean()) if len(sure) else 0.0,
        characters=tuple(map(float, sure)),
    )


def class_map(
    step: PostProcessing, outputs: Mapping[str, NDArray[Any]], geometry: Geometry
) -> NDArray[np.uint8]:
    """The class of each pixel of one sample's image, (height, width); IGNORED where not seen.

    Raises UsageError for an output that is no such scores, or has more than 255 classes.
    """
    if step.masks is None:
        raise UsageError(f"The post-processing of '{step.output}' says nothing of masks.")
    scores = np.asarray(_of(step, outputs))
    classes = _classes_of_pixels(step.output, step.masks, scores)
    nearest = geometry.classes_to_image(classes)
    if step.masks.upsample == "nearest":
        return nearest
    smooth = _classes_between(step.masks, scores[0], geometry)
    return np.where(nearest == IGNORED, nearest, smooth)


def _classes_between(
    decoding: MaskDecoding, scores: NDArray[Any], geometry: Geometry
) -> NDArray[np.uint8]:
    """The class of each of the image's pixels by scores that are interpolated there."""
    channels = scores if decoding.layout == "NCHW" else np.moveaxis(scores, -1, 0)
    size, box = (geometry.width, geometry.height), geometry.area_in(*channels.shape[:0:-1])
    best = resize(channels[0].astype(np.float32), size, box)
    if len(channels) == 1:
        return np.asarray(best > decoding.threshold, dtype=np.uint8)
    classes = np.zeros(best.shape, dtype=np.uint8)
    for index, channel in enumerate(channels[1:], 1):  # one by one: an image may be large
        found = resize(channel.astype(np.float32), size, box)
        classes[found > best] = index
        np.maximum(best, found, out=best)
    return classes


def _of(step: PostProcessing, outputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    if step.output not in outputs:
        raise UsageError(f"The model gave no output '{step.output}', only {', '.join(outputs)}.")
    return outputs[step.output]


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
