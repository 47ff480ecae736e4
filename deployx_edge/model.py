"""Values that describe a model's inputs and outputs, and how they pass to the runtime and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

# How outputs are decoded, and what users say of inputs, is at hand here as well.
from deployx_edge.decodings import AreaDecoding as AreaDecoding
from deployx_edge.decodings import BoxDecoding as BoxDecoding
from deployx_edge.decodings import MaskDecoding as MaskDecoding
from deployx_edge.decodings import TextDecoding as TextDecoding
from deployx_edge.errors import UsageError
from deployx_edge.input_requests import DTYPES as DTYPES
from deployx_edge.input_requests import AxisRange as AxisRange
from deployx_edge.input_requests import InputRequest as InputRequest
from deployx_edge.input_requests import at_sizes as at_sizes
from deployx_edge.input_requests import format_shape as format_shape
from deployx_edge.input_requests import is_input_request as is_input_request
from deployx_edge.input_requests import parse_inputs as parse_inputs
from deployx_edge.input_requests import too_large as too_large

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

# ncnn's Mat has width, height, depth and channels; the batch index comes on top.
MAX_RUNTIME_DIMS = 4
# What a function marked by its author leaves in an exported graph.
MARK_DOMAIN = "deployx"
MARK_OPERATOR = "Mark"


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
class TensorSpec:
    """One input or output as the source model knows it.

    ``runtime_name`` is the name by which the runtime knows it (``in0``); ``shape`` is the
    source's full shape, batch axis included; ``layout`` names its axes (``NCHW``,
    ``NC``, or "" where nothing is known); ``batch_axis`` the axis that counts
    independent samples, None where there is none. ``ranges`` are an input's axes that stay
    open; ``shape`` has their best sizes.
    """

    name: str
    runtime_name: str
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
    """How an image becomes the input named ``input``.

    ``range`` says which values of an image of one channel are black and white, and so 0 and 255
    below; None for the least and the largest that its file can hold. The image is turned into
    ``colour`` (``rgb``, ``bgr`` or ``gray``) and resized to ``width`` by ``height`` pixels by
    ``mode`` (``nearest``, ``area``, ``bilinear`` or ``bicubic``, which average where they shrink;
    ``opencv-bilinear``, which does not, and ``torch-bilinear``, which rounds nothing either).
    ``fit`` says what becomes of its proportions: "stretch"
    gives them up; "crop" cuts the middle to the wanted ones first or, where ``short`` is given,
    resizes the shorter side to that and cuts the middle then; "letterbox" keeps them, with
    ``fill`` (0 … 255) on what remains and the image in the ``place`` "centre" or "corner" (the
    upper left), its sides to the nearest pixel or, by ``rounding`` "down", to the lower one (the
    way back is by the ratio itself then);
    "height" keeps them at the input's height, squeezed where that is wider than the input, with
    the rest at its right filled; "multiple" changes the input's size with the image's: its shorter
    (``limit`` "min") or longer ("max") side becomes ``side`` where it is less or more than that,
    and each the nearest multiple of ``multiple``, or by ``rounding`` "up" the next one.
    A "letterbox" with a ``multiple`` is filled to the next multiples of its sides only, not to the
    whole size. ``pad`` is what fills in place of ``fill``: a value of the input itself, after mean
    and std. Each value ``v`` (0 … 255) of channel ``c`` becomes ``(v * scale - mean[c]) /
    std[c]``. ``mean`` and ``std`` hold one number per channel. ``layout`` is that of the input:
    ``NCHW`` or ``NHWC``, ``dtype`` its element type;
    whole numbers are rounded and cut to its range.
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
    pad: float | None = None
    rounding: str = "nearest"
    side: int = 0
    limit: str = "min"
    multiple: int = 1

    @property
    def channels(self) -> int:
        """Colour channels: 1 for ``gray``, else 3."""
        return 1 if self.colour == "gray" else 3

    @property
    def is_open(self) -> bool:
        """Whether the input's size changes with the image's."""
        return self.fit == "multiple" or self.multiple > 1


@dataclass(frozen=True, kw_only=True)
class PostProcessing:
    """What the output named ``output`` means.

    ``kind`` is "classification": one score a class along the last axis (``softmax`` says that
    the scores still need one to become probabilities); "detection", with ``boxes``;
    "segmentation", with ``masks``; "text", with ``text``: a line of text; or "text-boxes", with
    ``areas``: where text is. ``labels`` names the classes in order, without that of the background
    of a detection (empty: numbers); of a text they are its characters, without the blank.
    """

    output: str
    kind: str = "classification"
    softmax: bool = False
    labels: tuple[str, ...] = ()
    boxes: BoxDecoding | None = None
    masks: MaskDecoding | None = None
    text: TextDecoding | None = None
    areas: AreaDecoding | None = None


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
    """``to_runtime_array`` of every input, by blob name; UsageError as for ``check_samples``."""
    check_samples(specs, arrays)
    return {spec.runtime_name: to_runtime_array(spec, arrays[spec.name]) for spec in specs}


def check_samples(specs: Sequence[TensorSpec], arrays: Mapping[str, NDArray[Any]]) -> None:
    """UsageError for a missing name, and where the inputs hold different numbers of samples.

    Arrays that are named like no input are left aside (labels often lie beside them).
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
