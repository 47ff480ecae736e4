"""What users say of a model's inputs: shapes, values, and how these are written."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from deployx_edge.errors import UsageError

# 1 GiB of float32; what is larger is a slip of the pen.
MAX_ELEMENTS = 2**28
_SIZE = r"[1-9][0-9]{0,9}"
# 224, {224..640}, or {224..320..640} with the usual size in the middle
_AXIS = rf"(?:{_SIZE}|\{{{_SIZE}\.\.(?:{_SIZE}\.\.)?{_SIZE}\}})"
# Element types by NumPy's names, as far as runtimes take them.
DTYPES = ("float32", "float16", "float64", "int64", "int32", "int8", "uint8", "bool")
_AXES = rf"scalar|{_AXIS}(?:x{_AXIS})*"
_TYPE = rf"(?::(?P<dtype>{'|'.join(DTYPES)}))?"
_NUMBER = r"(?:[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?inf|nan|true|false)"
_VALUES = rf"{_NUMBER}(?:,{_NUMBER})*"
_OUTPUT = re.compile(rf"(?P<name>.+):(?P<axes>scalar|{_SIZE}(?:x{_SIZE})*)")
# What stands behind an input's name: a shape, a value, or both
_INPUT = re.compile(rf":(?P<axes>{_AXES}){_TYPE}(?:=(?P<values>{_VALUES}))?|=(?P<only>{_VALUES})")


@dataclass(frozen=True, kw_only=True)
class AxisRange:
    """The sizes that an axis may have; ``opt`` is the one that it has most of the time."""

    axis: int
    minimum: int
    opt: int
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
        """The shape with the ``minimum``, ``opt`` or ``maximum`` size on every open axis."""
        return at_sizes(self.shape, self.ranges, sizes)


def too_large(shape: Sequence[int]) -> bool:
    """Whether a tensor of that shape has more elements than any board takes."""
    return math.prod(shape) > MAX_ELEMENTS


def format_shape(shape: Sequence[int]) -> str:
    """``(1, 3, 224, 224)`` as ``1x3x224x224``; a scalar's shape as ``scalar``."""
    return "x".join(str(size) for size in shape) or "scalar"


def at_sizes(shape: Sequence[int], ranges: Sequence[AxisRange], sizes: str) -> tuple[int, ...]:
    """``shape`` with the ``minimum``, ``opt`` or ``maximum`` of every range on its axis."""
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
                remedy="Write --input NAME:1x3x224x224, with :int64 after it if it is not "
                "float32; {224..640} is an axis that stays open. NAME=16000 or NAME=1,1 fixes an "
                "input to a value.",
            )
        name, match = found
        if name in requests:
            raise UsageError(f"The input '{name}' is given twice.")
        requests[name] = replace(_request(word, match), word=word)
    return requests


def parse_output_shapes(words: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """``NAME:1x1000`` by output name; UsageError for anything else."""
    shapes: dict[str, tuple[int, ...]] = {}
    for word in words:
        found = _OUTPUT.fullmatch(word)
        if found is None or found["name"] in shapes:
            wrong = "is given twice" if found else "does not say an output's shape"
            raise UsageError(f"'{word}' {wrong}.", remedy="Write --output-shape NAME:1x1000.")
        axes = found["axes"]
        shapes[found["name"]] = () if axes == "scalar" else tuple(map(int, axes.split("x")))
    return shapes


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
            ranges.append(AxisRange(axis=axis, minimum=sizes[0], opt=shape[-1], maximum=sizes[-1]))
    request = InputRequest(shape=tuple(shape), ranges=tuple(ranges), dtype=match["dtype"])
    if too_large(request.shape_at("maximum")):
        raise UsageError(f"A tensor of {match['axes']} has more than {MAX_ELEMENTS} elements.")
    return request
