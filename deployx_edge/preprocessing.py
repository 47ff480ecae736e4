"""Pictures to a model's input, and a model's scores to words: one way for every command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployx_edge.errors import UsageError
from deployx_edge.model import NamedShape, PostProcessing, PreProcessing, format_shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deployx_edge.model import Array

_HELP = "Write it like resize=224x224,colour=rgb,mean=123.7/116.3/103.5,std=58.4/57.1/57.4."
_MODES = ("nearest", "area", "bilinear", "bicubic")
_COLOURS = ("rgb", "bgr", "gray")
_LARGEST_PICTURE = 100_000_000  # pixels


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """One class of a classification: its index, its label, its score."""

    index: int
    label: str
    score: float


def parse_preprocessing(text: str, inputs: Sequence[NamedShape]) -> PreProcessing:
    """The pre-processing that a ``--preprocess`` text describes, for one of ``inputs``.

    The text is ``KEY=VALUE`` joined by commas: ``input`` (which input; needed where there
    are several), ``resize=WxH`` (else the input's own size), ``mode``, ``fit``,
    ``colour``, ``scale``, ``mean`` and ``std`` (one number, or one a channel with ``/``
    between them), ``layout``. Raises UsageError for anything else, and where the result
    would not fit the input.
    """
    words = _words(text)
    spec = _chosen(words.pop("input", None), inputs)
    layout = _choice("layout", words.pop("layout", _layout_of(spec)), ("NCHW", "NHWC"))
    channels, height, width = _axes(spec, layout)
    colour = _choice("colour", words.pop("colour", "gray" if channels == 1 else "rgb"), _COLOURS)
    count = 1 if colour == "gray" else 3
    wanted = _size(words.pop("resize", f"{width}x{height}"))
    step = PreProcessing(
        input=spec.name,
        width=wanted[0],
        height=wanted[1],
        mode=_choice("mode", words.pop("mode", "bilinear"), _MODES),
        fit=_choice("fit", words.pop("fit", "stretch"), ("stretch", "crop")),
        colour=colour,
        scale=_numbers("scale", words.pop("scale", "1"), 1)[0],
        mean=_numbers("mean", words.pop("mean", "0"), count),
        std=_numbers("std", words.pop("std", "1"), count),
        layout=layout,
    )
    if words:
        raise UsageError(f"--preprocess does not know '{next(iter(words))}'.", remedy=_HELP)
    if 0.0 in step.std:
        raise UsageError("A std of 0 in --preprocess would divide by zero.")
    if (step.channels, step.height, step.width) != (channels, height, width):
        raise UsageError(
            f"--preprocess makes {step.channels} x {step.height} x {step.width} (channels, height, "
            f"width); the input '{spec.name}' is {format_shape(spec.shape)} ({layout})."
        )
    return step


def parse_postprocessing(text: str, outputs: Sequence[NamedShape]) -> PostProcessing:
    """The post-processing that a ``--postprocess`` text describes, for one of ``outputs``.

    Words joined by commas: ``softmax``, ``labels=cat|dog|…``, ``output=NAME`` (needed
    where there are several outputs). Raises UsageError for anything else.
    """
    words = _words(text)
    spec = _chosen(words.pop("output", None), outputs)
    softmax = words.pop("softmax", None) is not None
    labels = words.pop("labels", "")
    words.pop("classification", None)
    if words:
        raise UsageError(
            f"--postprocess does not know '{next(iter(words))}'.",
            remedy="Write it like softmax,labels=cat|dog.",
        )
    names = tuple(labels.split("|")) if labels else ()
    if names and (not spec.shape or len(names) != spec.shape[-1]):
        raise UsageError(
            f"--postprocess names {len(names)} labels; the output '{spec.name}' is "
            f"{format_shape(spec.shape)}."
        )
    return PostProcessing(output=spec.name, softmax=softmax, labels=names)


def load_picture(path: Path, step: PreProcessing) -> Array:
    """The picture as float32 array of one sample: (1, C, H, W) or (1, H, W, C).

    Raises UsageError where the file cannot be read as a picture.
    """
    import warnings

    import numpy as np
    from PIL import Image, ImageOps

    mode = "L" if step.colour == "gray" else "RGB"
    try:
        with warnings.catch_warnings(), Image.open(path) as opened:
            warnings.simplefilter("ignore")  # Pillow warns of odd but readable files
            if opened.width * opened.height > _LARGEST_PICTURE:
                raise UsageError(f"{path} has more than {_LARGEST_PICTURE} pixels.")
            picture = ImageOps.exif_transpose(opened).convert(mode)
    except FileNotFoundError as error:
        raise UsageError(f"The picture {path} does not exist.") from error
    except UsageError:
        raise
    except Exception as error:  # Pillow's plug-ins raise whatever their formats led them to
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"{path} cannot be read as a picture: {reason}.") from error
    size = (step.width, step.height)
    method = {
        "nearest": Image.Resampling.NEAREST,
        "area": Image.Resampling.BOX,
        "bilinear": Image.Resampling.BILINEAR,
        "bicubic": Image.Resampling.BICUBIC,
    }[step.mode]
    resized = (
        ImageOps.fit(picture, size, method=method)
        if step.fit == "crop"
        else picture.resize(size, resample=method)
    )
    pixels = np.asarray(resized, dtype=np.float64).reshape(step.height, step.width, step.channels)
    if step.colour == "bgr":
        pixels = pixels[:, :, ::-1]
    values = (pixels * step.scale - np.asarray(step.mean)) / np.asarray(step.std)
    if step.layout == "NCHW":
        values = values.transpose(2, 0, 1)
    return np.ascontiguousarray(values[None], dtype=np.float32)


def classify(step: PostProcessing, scores: NDArray[Any], count: int = 5) -> tuple[ClassScore, ...]:
    """The ``count`` best classes of one sample's scores (any shape, flattened), best first."""
    import numpy as np

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


def _words(text: str) -> dict[str, str]:
    words: dict[str, str] = {}
    for part in text.split(","):
        key, _, value = part.partition("=")
        if not key.strip() or key.strip() in words:
            raise UsageError(f"'{text}' is not a list of different KEY=VALUE.", remedy=_HELP)
        words[key.strip()] = value.strip()
    return words


def _chosen(name: str | None, specs: Sequence[NamedShape]) -> NamedShape:
    names = ", ".join(spec.name for spec in specs)
    if name is None:
        if len(specs) == 1:
            return specs[0]
        raise UsageError(f"Say which tensor is meant; there are {names}.")
    for spec in specs:
        if spec.name == name:
            return spec
    raise UsageError(f"There is no tensor '{name}'; there are {names}.")


def _layout_of(spec: NamedShape) -> str:
    """``NHWC`` where only its last axis can be colours, else ``NCHW``."""
    if len(spec.shape) == 4 and spec.shape[1] not in (1, 3) and spec.shape[3] in (1, 3):
        return "NHWC"
    return "NCHW"


def _axes(spec: NamedShape, layout: str) -> tuple[int, int, int]:
    """Channels, height and width of an input that can be a picture."""
    if len(spec.shape) not in (3, 4):
        raise UsageError(
            f"The input '{spec.name}' is {format_shape(spec.shape)}: a picture needs "
            "channels, height and width."
        )
    last = spec.shape[-3:]
    channels, height, width = last if layout == "NCHW" else (last[2], last[0], last[1])
    if channels not in (1, 3):
        raise UsageError(
            f"The input '{spec.name}' is {format_shape(spec.shape)} ({layout}); a picture has "
            "1 or 3 channels."
        )
    return channels, height, width


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isascii() and width.isdigit() and height.isascii() and height.isdigit()):
        raise UsageError(f"'{text}' is no size.", remedy="Write resize=WIDTHxHEIGHT.")
    if not (1 <= int(width) <= 65535 and 1 <= int(height) <= 65535):
        raise UsageError(f"'{text}' is no size from 1x1 to 65535x65535.")
    return int(width), int(height)


def _choice(key: str, value: str, choices: Sequence[str]) -> str:
    if value not in choices:
        raise UsageError(f"--preprocess {key} is {' or '.join(choices)}, not '{value}'.")
    return value


def _numbers(key: str, text: str, count: int) -> tuple[float, ...]:
    import math

    try:
        numbers = tuple(float(part) for part in text.split("/"))
    except ValueError:
        numbers = ()
    if len(numbers) == 1:
        numbers *= count
    if len(numbers) != count or not all(math.isfinite(number) for number in numbers):
        raise UsageError(
            f"--preprocess {key}={text} must hold one number, or {count} with / between them."
        )
    return numbers
