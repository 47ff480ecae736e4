"""Values that describe a model's inputs and outputs, and how they pass to the runtime and back."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from deployx_edge.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

# ncnn's Mat has width, height, depth and channels; the batch index comes on top.
MAX_RUNTIME_DIMS = 4
# 1 GiB of float32; what is larger is a slip of the pen.
MAX_ELEMENTS = 2**28
# What a function marked by its author leaves in an exported graph.
MARK_DOMAIN = "deployx"
MARK_OPERATOR = "Mark"
_SIZE = r"[1-9][0-9]{0,9}"
_SHAPE = re.compile(rf"{_SIZE}(x{_SIZE})*")
# 224, {224..640}, or {224..320..640} with the usual size in the middle
_AXIS = rf"(?:{_SIZE}|\{{{_SIZE}\.\.(?:{_SIZE}\.\.)?{_SIZE}\}})"
# Element types by NumPy's names, as far as runtimes take them.
DTYPES = ("float32", "float16", "float64", "int64", "int32", "int8", "uint8", "bool")
_AXES = rf"scalar|{_AXIS}(?:x{_AXIS})*"
_TYPE = rf"(?::(?P<dtype>{'|'.join(DTYPES)}))?"
_NUMBER = r"(?:[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?inf|nan|true|false)"
_VALUES = rf"{_NUMBER}(?:,{_NUMBER})*"
# What stands behind an input's name: a shape, a value, or both
_INPUT = re.compile(rf":(?P<axes>{_AXES}){_TYPE}(?:=(?P<values>{_VALUES}))?|=(?P<only>{_VALUES})")


class NamedShape(Protocol):
    """Anything that has a tensor's name and shape."""

    @property
    def name(self) -> str:
        """The tensor's name in the source model."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's full shape."""
        ...

    @property
    def dtype(self) -> str:
        """Its element type, by NumPy's name."""
        ...


@dataclass(frozen=True, kw_only=True)
class AxisRange:
    """The sizes that an axis may have; ``best`` is the one that it has most of the time."""

    axis: int
    minimum: int
    best: int
    maximum: int


@dataclass(frozen=True, kw_only=True)
class InputRequest:
    """What the user says of an input.

    ``shape`` has the best size on axes that stay open, which ``ranges`` names; ``dtype`` is
    one of DTYPES, None where it is the model's to say. ``values`` fix the input, which then is
    none any more: one number for all of its elements, or one for each. Where they were given
    without a shape (not ``has_shape``), the model's counts, and ``shape`` is theirs. ``word`` is
    what the user wrote.
    """

    shape: tuple[int, ...]
    ranges: tuple[AxisRange, ...] = ()
    dtype: str | None = None
    values: tuple[int | float, ...] = ()
    has_shape: bool = True
    word: str = field(default="", compare=False)

    def shape_at(self, sizes: str) -> tuple[int, ...]:
        """The shape with the ``minimum``, ``best`` or ``maximum`` size on every open axis."""
        return at_sizes(self.shape, self.ranges, sizes)


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """One input or output as the source model knows it.

    ``blob`` is the name by which the runtime knows it (``in0``); ``shape`` is the
    source's full shape, batch axis included; ``layout`` names its axes (``NCHW``,
    ``NC``, or "" where nothing is known); ``batch_axis`` the axis that counts
    independent samples, None where there is none. ``ranges`` are an input's axes that stay
    open; ``shape`` has their best sizes.
    """

    name: str
    blob: str
    dtype: str
    shape: tuple[int, ...]
    layout: str
    batch_axis: int | None
    ranges: tuple[AxisRange, ...] = ()

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one sample: ``shape`` without its batch axis."""
        if self.batch_axis is None:
            return self.shape
        return self.shape[: self.batch_axis] + self.shape[self.batch_axis + 1 :]

    def check(self, array: NDArray[Any]) -> None:
        """UsageError where the array is not of the input's type, or outside of its shape."""
        import numpy as np

        if array.dtype != np.dtype(self.dtype):
            raise UsageError(
                f"Input '{self.name}' is {self.dtype}, the array given for it is {array.dtype}.",
                remedy=f"Convert it: array.astype('{self.dtype}').",
            )
        if not _fits(self, array.shape):
            raise UsageError(
                f"Input '{self.name}' has the shape {_wanted(self)}, "
                f"the array given for it {format_shape(array.shape)}."
            )


@dataclass(frozen=True, kw_only=True)
class PreProcessing:
    """How a picture becomes the input named ``input``.

    ``range`` says which values of a picture of one channel are black and white, and so 0 and 255
    below; None for the least and the largest that its file can hold. The picture is turned into
    ``colour`` (``rgb``, ``bgr`` or ``gray``) and resized to ``width`` by ``height`` pixels by
    ``mode`` (``nearest``, ``area``, ``bilinear`` or ``bicubic``, which average where they shrink;
    ``opencv-bilinear``, which does not). ``fit`` says what becomes of its proportions: "stretch"
    gives them up; "crop" cuts the middle to the wanted ones first or, where ``short`` is given,
    resizes the shorter side to that and cuts the middle then; "letterbox" keeps them, with
    ``fill`` (0 … 255) on what remains and the picture in the ``place`` "centre" or "corner" (the
    upper left). Each value ``v`` (0 … 255) of channel ``c`` becomes ``(v * scale - mean[c]) /
    std[c]``. ``mean`` and ``std`` hold one number per channel. ``layout`` is that of the input:
    ``NCHW`` or ``NHWC``, ``dtype`` its element type; whole numbers are rounded and cut to its
    range.
    """

    input: str
    width: int
    height: int
    mode: str = "bilinear"
    fit: str = "stretch"
    short: int | None = None
    fill: int = 114
    place: str = "centre"
    colour: str = "rgb"
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    layout: str = "NCHW"
    dtype: str = "float32"
    range: tuple[float, float] | None = None

    @property
    def channels(self) -> int:
        """Colour channels: 1 for ``gray``, else 3."""
        return 1 if self.colour == "gray" else 3


@dataclass(frozen=True, kw_only=True)
class BoxDecoding:
    """How outputs become boxes with a class and a score each.

    ``format``: "pairs" (boxes N x 4 in the post-processing's output, scores N x C in
    ``scores``), "yolo" (one output, 4 + C x N: cx, cy, width, height, a score a class),
    "yolo-objectness" (one output, N x 5 + C: the same with an objectness that every score is
    multiplied by), "ssd" (offsets N x 4 from the boxes in ``priors``, scores as for pairs;
    ``variances`` as in SSD) or "rows" (N x 6: x0, y0, x1, y1, score, class; suppressed already).
    ``corners`` says what a box's numbers are: ``xyxy`` or ``cxcywh``; in the input's pixels, or
    in 0 … 1 of its sides where ``relative``. ``activation`` is what the scores still need:
    ``none``, ``sigmoid`` or ``softmax``. ``background`` says where the class of nothing is among
    them: ``none``, ``first`` or ``last``. Boxes below ``score`` are dropped, of two of one class
    that overlap by more than ``iou`` the lower, and at most ``most`` are kept.
    """

    format: str = "pairs"
    scores: str = ""
    priors: str = ""
    corners: str = "xyxy"
    relative: bool = False
    activation: str = "none"
    background: str = "none"
    variances: tuple[float, ...] = (0.1, 0.1, 0.2, 0.2)
    score: float = 0.01
    iou: float = 0.5
    most: int = 100


@dataclass(frozen=True, kw_only=True)
class MaskDecoding:
    """How an output becomes a class for each pixel.

    ``layout``: ``NCHW`` or ``NHWC`` (a score a class: the largest wins; with a single channel,
    class 1 is where it is above ``threshold``, class 0 elsewhere), or ``NHW`` (classes already).
    """

    layout: str = "NCHW"
    threshold: float = 0.5


@dataclass(frozen=True, kw_only=True)
class PostProcessing:
    """What the output named ``output`` means.

    ``kind`` is "classification": one score a class along the last axis (``softmax`` says that
    the scores still need one to become probabilities); "detection", with ``boxes``; or
    "segmentation", with ``masks``. ``labels`` names the classes in order, without that of the
    background of a detection (empty: numbers).
    """

    output: str
    kind: str = "classification"
    softmax: bool = False
    labels: tuple[str, ...] = ()
    boxes: BoxDecoding | None = None
    masks: MaskDecoding | None = None


def too_large(shape: Sequence[int]) -> bool:
    """Whether a tensor of that shape has more elements than any board takes."""
    return math.prod(shape) > MAX_ELEMENTS


def format_shape(shape: Sequence[int]) -> str:
    """``(1, 3, 224, 224)`` as ``1x3x224x224``; a scalar's shape as ``scalar``."""
    return "x".join(str(size) for size in shape) or "scalar"


def at_sizes(shape: Sequence[int], ranges: Sequence[AxisRange], sizes: str) -> tuple[int, ...]:
    """``shape`` with the ``minimum``, ``best`` or ``maximum`` of every range on its axis."""
    chosen = {entry.axis: int(getattr(entry, sizes)) for entry in ranges}
    return tuple(chosen.get(axis, size) for axis, size in enumerate(shape))


def is_input_request(word: str) -> bool:
    """Whether ``word`` has the form ``NAME:1x3x224x224`` or ``NAME=0``."""
    return _split_request(word) is not None


def parse_inputs(words: Sequence[str]) -> dict[str, InputRequest]:
    """``NAME:1x3x{224..640}x224:float32``, ``NAME=16000`` or ``NAME:2x1x128=0`` by input name.

    UsageError for anything else.
    """
    requests: dict[str, InputRequest] = {}
    for word in words:
        found = _split_request(word)
        if found is None:
            raise UsageError(
                f"'{word}' does not say an input's shape or value.",
                remedy="Write --input NAME:1x3x224x224, with :int64 behind it where it is no "
                "float32; {224..640} is an axis that stays open. NAME=16000 or NAME=1,1 fixes an "
                "input to a value.",
            )
        name, match = found
        if name in requests:
            raise UsageError(f"The input '{name}' is given twice.")
        requests[name] = replace(_request(word, match), word=word)
    return requests


def _split_request(word: str) -> tuple[str, re.Match[str]] | None:
    for place in (index for index, letter in enumerate(word) if letter in ":=" and index):
        match = _INPUT.fullmatch(word, place)
        if match:
            return word[:place], match
    return None


def _request(word: str, match: re.Match[str]) -> InputRequest:
    values = tuple(
        _number(text) for text in (match["values"] or match["only"] or "").split(",") if text
    )
    if match["axes"] is None:
        shape = () if len(values) == 1 else (len(values),)
        return InputRequest(shape=shape, values=values, has_shape=False)
    request = _shape_request(word, match)
    if values and request.ranges:
        raise UsageError(f"'{word}' fixes an input, and leaves an axis of it open.")
    if values and len(values) not in (1, math.prod(request.shape)):
        raise UsageError(
            f"'{word}' gives {len(values)} values for {math.prod(request.shape)} elements.",
            remedy="Give one for all of them, or one for each.",
        )
    return replace(request, values=values)


def _number(text: str) -> int | float:
    if text in ("true", "false"):
        return int(text == "true")
    return int(text) if re.fullmatch(r"[-+]?[0-9]+", text) else float(text)


def _shape_request(word: str, match: re.Match[str]) -> InputRequest:
    shape: list[int] = []
    ranges = []
    axes = [] if match["axes"] == "scalar" else match["axes"].split("x")
    for axis, text in enumerate(axes):
        sizes = [int(size) for size in text.strip("{}").split("..")]
        if sizes != sorted(sizes):
            raise UsageError(f"The sizes {text} in '{word}' do not grow from left to right.")
        # Of two, the larger is the usual one: it is what the board must bear.
        shape.append(sizes[-2] if len(sizes) == 3 else sizes[-1])
        if len(sizes) > 1:
            ranges.append(AxisRange(axis=axis, minimum=sizes[0], best=shape[-1], maximum=sizes[-1]))
    request = InputRequest(shape=tuple(shape), ranges=tuple(ranges), dtype=match["dtype"])
    if too_large(request.shape_at("maximum")):
        raise UsageError(f"A tensor of {match['axes']} has more than {MAX_ELEMENTS} elements.")
    return request


def to_runtime_array(spec: TensorSpec, array: NDArray[Any]) -> tuple[Array, bool]:
    """The array as the runtime takes it, and whether its first axis counts samples.

    ``array`` has the source's shape. The batch axis may hold any number of samples:
    a single one is taken off, several are moved to the front (``batched`` is True).
    What remains has at most four dimensions, slowest first, dense float32.
    Raises UsageError when the type or the shape is not the input's.
    """
    import numpy as np

    spec.check(array)
    if spec.batch_axis is None:
        return np.ascontiguousarray(array, dtype=np.float32).reshape(array.shape), False
    if array.shape[spec.batch_axis] == 1:
        single = np.squeeze(array, axis=spec.batch_axis)
        return np.ascontiguousarray(single, dtype=np.float32).reshape(single.shape), False
    front = np.moveaxis(array, spec.batch_axis, 0)
    return np.ascontiguousarray(front, dtype=np.float32), True


def from_runtime_array(spec: TensorSpec, array: NDArray[Any], *, batched: bool = False) -> Array:
    """The array that the runtime gave for an output, in the source's shape.

    ``array`` is in the runtime's dimensions, slowest first; where ``batched``, its first
    axis counts samples. Axes of size 1 may differ (runtimes drop them); any other
    difference is a UsageError. The result has the batch axis where the source has it.
    """
    import numpy as np

    samples = array.shape[0] if batched else 1
    found = array.shape[1:] if batched else array.shape
    if not same_but_for_ones(found, spec.sample_shape) or (batched and spec.batch_axis is None):
        raise UsageError(
            f"Output '{spec.name}' has the shape {_wanted(spec)}, "
            f"the runtime gave {format_shape(array.shape)}."
        )
    dense = np.ascontiguousarray(array, dtype=np.float32)
    if spec.batch_axis is None:
        return dense.reshape(spec.shape)
    return np.moveaxis(dense.reshape((samples, *spec.sample_shape)), 0, spec.batch_axis)


def to_runtime_arrays(
    specs: Sequence[TensorSpec], arrays: Mapping[str, NDArray[Any]]
) -> dict[str, tuple[Array, bool]]:
    """``to_runtime_array`` of every input, by blob name.

    Arrays that are named like no input are left aside (labels often lie beside them).
    Raises UsageError for a missing name, and where the inputs do not hold the same
    number of samples.
    """
    names = [spec.name for spec in specs]
    if any(name not in arrays for name in names):
        raise UsageError(
            f"The model's inputs are {', '.join(names)}; given were {', '.join(arrays) or 'none'}.",
            remedy="Name the arrays like the inputs.",
        )
    samples = {
        spec.name: arrays[spec.name].shape[spec.batch_axis]
        for spec in specs
        if spec.batch_axis is not None and arrays[spec.name].ndim == len(spec.shape)
    }
    if len(set(samples.values())) > 1:
        counts = ", ".join(f"{name} {count}" for name, count in samples.items())
        raise UsageError(f"The inputs hold different numbers of samples: {counts}.")
    return {spec.blob: to_runtime_array(spec, arrays[spec.name]) for spec in specs}


def same_but_for_ones(first: Sequence[int], second: Sequence[int]) -> bool:
    """Whether two shapes are the same once axes of size 1 are dropped."""
    return [size for size in first if size != 1] == [size for size in second if size != 1]


def _fits(spec: TensorSpec, shape: tuple[int, ...]) -> bool:
    if len(shape) != len(spec.shape):
        return False
    open_axes = {entry.axis: entry for entry in spec.ranges}
    return all(
        open_axes[axis].minimum <= found <= open_axes[axis].maximum
        if axis in open_axes
        else found >= 1
        if axis == spec.batch_axis
        else found == size
        for axis, (found, size) in enumerate(zip(shape, spec.shape, strict=True))
    )


def _wanted(spec: TensorSpec) -> str:
    words = ["N" if axis == spec.batch_axis else str(size) for axis, size in enumerate(spec.shape)]
    for entry in spec.ranges:
        words[entry.axis] = f"{{{entry.minimum}..{entry.maximum}}}"
    return "x".join(words) or "scalar"
