"""Inputs that a module and what was exported from it are compared on.

A branch that the exporter kept only one side of shows where inputs differ in sign, scale and
sum; sizes that became numbers show at other sizes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deployx_edge.comparison import SEED, structured_inputs
from deployx_edge.model import InputRequest, format_shape
from deployx_edge.sources.onnx.file import SourceTensor, read_onnx

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXAMPLE = "noise of 0 … 1"
# Offset and scale of noise that lies in 0 … 1, and the largest of whole numbers.
_NOISE = {
    EXAMPLE: (0.0, 1.0, 0),
    "noise of -1 … 0": (-1.0, 1.0, 1),
    "noise of -100 … 100": (-100.0, 200.0, 100),
    "noise of 0 … 255": (0.0, 255.0, 255),
    "noise of -100 … 0": (-100.0, 100.0, 3),
    "noise of 0 … 0.001": (0.0, 0.001, 30),
    "zeros": (0.0, 0.0, 0),
}
_STRUCTURED = (
    "uniform noise",
    "normal noise",
    "a gradient",
    "a checkerboard",
    "smooth noise",
    "something like an image",
)
# What sets other sizes apart is the size.
_AT_ENDS = (EXAMPLE, "noise of -1 … 0", "noise of -100 … 100", "noise of 0 … 0.001")
_BETWEEN = (EXAMPLE, "noise of -100 … 100")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Inputs in the model's order, and what they are.

    ``must_run``: they hold nothing unusual, and the user asked for these sizes.
    """

    what: str
    arrays: tuple[NDArray[Any], ...]
    must_run: bool = False

    def __str__(self) -> str:
        shapes = ", ".join(format_shape(array.shape) for array in self.arrays)
        return f"{self.what} of the size {shapes}"


@dataclass(frozen=True, kw_only=True)
class TorchInput(SourceTensor):
    """An input; ``values`` are what the user fixed it to, one for all elements or one for each."""

    values: tuple[int | float, ...] = ()


def input_tensors(requests: Mapping[str, InputRequest]) -> tuple[TorchInput, ...]:
    """What the user says of inputs that the model says nothing of."""
    return tuple(
        TorchInput(
            name=name,
            shape=entry.shape,
            dtype=entry.dtype or "float32",
            ranges=entry.ranges,
            values=entry.values,
        )
        for name, entry in requests.items()
    )


def exported_inputs(path: Path, requests: Mapping[str, InputRequest]) -> tuple[TorchInput, ...]:
    """What an exported file says of its inputs, and the user of open and fixed ones."""
    shaped = {name: entry for name, entry in requests.items() if not entry.values}
    return tuple(
        TorchInput(
            name=tensor.name,
            shape=tensor.shape,
            dtype=tensor.dtype,
            ranges=tensor.ranges,
            values=requests[tensor.name].values if tensor.name in requests else (),
        )
        for tensor in read_onnx(path, shaped).inputs
    )


def trials(inputs: Sequence[TorchInput]) -> Iterator[Trial]:
    """All kinds at the best sizes; some at both ends of open axes, and between these.

    The first is what models are traced with.
    """
    for index, (sized, asked) in enumerate(size_variants(inputs)):
        kinds = tuple(_NOISE) if index == 0 else _AT_ENDS if asked else _BETWEEN
        for kind in kinds:
            arrays = tuple(_noise(kind, place, tensor) for place, tensor in enumerate(sized))
            yield Trial(what=kind, arrays=arrays, must_run=asked and kind == EXAMPLE)
        if index == 0:
            for what, given in zip(_STRUCTURED, structured_inputs(sized), strict=True):
                arrays = tuple(_fixed(t) if t.values else given[t.name] for t in sized)
                yield Trial(what=what, arrays=arrays)


def size_variants(
    inputs: Sequence[TorchInput],
) -> Iterator[tuple[list[TorchInput], bool]]:
    """The inputs at fixed sizes, the best first; and whether the user named these.

    All open axes at their ends; one beside, as odd sizes may go another way than even ones;
    half-way; and each alone at its ends.
    """
    axes = [(index, entry) for index, tensor in enumerate(inputs) for entry in tensor.ranges]
    best = [entry.opt for _, entry in axes]
    lowest, highest = [e.minimum for _, e in axes], [e.maximum for _, e in axes]
    named = (best, lowest, highest)
    others = [
        [min(low + 1, high) for low, high in zip(lowest, highest, strict=True)],
        [max(high - 1, low) for low, high in zip(lowest, highest, strict=True)],
        [(low + middle) // 2 for low, middle in zip(lowest, best, strict=True)],
        [(middle + high) // 2 for middle, high in zip(best, highest, strict=True)],
        *([*best[:k], end[k], *best[k + 1 :]] for k in range(len(axes)) for end in named[1:]),
    ]
    seen: list[list[int]] = []
    for sizes in (*named, *others):
        if sizes not in seen:
            seen.append(sizes)
            yield _at(inputs, [(i, e.axis) for i, e in axes], sizes), sizes in named


def _at(
    inputs: Sequence[TorchInput], axes: Sequence[tuple[int, int]], sizes: Sequence[int]
) -> list[TorchInput]:
    shapes = [list(tensor.shape) for tensor in inputs]
    for (index, axis), size in zip(axes, sizes, strict=True):
        shapes[index][axis] = size
    return [
        replace(tensor, shape=tuple(shape), ranges=())
        for tensor, shape in zip(inputs, shapes, strict=True)
    ]


def _fixed(tensor: TorchInput) -> NDArray[Any]:
    given = np.asarray(tensor.values, dtype=tensor.dtype)
    return np.full(tensor.shape, given[0]) if given.size == 1 else given.reshape(tensor.shape)


def _noise(kind: str, place: int, tensor: TorchInput) -> NDArray[Any]:
    """Seeded noise for the input at that place; whole numbers are from 0 on."""
    if tensor.values:
        return _fixed(tensor)
    generator = np.random.default_rng([SEED, list(_NOISE).index(kind), place])
    offset, scale, largest = _NOISE[kind]
    dtype = np.dtype(tensor.dtype)
    if dtype.kind == "f":
        return (offset + scale * generator.random(tensor.shape)).astype(dtype)
    limit = 1 if dtype.kind == "b" else min(largest, np.iinfo(dtype).max)
    if largest <= 1:  # none, or all
        return np.full(tensor.shape, largest).astype(dtype)
    return generator.integers(0, limit, tensor.shape, endpoint=True).astype(dtype)
