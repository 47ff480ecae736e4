"""Values that describe a model's inputs and outputs, and how they pass to the runtime and back."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
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
_SHAPE = re.compile(r"[1-9][0-9]{0,9}(x[1-9][0-9]{0,9})*")


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


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """One input or output as the source model knows it.

    ``blob`` is the name by which the runtime knows it (``in0``); ``shape`` is the
    source's full shape, batch axis included; ``layout`` names its axes (``NCHW``,
    ``NC``, or "" where nothing is known); ``batch_axis`` the axis that counts
    independent samples, None where there is none.
    """

    name: str
    blob: str
    dtype: str
    shape: tuple[int, ...]
    layout: str
    batch_axis: int | None

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one sample: ``shape`` without its batch axis."""
        if self.batch_axis is None:
            return self.shape
        return self.shape[: self.batch_axis] + self.shape[self.batch_axis + 1 :]


@dataclass(frozen=True, kw_only=True)
class PreProcessing:
    """How a picture becomes the input named ``input``.

    The picture is turned into ``colour`` (``rgb``, ``bgr`` or ``gray``), resized to
    ``width`` by ``height`` pixels by ``mode`` (``nearest``, ``area``, ``bilinear`` or
    ``bicubic``; where ``fit`` is "crop", its middle is cut to the wanted proportions
    first, where "stretch", not), and each value ``v`` (0 … 255) of channel ``c`` becomes
    ``(v * scale - mean[c]) / std[c]``. ``mean`` and ``std`` hold one number per channel.
    ``layout`` is that of the input: ``NCHW`` or ``NHWC``.
    """

    input: str
    width: int
    height: int
    mode: str = "bilinear"
    fit: str = "stretch"
    colour: str = "rgb"
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    layout: str = "NCHW"

    @property
    def channels(self) -> int:
        """Colour channels: 1 for ``gray``, else 3."""
        return 1 if self.colour == "gray" else 3


@dataclass(frozen=True, kw_only=True)
class PostProcessing:
    """What the output named ``output`` means.

    ``kind`` is "classification": one score a class along the last axis; ``softmax``
    says that the scores still need one to become probabilities; ``labels`` names the
    classes in order (empty: numbers).
    """

    output: str
    kind: str = "classification"
    softmax: bool = False
    labels: tuple[str, ...] = ()


def too_large(shape: Sequence[int]) -> bool:
    """Whether a tensor of that shape has more elements than any board takes."""
    return math.prod(shape) > MAX_ELEMENTS


def format_shape(shape: Sequence[int]) -> str:
    """``(1, 3, 224, 224)`` as ``1x3x224x224``; a scalar's shape as ``scalar``."""
    return "x".join(str(size) for size in shape) or "scalar"


def parse_shape(text: str) -> tuple[int, ...]:
    """``1x3x224x224`` as ``(1, 3, 224, 224)``; UsageError where it is not of that form."""
    if not _SHAPE.fullmatch(text):
        raise UsageError(f"'{text}' is not a shape.", remedy="Write it like 1x3x224x224.")
    shape = tuple(int(size) for size in text.split("x"))
    if too_large(shape):
        raise UsageError(f"A tensor of {text} has more than {MAX_ELEMENTS} elements.")
    return shape


def is_input_shape(word: str) -> bool:
    """Whether ``word`` has the form ``NAME:1x3x224x224``."""
    name, colon, shape = word.rpartition(":")
    return bool(name and colon and _SHAPE.fullmatch(shape))


def parse_input_shapes(words: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """``NAME:1x3x224x224`` words as shapes by input name; UsageError for anything else."""
    shapes: dict[str, tuple[int, ...]] = {}
    for word in words:
        name, colon, shape = word.rpartition(":")
        if not (name and colon):
            raise UsageError(
                f"'{word}' does not say an input's shape.",
                remedy="Write --input NAME:1x3x224x224.",
            )
        if name in shapes:
            raise UsageError(f"The shape of input '{name}' is given twice.")
        shapes[name] = parse_shape(shape)
    return shapes


def to_runtime_array(spec: TensorSpec, array: NDArray[Any]) -> tuple[Array, bool]:
    """The array as the runtime takes it, and whether its first axis counts samples.

    ``array`` has the source's shape. The batch axis may hold any number of samples:
    a single one is taken off, several are moved to the front (``batched`` is True).
    What remains has at most four dimensions, slowest first, dense float32.
    Raises UsageError when the type or the shape is not the input's.
    """
    import numpy as np

    wanted = _wanted(spec)
    if array.dtype != np.dtype(spec.dtype):
        raise UsageError(
            f"Input '{spec.name}' is {spec.dtype}, the array given for it is {array.dtype}.",
            remedy=f"Convert it: array.astype('{spec.dtype}').",
        )
    if not _fits(spec, array.shape):
        raise UsageError(
            f"Input '{spec.name}' has the shape {wanted}, "
            f"the array given for it {format_shape(array.shape)}."
        )
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
    return all(
        found >= 1 if axis == spec.batch_axis else found == size
        for axis, (found, size) in enumerate(zip(shape, spec.shape, strict=True))
    )


def _wanted(spec: TensorSpec) -> str:
    words = ["N" if axis == spec.batch_axis else str(size) for axis, size in enumerate(spec.shape)]
    return "x".join(words) or "scalar"
