"""Pre- and post-processing out of ``bundle.json``."""

from __future__ import annotations

from deployx_edge.bundle.reading import ObjectReader
from deployx_edge.errors import BundleError
from deployx_edge.model import BoxDecoding, MaskDecoding, PostProcessing, PreProcessing
from deployx_edge.processing.steps import (
    ACTIVATIONS,
    BACKGROUNDS,
    BOX_FORMATS,
    COLOURS,
    CORNERS,
    FITS,
    KINDS,
    MASK_LAYOUTS,
    MODES,
    PICTURE_DTYPES,
    PLACES,
)

_LARGEST_SIDE = 65535
_TENSOR = r"[^\x00-\x1f\x7f]{1,1024}"


def read_preprocessing(reader: ObjectReader) -> PreProcessing:
    """One entry of ``preprocessing``; BundleError for numbers that do not fit together."""
    step = PreProcessing(
        input=reader.text("input", pattern=_TENSOR, meaning="an input's name"),
        width=reader.integer("width", 1, _LARGEST_SIDE),
        height=reader.integer("height", 1, _LARGEST_SIDE),
        mode=reader.choice("mode", MODES),
        fit=reader.choice("fit", FITS),
        short=reader.optional_integer("short", 1, _LARGEST_SIDE),
        fill=reader.integer("fill", 0, 255),
        place=reader.choice("place", PLACES),
        colour=reader.choice("colour", COLOURS),
        scale=reader.number("scale"),
        mean=reader.numbers("mean", 3),
        std=reader.numbers("std", 3),
        layout=reader.choice("layout", ("NCHW", "NHWC")),
        dtype=reader.choice("dtype", PICTURE_DTYPES),
        range=_read_range(reader) if reader.given("range") else None,
    )
    if not len(step.mean) == len(step.std) == step.channels:
        raise BundleError(
            f"The pre-processing of '{step.input}' needs {step.channels} numbers as mean and std."
        )
    if any(number == 0 for number in step.std):
        raise BundleError(f"The pre-processing of '{step.input}' divides by a std of 0.")
    if step.short is not None and (step.fit != "crop" or step.short < max(step.width, step.height)):
        raise BundleError(f"The pre-processing of '{step.input}' cannot cut its size out.")
    return step


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
    )
    wanted = {"detection": "boxes", "segmentation": "masks"}.get(step.kind)
    given = [name for name in ("boxes", "masks") if getattr(step, name) is not None]
    if given != ([] if wanted is None else [wanted]):
        raise BundleError(
            f"A {step.kind} in the post-processing has {wanted or 'neither boxes nor masks'}, "
            f"found {' and '.join(given) or 'none'}."
        )
    return step


def stray_outputs(step: PostProcessing, outputs: set[str]) -> list[str]:
    """The names in it that no output has."""
    named = [step.output]
    if step.boxes is not None:
        named += [name for name in (step.boxes.scores, step.boxes.priors) if name]
    return [name for name in named if name not in outputs]


def _read_boxes(reader: ObjectReader) -> BoxDecoding:
    boxes = BoxDecoding(
        format=reader.choice("format", BOX_FORMATS),
        scores=reader.text("scores", pattern=_TENSOR + "|", meaning="an output's name, or empty"),
        priors=reader.text("priors", pattern=_TENSOR + "|", meaning="an output's name, or empty"),
        corners=reader.choice("corners", CORNERS),
        relative=reader.boolean("relative"),
        activation=reader.choice("activation", ACTIVATIONS),
        background=reader.choice("background", BACKGROUNDS),
        variances=reader.numbers("variances", 4),
        score=reader.number("score"),
        iou=reader.number("iou"),
        most=reader.integer("most", 1, 100_000),
    )
    if len(boxes.variances) != 4:
        raise BundleError("The variances in the post-processing are not 4 numbers.")
    if bool(boxes.scores) != (boxes.format in ("pairs", "ssd")):
        raise BundleError(f"Boxes of the format {boxes.format} do not fit 'scores'.")
    if bool(boxes.priors) != (boxes.format == "ssd"):
        raise BundleError(f"Boxes of the format {boxes.format} do not fit 'priors'.")
    return boxes


def _read_masks(reader: ObjectReader) -> MaskDecoding:
    return MaskDecoding(
        layout=reader.choice("layout", MASK_LAYOUTS), threshold=reader.number("threshold")
    )
