"""What users write of post-processing, as a value."""

from __future__ import annotations

from collections.abc import Sequence

from deployx_edge.errors import UsageError
from deployx_edge.model import (
    BoxDecoding,
    MaskDecoding,
    NamedShape,
    PostProcessing,
    format_shape,
)
from deployx_edge.processing.steps.words import POSTPROCESS, Words

KINDS = ("classification", "detection", "segmentation")
BOX_FORMATS = ("pairs", "yolo", "yolo-objectness", "ssd", "rows")
CORNERS = ("xyxy", "cxcywh")
ACTIVATIONS = ("none", "sigmoid", "softmax")
BACKGROUNDS = ("none", "first", "last")
MASK_LAYOUTS = ("NCHW", "NHWC", "NHW")

_KEYS = {
    "classification": ("output", "kind", "labels", "softmax"),
    "detection": (
        *("output", "kind", "labels", "format", "boxes", "scores", "priors", "corners"),
        *("relative", "activation", "background", "variances", "score", "iou", "most"),
    ),
    "segmentation": ("output", "kind", "labels", "layout", "threshold"),
}


def parse_postprocessing(text: str, outputs: Sequence[NamedShape]) -> PostProcessing:
    """The post-processing that a ``--postprocess`` text describes, for one of ``outputs``.

    Written as for ``parse_preprocessing``; the word ``detection`` or ``segmentation`` says what
    it is, classification without. Raises UsageError for anything else, and where it does not
    fit the outputs' shapes.
    """
    words = Words(text, POSTPROCESS)
    kind = words.choice("kind", KINDS, next((k for k in KINDS if words.flag(k)), KINDS[0]))
    words.refuse_others((*_KEYS[kind], kind))
    labels = words.names("labels")
    if kind == "detection":
        return _detection(words, outputs, labels)
    spec = words.chosen("output", outputs)
    if kind == "segmentation":
        return _segmentation(words, spec, labels)
    if labels and (not spec.shape or len(labels) != spec.shape[-1]):
        raise _wrong_labels(labels, spec)
    return PostProcessing(output=spec.name, softmax=words.flag("softmax"), labels=labels)


def _detection(
    words: Words, outputs: Sequence[NamedShape], labels: tuple[str, ...]
) -> PostProcessing:
    form = words.choice("format", BOX_FORMATS, "pairs")
    several = form in ("pairs", "ssd")
    if several:
        boxes = _of_width(words, "boxes", outputs, 4, besides=())
        scores = _of_width(words, "scores", outputs, None, besides=(boxes,))
    else:
        boxes = scores = words.chosen("output", outputs)
    priors = ""
    if form == "ssd":
        priors = _of_width(words, "priors", outputs, 4, besides=(boxes, scores)).name
    decoding = BoxDecoding(
        format=form,
        scores=scores.name if several else "",
        priors=priors,
        corners=words.choice("corners", CORNERS, "xyxy"),
        relative=words.flag("relative"),
        activation=words.choice("activation", ACTIVATIONS, "none"),
        background=words.choice("background", BACKGROUNDS, "first" if form == "ssd" else "none"),
        variances=words.numbers("variances", 4, (0.1, 0.1, 0.2, 0.2)),
        score=words.share("score", 0.01),
        iou=words.share("iou", 0.5),
        most=words.whole("most", 1, 100_000, 100),
    )
    count = class_count(decoding, boxes.shape, scores.shape)
    if labels and count is not None and count != len(labels):
        raise _wrong_labels(labels, scores, f", which are {count} classes")
    return PostProcessing(output=boxes.name, kind="detection", labels=labels, boxes=decoding)


def class_count(decoding: BoxDecoding, boxes: Sequence[int], scores: Sequence[int]) -> int | None:
    """How many classes boxes can have by the shapes of both outputs; None where no shape says.

    The background is not among them. Raises UsageError for shapes that cannot be of the format.
    """
    form = decoding.format
    if form in ("pairs", "ssd"):
        if len(boxes) < 2 or len(scores) < 2 or boxes[-1] != 4 or boxes[-2] != scores[-2]:
            raise UsageError(
                f"Boxes of {format_shape(boxes)} and scores of {format_shape(scores)} are no "
                "pairs: they need to be N x 4 and N x classes.",
                remedy="Name both: boxes=OUTPUT,scores=OUTPUT.",
            )
        return scores[-1] - (decoding.background != "none")
    least = {"yolo": 5, "yolo-objectness": 6, "rows": 6}[form]
    fits = len(boxes) >= 2 and all(size == 1 for size in boxes[:-2])
    fits = fits and (boxes[-1] == 6 if form == "rows" else value_count(boxes) >= least)
    if not fits:
        raise UsageError(
            f"An output of {format_shape(boxes)} holds no boxes of the format {form}.",
            remedy="yolo is 1 x 4+classes x N, yolo-objectness 1 x N x 5+classes, rows N x 6.",
        )
    return None if form == "rows" else value_count(boxes) - least + 1


def value_count(shape: Sequence[int]) -> int:
    """Of a single output with boxes, the size of the axis that holds a box's numbers.

    Of its two axes the shorter: there are more boxes than numbers for one.
    """
    return min(shape[-2:])


def _segmentation(words: Words, spec: NamedShape, labels: tuple[str, ...]) -> PostProcessing:
    dims = len(spec.shape)
    layout = words.choice("layout", MASK_LAYOUTS, "NCHW" if dims == 4 else "NHW")
    if dims != len(layout):
        raise UsageError(
            f"The output '{spec.name}' is {format_shape(spec.shape)}; masks are N x classes x "
            "height x width, or N x height x width."
        )
    threshold = words.numbers("threshold", 1, (0.5,))[0]
    channels = {"NCHW": spec.shape[1], "NHWC": spec.shape[-1], "NHW": None}[layout]
    if labels and channels is not None and len(labels) != max(channels, 2):
        raise _wrong_labels(labels, spec)
    return PostProcessing(
        output=spec.name,
        kind="segmentation",
        labels=labels,
        masks=MaskDecoding(layout=layout, threshold=threshold),
    )


def _wrong_labels(labels: Sequence[str], spec: NamedShape, more: str = "") -> UsageError:
    return UsageError(
        f"--postprocess names {len(labels)} labels; the output '{spec.name}' is "
        f"{format_shape(spec.shape)}{more}."
    )


def _of_width(
    words: Words,
    key: str,
    outputs: Sequence[NamedShape],
    width: int | None,
    *,
    besides: Sequence[NamedShape],
) -> NamedShape:
    """The output that a key names, else the only one that can be it by its last axis."""
    if words.given(key):
        return words.chosen(key, outputs)
    taken = {spec.name for spec in besides}
    left = [spec for spec in outputs if spec.name not in taken and len(spec.shape) > 1]
    found = [spec for spec in left if width is None or spec.shape[-1] == width]
    if len(found) != 1:
        listed = ", ".join(f"{spec.name} {format_shape(spec.shape)}" for spec in outputs)
        raise UsageError(
            f"--postprocess does not say which output holds the {key}; there are {listed}.",
            remedy=f"Write {key}=OUTPUT.",
        )
    return found[0]
