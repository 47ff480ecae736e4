"""What users write of pre-processing, as a value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deployx_edge.errors import UsageError
from deployx_edge.model import DTYPES, NamedShape, PreProcessing, format_shape
from deployx_edge.processing.steps.words import PREPROCESS, Words

MODES = ("nearest", "area", "bilinear", "bicubic", "opencv-bilinear", "torch-bilinear")
FITS = ("stretch", "crop", "letterbox", "height", "multiple")
PLACES = ("centre", "corner")
ROUNDINGS = ("nearest", "down", "up")
# What each way to fit can do; the others round to the nearest.
ROUNDINGS_OF = {"letterbox": ("nearest", "down"), "multiple": ("nearest", "up")}
LIMITS = ("min", "max")
LARGEST_SIDE = 65535
COLOURS = ("rgb", "bgr", "gray")
# What an image can be made into: every type of an input but bool.
IMAGE_DTYPES = tuple(dtype for dtype in DTYPES if dtype != "bool")

_KEYS = (
    *("input", "resize", "mode", "fit", "short", "fill", "place"),
    *("range", "colour", "scale", "mean", "std", "norm", "layout"),
    *("pad", "rounding", "side", "limit", "multiple"),
)
# What means something with some ways to fit only.
_FITTING = {
    "fill": ("letterbox", "height"),
    "pad": ("letterbox", "height"),
    "place": ("letterbox",),
    "rounding": ("letterbox", "multiple"),
    "side": ("multiple",),
    "limit": ("multiple",),
    "multiple": ("multiple", "letterbox"),
}


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
        scale=words.fraction("scale", 1.0),
        mean=words.numbers("mean", count, (0.0,)),
        std=_std(words, count),
        layout=layout,
        dtype=spec.dtype,
        range=words.interval("range") if words.given("range") else None,
        pad=words.numbers("pad", 1, ())[0] if words.given("pad") else None,
        rounding=words.choice("rounding", ROUNDINGS, "nearest"),
        **_multiples(words),
    )
    if step.dtype not in IMAGE_DTYPES:
        raise UsageError(f"The input '{spec.name}' is {spec.dtype}, which no image becomes.")
    _check_fit(step, words)
    _check_sizes(step, spec)
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
    for key, fits in _FITTING.items():
        if words.given(key) and step.fit not in fits:
            raise UsageError(f"{key} in --preprocess needs fit={fits[0]}, not {step.fit}.")
    if step.pad is not None and step.dtype.startswith(("int", "uint")):
        raise UsageError(
            f"pad={step.pad:g} in --preprocess is for inputs of floats; '{step.input}' is "
            f"{step.dtype}.",
            remedy="Write fill=VALUE.",
        )
    known = ROUNDINGS_OF.get(step.fit, ROUNDINGS)
    if step.rounding not in known:
        raise UsageError(
            f"rounding in --preprocess is {' or '.join(known)} for fit={step.fit}, not "
            f"{step.rounding}."
        )
    if step.fit == "multiple" and not step.side:
        raise UsageError(
            "fit=multiple in --preprocess needs the length of a side.",
            remedy="Write side=736,limit=min,multiple=32, or the like.",
        )


def _check_sizes(step: PreProcessing, spec: NamedShape) -> None:
    """UsageError where the input's size would change with the image's, and cannot."""
    if not step.is_open:
        return
    axes = (2, 3) if step.layout == "NCHW" else (1, 2)
    open_axes = {entry.axis for entry in getattr(spec, "ranges", ())}
    if not open_axes.issuperset(axes):
        raise UsageError(
            f"fit={step.fit} with multiple={step.multiple} in --preprocess makes inputs of several "
            f"sizes; the input '{spec.name}' is {format_shape(spec.shape)}.",
            remedy="Leave height and width open, e.g. --input "
            f"{spec.name}:1x3x{{32..736..2048}}x{{32..736..2048}}, where the runtime can, or write "
            "fit=letterbox without multiple.",
        )


def _std(words: Words, count: int) -> tuple[float, ...]:
    """What is divided by; ``norm`` is what is multiplied by instead, as ncnn and OpenCV say it."""
    if not words.given("norm"):
        return words.numbers("std", count, (1.0,))
    if words.given("std"):
        raise UsageError("--preprocess takes std or norm, not both.")
    norm = words.numbers("norm", count, ())
    if 0.0 in norm:
        raise UsageError("A norm of 0 in --preprocess would make all values 0.")
    return tuple(1.0 / number for number in norm)


def _multiples(words: Words) -> dict[str, Any]:
    if words.text("fit", "") != "multiple":
        return {"multiple": words.whole("multiple", 1, 4096, 1)}
    return {
        "side": words.whole("side", 1, LARGEST_SIDE) if words.given("side") else 0,
        "limit": words.choice("limit", LIMITS, "min"),
        "multiple": words.whole("multiple", 1, 4096, 32),
    }


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
