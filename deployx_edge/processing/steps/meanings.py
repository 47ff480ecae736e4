"""What users write of post-processing, as a value."""

from __future__ import annotations

from collections.abc import Sequence

from deployx_edge.errors import UsageError
from deployx_edge.model import (
    AreaDecoding,
    BoxDecoding,
    MaskDecoding,
    NamedShape,
    PostProcessing,
    TextDecoding,
    format_shape,
)
from deployx_edge.processing.steps.words import POSTPROCESS, Words

KINDS = ("classification", "detection", "segmentation", "text", "text-boxes")
BOX_FORMATS = (*("pairs", "yolo", "yolo-objectness", "yolox", "ssd", "lists", "rows", "centres"),)
CORNERS = ("xyxy", "yxyx", "cxcywh")
ACTIVATIONS = ("none", "sigmoid", "softmax")
BACKGROUNDS = ("none", "first", "last")
MASK_LAYOUTS = ("NCHW", "NHWC", "NHW")
UPSAMPLES = ("nearest", "bilinear")
TEXT_LAYOUTS = ("NTC", "TNC")
BLANKS = ("first", "last")
AREA_SHAPES = ("box", "polygon")
MOST_POINTS = 1000
MOST_STRIDES = 16
# The formats whose boxes and scores are outputs of their own.
_SEVERAL = ("pairs", "ssd", "lists")

_KEYS = {
    "classification": ("output", "kind", "labels", "softmax"),
    "detection": (
        *("output", "kind", "labels", "format", "boxes", "scores", "priors", "corners"),
        *("relative", "activation", "background", "variances", "score", "iou", "most", "best"),
        *("agnostic", "points", "point-values", "strides", "classes", "sizes", "offsets"),
        *("landmarks", "clip"),
    ),
    "segmentation": ("output", "kind", "labels", "layout", "threshold", "upsample"),
    "text": ("output", "kind", "labels", "dictionary", "layout", "blank", "softmax"),
    "text-boxes": (
        *("output", "kind", "labels", "threshold", "score", "unclip", "shape", "dilate", "most"),
        "sigmoid",
    ),
}


def parse_postprocessing(
    text: str, outputs: Sequence[NamedShape], characters: Sequence[str] = ()
) -> PostProcessing:
    """The post-processing that a ``--postprocess`` text describes, for one of ``outputs``.

    Written as for ``parse_preprocessing``; one of the words ``detection``, ``segmentation``,
    ``text`` and ``text-boxes`` says what it is, classification without. Raises UsageError for
    anything else, and where it does not fit the outputs' shapes. ``characters`` are those that the
    model's file names, for a text that names none.
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
    if kind == "text":
        return _text(words, spec, labels, characters)
    if kind == "text-boxes":
        return _areas(words, spec, labels)
    if labels and (not spec.shape or len(labels) != spec.shape[-1]):
        raise _wrong_labels(labels, spec)
    return PostProcessing(output=spec.name, softmax=words.flag("softmax"), labels=labels)


def _detection(
    words: Words, outputs: Sequence[NamedShape], labels: tuple[str, ...]
) -> PostProcessing:
    form = words.choice("format", BOX_FORMATS, "pairs")
    several = form in _SEVERAL
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
        best=words.flag("best"),
        agnostic=words.flag("agnostic"),
        clip=words.flag("clip"),
        points=words.whole("points", 0, MOST_POINTS),
        point_values=words.whole("point-values", 2, 3, 3),
        strides=_strides(words) if form == "yolox" else BoxDecoding.strides,
        **_named_outputs(words, form, outputs),
    )
    _check_keys(words, form)
    count = class_count(decoding, boxes.shape, scores.shape)
    if labels and count is not None and count != len(labels):
        raise _wrong_labels(labels, scores, f", which are {count} classes")
    return PostProcessing(output=boxes.name, kind="detection", labels=labels, boxes=decoding)


def _named_outputs(words: Words, form: str, outputs: Sequence[NamedShape]) -> dict[str, str]:
    """The outputs that cannot be told by their shapes."""
    needed = {"lists": ("classes",), "centres": ("sizes", "offsets")}.get(form, ())
    missing = [key for key in needed if not words.given(key)]
    if missing:
        listed = ", ".join(f"{spec.name} {format_shape(spec.shape)}" for spec in outputs)
        raise UsageError(
            f"--postprocess does not say which output holds the {missing[0]}; there are {listed}.",
            remedy=f"Write {missing[0]}=OUTPUT.",
        )
    optional = ("landmarks",) if form == "centres" and words.given("landmarks") else ()
    return {key: words.chosen(key, outputs).name for key in (*needed, *optional)}


def _strides(words: Words) -> tuple[int, ...]:
    text = words.text("strides", "8/16/32")
    parts = text.split("/")
    if len(parts) > MOST_STRIDES or not all(
        part.isascii() and part.isdigit() and 1 <= int(part[:6]) <= 4096 for part in parts
    ):
        raise UsageError(f"--postprocess strides={text} are not whole numbers with / between them.")
    return tuple(int(part) for part in parts)


def _check_keys(words: Words, form: str) -> None:
    """UsageError for a key that means nothing for the format."""
    only = {
        **dict.fromkeys(("points", "point-values"), "yolo"),
        **dict.fromkeys(("sizes", "offsets", "landmarks"), "centres"),
        "strides": "yolox",
        "classes": "lists",
    }
    stray = next((key for key, wanted in only.items() if words.given(key) and form != wanted), None)
    if stray is not None:
        raise UsageError(f"{stray} in --postprocess needs format={only[stray]}, not {form}.")


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
    if form == "lists":
        return None
    if form == "centres":
        if len(boxes) < 3:
            raise UsageError(
                f"An output of {format_shape(boxes)} holds no scores of centres: they are classes "
                "x rows x columns."
            )
        return boxes[-3] - (decoding.background != "none")
    least = {"yolo": 5, "rows": 6}.get(form, 6) + decoding.points * decoding.point_values
    fits = len(boxes) >= 2 and all(size == 1 for size in boxes[:-2])
    fits = fits and (boxes[-1] == 6 if form == "rows" else value_count(boxes) >= least)
    if not fits:
        raise UsageError(
            f"An output of {format_shape(boxes)} holds no boxes of the format {form}"
            + (f" with {decoding.points} points." if decoding.points else "."),
            remedy="yolo is 1 x 4+classes x N, yolo-objectness and yolox 1 x N x 5+classes, rows "
            "N x 6; key points come after the classes.",
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
    upsample = words.choice("upsample", UPSAMPLES, "nearest")
    if layout == "NHW" and upsample != "nearest":
        raise UsageError(
            f"upsample={upsample} in --postprocess is for scores; '{spec.name}' holds classes."
        )
    if labels and channels is not None and len(labels) != max(channels, 2):
        raise _wrong_labels(labels, spec)
    return PostProcessing(
        output=spec.name,
        kind="segmentation",
        labels=labels,
        masks=MaskDecoding(layout=layout, threshold=threshold, upsample=upsample),
    )


def _text(
    words: Words, spec: NamedShape, labels: tuple[str, ...], known: Sequence[str]
) -> PostProcessing:
    source, characters = words.dictionary("dictionary")
    if labels and characters:
        raise UsageError("--postprocess takes labels or a dictionary, not both.")
    if not labels and not characters and known:
        source, characters = "The model's file", tuple(known)
    characters = characters or labels
    layout = words.choice("layout", TEXT_LAYOUTS, _text_layout(spec.shape))
    if len(spec.shape) != 3:
        raise UsageError(
            f"The output '{spec.name}' is {format_shape(spec.shape)}; the scores of a line of text "
            "are samples x steps x characters, or steps x samples x characters."
        )
    wanted = spec.shape[-1] - 1
    if not characters:
        raise UsageError(
            f"Nothing says what the {wanted} characters of the output '{spec.name}' are.",
            remedy="Write dictionary=FILE (a character a line), or labels=a|b|….",
        )
    if len(characters) == wanted - 1 and " " not in characters:
        characters = (*characters, " ")  # as PaddleOCR's use_space_char puts it there
    if len(characters) != wanted:
        raise UsageError(
            f"{source or 'The labels in --postprocess'} has {len(characters)} characters; the "
            f"output '{spec.name}' is {format_shape(spec.shape)}, which are {wanted} characters "
            "and a blank.",
            remedy="Give the dictionary that the model was trained with.",
        )
    broken = next((c for c in characters if any(ord(x) < 0x20 or x == "\x7f" for x in c)), None)
    if broken is not None:
        raise UsageError(
            f"{source or 'The labels in --postprocess'} has the control character {broken!r} as "
            f"entry {characters.index(broken) + 1}, which cannot be shown as text.",
            remedy="Replace it in a copy; the order of the others decides what is read.",
        )
    return PostProcessing(
        output=spec.name,
        kind="text",
        labels=characters,
        text=TextDecoding(
            layout=layout,
            blank=words.choice("blank", BLANKS, "first"),
            softmax=words.flag("softmax"),
        ),
    )


def _text_layout(shape: Sequence[int]) -> str:
    """``TNC`` where only the second axis can count samples."""
    return "TNC" if len(shape) == 3 and shape[0] != 1 and shape[1] == 1 else "NTC"


def _areas(words: Words, spec: NamedShape, labels: tuple[str, ...]) -> PostProcessing:
    if labels:
        raise UsageError("Places of text have no labels.")
    if len(spec.shape) != 4 or spec.shape[1] != 1:
        raise UsageError(
            f"The output '{spec.name}' is {format_shape(spec.shape)}; a map of probabilities is "
            "N x 1 x height x width."
        )
    unclip = words.numbers("unclip", 1, (1.6,))[0]
    if not 0.0 <= unclip <= 100.0:
        raise UsageError(f"--postprocess unclip={unclip:g} is not from 0 to 100.")
    return PostProcessing(
        output=spec.name,
        kind="text-boxes",
        areas=AreaDecoding(
            threshold=words.share("threshold", 0.3),
            score=words.share("score", 0.5),
            unclip=unclip,
            shape=words.choice("shape", AREA_SHAPES, "box"),
            dilate=words.flag("dilate"),
            most=words.whole("most", 1, 100_000, 1000),
            sigmoid=words.flag("sigmoid"),
        ),
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
