"""Outputs that are fed back as inputs of the next step: how users write it, and whether it fits."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
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
    for entry in given.ranges:
        if array.shape[entry.axis] > entry.maximum:
            raise UsageError(
                f"The output '{feed.output}' ({format_shape(array.shape)}) has grown beyond the "
                f"{entry.maximum} that the input '{feed.input}', which it is fed back to, may have "
                f"along axis {entry.axis}.",
                remedy=_remedy(feed),
            )


def check_growth(
    feeds: Sequence[FeedBack],
    inputs: Sequence[StepInput],
    outputs: Sequence[StepOutput],
    steps: int | None,
    starts: Mapping[str, tuple[int, ...]] | None = None,
) -> None:
    """UsageError where what is fed back grows beyond the largest size of an open axis.

    Each step adds what the model's own shapes say. ``starts`` are shapes of inputs in the first
    step where they are not the model's; ``steps`` None is a number that nobody knows before.
    REQUIRES: ``check_feed_back``.
    """
    takes = {spec.name: spec for spec in inputs}
    gives = {spec.name: spec for spec in outputs}
    for feed in feeds:
        given, shape = takes[feed.input], gives[feed.output].shape
        start = (starts or {}).get(feed.input, given.shape)
        if shape is None:
            continue
        for entry in given.ranges:
            grown = shape[entry.axis] - given.shape[entry.axis]
            if grown <= 0:
                continue
            most = (entry.maximum - start[entry.axis]) // grown + 1
            if steps is None or steps > most:
                raise _outgrown(feed, entry, grown, most, steps)


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


def _outgrown(
    feed: FeedBack, entry: AxisRange, grown: int, most: int, steps: int | None
) -> UsageError:
    many = "an unknown number of steps" if steps is None else f"{steps} steps"
    return UsageError(
        f"--feed-back {feed.text}: the input '{feed.input}' grows by {grown} along axis "
        f"{entry.axis} in each step, which may be {entry.maximum} at most: there is room for "
        f"{max(most, 0)} steps, and {many} were asked for.",
        remedy=_remedy(feed)
        + (" Say how many by --iterations in place of --seconds." if steps is None else ""),
    )


def _remedy(feed: FeedBack) -> str:
    return (
        "Run fewer steps, or convert the model with a larger maximum for that axis: "
        f"--input {feed.input}:…{{1..MAXIMUM}}…"
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
