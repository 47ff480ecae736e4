"""What users write of pre-processing, as a value."""

from __future__ import annotations

from collections.abc import Sequence

from deployx_edge.errors import UsageError
from deployx_edge.model import DTYPES, NamedShape, PreProcessing, format_shape
from deployx_edge.processing.steps.words import PREPROCESS, Words

MODES = ("nearest", "area", "bilinear", "bicubic", "opencv-bilinear")
FITS = ("stretch", "crop", "letterbox")
PLACES = ("centre", "corner")
COLOURS = ("rgb", "bgr", "gray")
# What an image can be made into: every type of an input but bool.
PICTURE_DTYPES = tuple(dtype for dtype in DTYPES if dtype != "bool")

_KEYS = (
    *("input", "resize", "mode", "fit", "short", "fill", "place"),
    *("range", "colour", "scale", "mean", "std", "layout"),
)


def parse_preprocessing(text: str, inputs: Sequence[NamedShape]) -> PreProcessing:
    """The pre-processing that a ``--preprocess`` text describes, for one of ``inputs``.

    The text is ``KEY=VALUE`` joined by commas (docs/bundle.md has the keys), a mapping in
    YAML's or JSON's braces, or the path of a YAML file with one. Raises UsageError for anything
    else, and where the result would not fit the input.
    """
    words = Words(text, PREPROCESS)
    words.refuse_others(_KEYS)
    spec = words.chosen("input", inputs)
    layout = words.choice("layout", ("NCHW", "NHWC"), _layout_of(spec))
    channels, height, width = _axes(spec, layout)
    colour = words.choice("colour", COLOURS, "gray" if channels == 1 else "rgb")
    count = 1 if colour == "gray" else 3
    wanted = _size(words.text("resize", f"{width}x{height}", joined="x"))
    short = words.whole("short", 1, 65535) if words.given("short") else None
    step = PreProcessing(
        input=spec.name,
        width=wanted[0],
        height=wanted[1],
        mode=words.choice("mode", MODES, "bilinear"),
        fit=words.choice("fit", FITS, "stretch" if short is None else "crop"),
        short=short,
        fill=words.whole("fill", 0, 255, 114),
        place=words.choice("place", PLACES, "centre"),
        colour=colour,
        scale=words.numbers("scale", 1, (1.0,))[0],
        mean=words.numbers("mean", count, (0.0,)),
        std=words.numbers("std", count, (1.0,)),
        layout=layout,
        dtype=spec.dtype,
        range=words.interval("range") if words.given("range") else None,
    )
    if step.dtype not in PICTURE_DTYPES:
        raise UsageError(f"The input '{spec.name}' is {spec.dtype}, which no image becomes.")
    _check_fit(step, words)
    if 0.0 in step.std:
        raise UsageError("A std of 0 in --preprocess would divide by zero.")
    if (step.channels, step.height, step.width) != (channels, height, width):
        raise UsageError(
            f"--preprocess makes {step.channels} x {step.height} x {step.width} (channels, height, "
            f"width); the input '{spec.name}' is {format_shape(spec.shape)} ({layout})."
        )
    return step


def _check_fit(step: PreProcessing, words: Words) -> None:
    if step.short is not None and step.fit != "crop":
        raise UsageError(f"short={step.short} in --preprocess needs fit=crop, not {step.fit}.")
    if step.short is not None and step.short < max(step.width, step.height):
        raise UsageError(
            f"short={step.short} in --preprocess is less than the {step.width}x{step.height} that "
            "is cut out of it."
        )
    for key in ("fill", "place"):
        if words.given(key) and step.fit != "letterbox":
            raise UsageError(f"{key} in --preprocess needs fit=letterbox, not {step.fit}.")


def _layout_of(spec: NamedShape) -> str:
    """``NHWC`` where only its last axis can be colours, else ``NCHW``."""
    if len(spec.shape) == 4 and spec.shape[1] not in (1, 3) and spec.shape[3] in (1, 3):
        return "NHWC"
    return "NCHW"


def _axes(spec: NamedShape, layout: str) -> tuple[int, int, int]:
    """Channels, height and width of an input that can be an image."""
    if len(spec.shape) not in (3, 4):
        raise UsageError(
            f"The input '{spec.name}' is {format_shape(spec.shape)}: an image needs "
            "channels, height and width."
        )
    last = spec.shape[-3:]
    channels, height, width = last if layout == "NCHW" else (last[2], last[0], last[1])
    if channels not in (1, 3):
        raise UsageError(
            f"The input '{spec.name}' is {format_shape(spec.shape)} ({layout}); an image has "
            "1 or 3 channels."
        )
    return channels, height, width


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isascii() and width.isdigit() and height.isascii() and height.isdigit()):
        raise UsageError(f"'{text}' is not a size.", remedy="Write resize=WIDTHxHEIGHT.")
    if not (1 <= int(width) <= 65535 and 1 <= int(height) <= 65535):
        raise UsageError(f"'{text}' is not a size from 1x1 to 65535x65535.")
    return int(width), int(height)
