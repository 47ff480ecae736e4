"""Outputs that are fed back as inputs of the next step: how users write it, and whether it fits."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from deployx_edge.errors import UsageError
from deployx_edge.model import AxisRange, NamedShape, format_shape

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class FeedBack:
    """An output whose values are those of an input in the next step."""

    output: str
    input: str

    @property
    def text(self) -> str:
        """As users write it."""
        return f"{self.output}={self.input}"


class StepInput(NamedShape, Protocol):
    """An input of a model, with its axes that stay open."""

    @property
    def ranges(self) -> tuple[AxisRange, ...]:
        """Its axes that stay open."""
        ...


class StepOutput(Protocol):
    """An output of a model; ``shape`` is None where nothing says it."""

    @property
    def name(self) -> str:
        """Its name in the source model."""
        ...

    @property
    def dtype(self) -> str:
        """Its element type, by NumPy's name."""
        ...

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Its full shape."""
        ...


def parse_feed_back(words: Sequence[str]) -> tuple[FeedBack, ...]:
    """``OUTPUT=INPUT``, one each; UsageError for anything else, and for an input fed twice."""
    feeds = []
    for word in words:
        output, equals, given = word.partition("=")
        if not (output and equals and given):
            raise UsageError(
                f"--feed-back {word} is not OUTPUT=INPUT.",
                remedy="Name the output and the input that takes its values in the next step: "
                "--feed-back stateN=state.",
            )
        feeds.append(FeedBack(output=output, input=given))
    for index, feed in enumerate(feeds):
        for earlier in feeds[:index]:
            if earlier.input == feed.input:
                raise UsageError(
                    f"The input '{feed.input}' is fed back from both '{earlier.output}' and "
                    f"'{feed.output}'; one output can feed it."
                )
    return tuple(feeds)


def check_feed_back(
    feeds: Sequence[FeedBack], inputs: Sequence[StepInput], outputs: Sequence[StepOutput]
) -> None:
    """UsageError where the model has no such output or input, or their types or shapes differ."""
    for feed in feeds:
        given = _named(feed.input, inputs, "input", feed)
        made = _named(feed.output, outputs, "output", feed)
        if made.dtype != given.dtype or not _fits(given, made.shape):
            raise _unfit(feed, given, made.dtype, made.shape)


def check_fed(feed: FeedBack, given: StepInput, array: NDArray[Any]) -> None:
    """UsageError where what a step gave is not what the input takes in the next one."""
    if str(array.dtype) != given.dtype or not _fits(given, array.shape):
        raise _unfit(feed, given, str(array.dtype), array.shape)


def omitted(
    feeds: Sequence[FeedBack], outputs: Collection[str], wanted: Collection[str]
) -> set[str]:
    """The outputs that stay where the model runs: those fed back that nobody ``wanted``.

    Where all outputs are fed back, they are what the model is run for, and none stays.
    """
    fed = {feed.output for feed in feeds}
    return set() if fed >= set(outputs) else fed - set(wanted)


def _named(name: str, known: Sequence[Any], kind: str, feed: FeedBack) -> Any:
    for each in known:
        if each.name == name:
            return each
    names = [each.name for each in known]
    near = difflib.get_close_matches(name, names)
    question = f" Did you mean {' or '.join(near)}?" if near else ""
    raise UsageError(
        f"--feed-back {feed.text}: the model has no {kind} '{name}'.{question}",
        remedy=f"Its {kind}s are {', '.join(names)}; write OUTPUT=INPUT.",
    )


def _fits(given: StepInput, shape: tuple[int, ...] | None) -> bool:
    """Whether a tensor of ``shape`` is one of the input's, at whatever size of its open axes."""
    if shape is None:
        return True
    still_open = {entry.axis for entry in given.ranges}
    return len(shape) == len(given.shape) and all(
        axis in still_open or found == size
        for axis, (found, size) in enumerate(zip(shape, given.shape, strict=True))
    )


def _unfit(
    feed: FeedBack, given: StepInput, dtype: str, shape: tuple[int, ...] | None
) -> UsageError:
    made = dtype if shape is None else f"{format_shape(shape)} {dtype}"
    grows = shape is not None and len(shape) == len(given.shape) and dtype == given.dtype
    return UsageError(
        f"The output '{feed.output}' ({made}) does not fit the input '{feed.input}' "
        f"({format_shape(given.shape)} {given.dtype}) that it is fed back to.",
        remedy="Leave the axis that grows open when the model is converted, for a runtime that "
        f"allows it: --input {feed.input}:…{{1..64}}…"
        if grows
        else "Feed back an output of the input's type and shape.",
    )
