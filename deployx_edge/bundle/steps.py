"""Pre- and post-processing out of ``bundle.json``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from deployx_edge.bundle.reading import ObjectReader
from deployx_edge.errors import BundleError
from deployx_edge.model import (
    AreaDecoding,
    BoxDecoding,
    MaskDecoding,
    PostProcessing,
    PreProcessing,
    TextDecoding,
)
from deployx_edge.processing.steps import (
    ACTIVATIONS,
    AREA_SHAPES,
    BACKGROUNDS,
    BLANKS,
    BOX_FORMATS,
    COLOURS,
    CORNERS,
    FITS,
    IMAGE_DTYPES,
    KINDS,
    LARGEST_SIDE,
    LIMITS,
    MASK_LAYOUTS,
    MODES,
    MOST_POINTS,
    MOST_STRIDES,
    PLACES,
    ROUNDINGS,
    ROUNDINGS_OF,
    TEXT_LAYOUTS,
    UPSAMPLES,
)

_TENSOR = r"[^\x00-\x1f\x7f]{1,1024}"
# What each kind has of its own.
_DECODINGS = {
    "detection": "boxes",
    "segmentation": "masks",
    "text": "text",
    "text-boxes": "areas",
}
# The formats that need each output beside the first.
_NEEDED_BY = {
    "scores": ("pairs", "ssd", "lists"),
    "priors": ("ssd",),
    "classes": ("lists",),
    "sizes": ("centres",),
    "offsets": ("centres",),
}
_LATER_BOXES = (
    *("best", "agnostic", "points", "point_values", "strides"),
    *("classes", "sizes", "offsets", "landmarks", "clip"),
)


def read_preprocessing(reader: ObjectReader) -> PreProcessing:
    """One entry of ``preprocessing``; BundleError for numbers that do not fit together."""
    step = PreProcessing(
        input=reader.text("input", pattern=_TENSOR, meaning="an input's name"),
        width=reader.integer("width", 1, LARGEST_SIDE),
        height=reader.integer("height", 1, LARGEST_SIDE),
        mode=reader.choice("mode", MODES),
        fit=reader.choice("fit", FITS),
        short=reader.optional_integer("short", 1, LARGEST_SIDE),
        fill=reader.integer("fill", 0, 255),
        place=reader.choice("place", PLACES),
        colour=reader.choice("colour", COLOURS),
        scale=reader.number("scale"),
        mean=reader.numbers("mean", 3),
        std=reader.numbers("std", 3),
        layout=reader.choice("layout", ("NCHW", "NHWC")),
        dtype=reader.choice("dtype", IMAGE_DTYPES),
        range=_read_range(reader) if reader.given("range") else None,
        **_read_later_sizes(reader),
    )
    if not len(step.mean) == len(step.std) == step.channels:
        raise BundleError(
            f"The pre-processing of '{step.input}' needs {step.channels} numbers as mean and std."
        )
    if any(number == 0 for number in step.std):
        raise BundleError(f"The pre-processing of '{step.input}' divides by a std of 0.")
    if step.short is not None and (step.fit != "crop" or step.short < max(step.width, step.height)):
        raise BundleError(f"The pre-processing of '{step.input}' cannot cut its size out.")
    if (step.fit == "multiple") != bool(step.side):
        raise BundleError(f"The pre-processing of '{step.input}' has no side for its multiples.")
    if step.rounding not in ROUNDINGS_OF.get(step.fit, ROUNDINGS):
        raise BundleError(
            f"The pre-processing of '{step.input}' cannot round {step.rounding} with {step.fit}."
        )
    if step.is_open and step.fit not in ("multiple", "letterbox"):
        raise BundleError(f"The pre-processing of '{step.input}' has multiples of no meaning.")
    return step


def _read_later_sizes(reader: ObjectReader) -> dict[str, Any]:
    """Fields that are there only where they say something."""
    read: dict[str, Callable[[str], Any]] = {
        "pad": reader.number,
        "rounding": lambda name: reader.choice(name, ROUNDINGS),
        "side": lambda name: reader.integer(name, 1, LARGEST_SIDE),
        "limit": lambda name: reader.choice(name, LIMITS),
        "multiple": lambda name: reader.integer(name, 1, 4096),
    }
    return {name: read[name](name) for name in read if reader.given(name)}


def listed_preprocessing(step: PreProcessing) -> dict[str, Any]:
    """An entry of ``preprocessing``, without later fields that say nothing."""
    document = asdict(step)
    document |= {name: list(document[name]) for name in ("mean", "std")}
    if step.range is None:
        del document["range"]
    else:
        document["range"] = list(step.range)
    for name in ("pad", "rounding", "side", "limit", "multiple"):
        if document[name] == getattr(PreProcessing, name):
            del document[name]
    return document


def _read_range(reader: ObjectReader) -> tuple[float, float]:
    ends = reader.numbers("range", 2)
    if len(ends) != 2 or not ends[0] < ends[1]:
        raise BundleError("The range in the pre-processing is not two numbers, the lower first.")
    return ends[0], ends[1]


def read_postprocessing(reader: ObjectReader) -> PostProcessing:
    """One entry of ``postprocessing``; BundleError where its parts do not fit its kind."""
    step = PostProcessing(
        output=reader.text("output", pattern=_TENSOR, meaning="an output's name"),
        kind=reader.choice("kind", KINDS),
        softmax=reader.boolean("softmax"),
        labels=reader.texts("labels", 100_000),
        boxes=reader.optional_object("boxes", _read_boxes),
        masks=reader.optional_object("masks", _read_masks),
        text=reader.object("text", _read_text) if reader.given("text") else None,
        areas=reader.object("areas", _read_areas) if reader.given("areas") else None,
    )
    wanted = {name: kind for kind, name in _DECODINGS.items()}
    given = [name for name in wanted if getattr(step, name) is not None]
    needed = _DECODINGS.get(step.kind)
    if given != ([] if needed is None else [needed]):
        own = needed or "neither " + " nor ".join(wanted)
        raise BundleError(
            f"A {step.kind} in the post-processing has {own}, "
            f"found {' and '.join(given) or 'none'}."
        )
    if step.text is not None and not step.labels:
        raise BundleError(f"The text in '{step.output}' has no characters as its labels.")
    return step


def listed_postprocessing(step: PostProcessing) -> dict[str, Any]:
    """An entry of ``postprocessing``; what a step does not use of later fields is left out.

    So bundles are what they were before there were such fields, and their digests too.
    """
    document = asdict(step)
    document["labels"] = list(step.labels)
    for name in ("text", "areas"):
        if document[name] is None:
            del document[name]
    if step.masks is not None and step.masks.upsample == MaskDecoding.upsample:
        del document["masks"]["upsample"]
    if step.boxes is not None:
        document["boxes"]["variances"] = list(step.boxes.variances)
        document["boxes"]["strides"] = list(step.boxes.strides)
        for name in _LATER_BOXES:
            if getattr(step.boxes, name) == getattr(BoxDecoding, name):
                del document["boxes"][name]
    return document


def stray_outputs(step: PostProcessing, outputs: set[str]) -> list[str]:
    """The names in it that no output has."""
    named = [step.output]
    if step.boxes is not None:
        named += step.boxes.outputs
    return [name for name in named if name not in outputs]


def _output_name(reader: ObjectReader, key: str) -> str:
    return reader.text(key, pattern=_TENSOR + "|", meaning="an output's name, or empty")


def _read_boxes(reader: ObjectReader) -> BoxDecoding:
    boxes = BoxDecoding(
        format=reader.choice("format", BOX_FORMATS),
        scores=_output_name(reader, "scores"),
        priors=_output_name(reader, "priors"),
        corners=reader.choice("corners", CORNERS),
        relative=reader.boolean("relative"),
        activation=reader.choice("activation", ACTIVATIONS),
        background=reader.choice("background", BACKGROUNDS),
        variances=reader.numbers("variances", 4),
        score=reader.number("score"),
        iou=reader.number("iou"),
        most=reader.integer("most", 1, 100_000),
        **_read_later(reader),
    )
    if len(boxes.variances) != 4:
        raise BundleError("The variances in the post-processing are not 4 numbers.")
    for name, forms in _NEEDED_BY.items():
        if bool(getattr(boxes, name)) != (boxes.format in forms):
            raise BundleError(f"Boxes of the format {boxes.format} do not fit '{name}'.")
    if (boxes.points and boxes.format != "yolo") or (boxes.landmarks and boxes.format != "centres"):
        raise BundleError(f"Boxes of the format {boxes.format} have no points.")
    return boxes


def _read_later(reader: ObjectReader) -> dict[str, Any]:
    """Fields that are there only where they say something."""
    given: dict[str, Any] = {}
    for name in _LATER_BOXES:
        if not reader.given(name):
            continue
        if name in ("best", "agnostic", "clip"):
            given[name] = reader.boolean(name)
        elif name == "points":
            given[name] = reader.integer(name, 0, MOST_POINTS)
        elif name == "point_values":
            given[name] = reader.integer(name, 2, 3)
        elif name == "strides":
            given[name] = reader.integers(name, 1, 4096, MOST_STRIDES)
        else:
            given[name] = _output_name(reader, name)
    return given


def _read_text(reader: ObjectReader) -> TextDecoding:
    return TextDecoding(
        layout=reader.choice("layout", TEXT_LAYOUTS),
        blank=reader.choice("blank", BLANKS),
        softmax=reader.boolean("softmax"),
    )


def _read_areas(reader: ObjectReader) -> AreaDecoding:
    return AreaDecoding(
        threshold=reader.number("threshold"),
        score=reader.number("score"),
        unclip=reader.number("unclip"),
        shape=reader.choice("shape", AREA_SHAPES),
        dilate=reader.boolean("dilate"),
        most=reader.integer("most", 1, 100_000),
        sigmoid=reader.boolean("sigmoid"),
    )


def _read_masks(reader: ObjectReader) -> MaskDecoding:
    return MaskDecoding(
        layout=reader.choice("layout", MASK_LAYOUTS),
        threshold=reader.number("threshold"),
        upsample=reader.choice("upsample", UPSAMPLES) if reader.given("upsample") else "nearest",
    )
