"""Steps of a recurrent or streaming model: what each is given, and what all of them gave."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy

from deployx_edge.agent.client import InputTensor
from deployx_edge.bundle import Bundle
from deployx_edge.bundle.tensors import from_board_array
from deployx_edge.errors import UsageError
from deployx_edge.feed_back import (
    FeedBack,
    StepInput,
    check_fed,
    check_feed_back,
    check_growth,
    omitted,
)
from deployx_edge.measurement.values import RunOptions, WorkerLimits
from deployx_edge.model import at_sizes, format_shape
from deployx_edge.progress import Progress, Runs, Stage, silent
from deployx_edge.runtimes.reference import Reference
from deployx_edge.runtimes.runner import open_converted
from deployx_edge.sources.onnx.file import OnnxSource
from deployx_edge.workflows.boards.fed_tensors import board_tensors, fed_tensors
from deployx_edge.workflows.boards.left_nodes import check_run
from deployx_edge.workflows.boards.session import Session
from deployx_edge.workflows.convert.conversion import read_converted
from deployx_edge.workflows.measure.loading import load_model

Arrays = dict[str, numpy.ndarray]
# What all steps gave of one output lies in a file where it is larger.
_HELD_BYTES = 1 << 26


@dataclass(frozen=True, kw_only=True)
class Stream:
    """What the steps of a model are given.

    ``constant`` are inputs of every step, and what is fed back as the first step takes it;
    ``changing`` has a leading axis of steps. ``wanted`` are outputs that are given of every step
    though they are fed back; of the others of these only the last is.
    """

    feeds: tuple[FeedBack, ...]
    steps: int
    inputs: Mapping[str, StepInput]
    constant: Arrays
    changing: Arrays
    wanted: Collection[str] = ()

    def at(self, step: int) -> Arrays:
        """What a step is given that it does not have of the one before."""
        changed = {name: array[step] for name, array in self.changing.items()}
        return changed if step else {**self.constant, **changed}

    def fed(self, found: Mapping[str, numpy.ndarray]) -> Arrays:
        """What the next step has of the outputs ``found``; UsageError where it does not fit."""
        for feed in self.feeds:
            check_fed(feed, self.inputs[feed.input], found[feed.output])
        return {feed.input: found[feed.output] for feed in self.feeds}

    def is_kept(self, output: str, step: int, outputs: Collection[str]) -> bool:
        """Whether the output of that step is among the results."""
        return step == self.steps - 1 or output not in omitted(self.feeds, outputs, self.wanted)


def make_stream(
    inputs: Sequence[StepInput],
    arrays: Mapping[str, numpy.ndarray],
    feeds: tuple[FeedBack, ...],
    steps: int | None,
    wanted: Collection[str] = (),
) -> Stream:
    """The stream of ``arrays``, each of its input's shape, or with an axis of steps in front.

    Along a first axis of size 1 an array may hold steps as well. What is fed back starts with its
    array, or with zeros. Raises UsageError for an input without an array, one of another shape,
    and where arrays and ``steps`` disagree.
    """
    fed = {feed.input: feed for feed in feeds}
    constant, changing = Arrays(), Arrays()
    for spec in inputs:
        array = arrays.get(spec.name)
        if array is None and spec.name in fed:
            shape = at_sizes(spec.shape, spec.ranges, "minimum")
            constant[spec.name] = numpy.zeros(shape, dtype=spec.dtype)
        elif array is None:
            raise UsageError(
                f"There is no array for the input '{spec.name}', only "
                f"{', '.join(arrays) or 'none'}.",
                remedy="Name the arrays like the inputs; only what is fed back starts with zeros.",
            )
        else:
            by_step = _by_step(spec, array)
            if by_step is None:
                constant[spec.name] = array
            elif spec.name in fed:
                raise UsageError(
                    f"The input '{spec.name}' is fed back from '{fed[spec.name].output}', and the "
                    f"file gives it for {len(by_step)} steps.",
                    remedy="Leave it out, or give the state before the first step: an array of "
                    f"{format_shape(spec.shape)}.",
                )
            else:
                changing[spec.name] = by_step
    return Stream(
        feeds=feeds,
        steps=_count(changing, steps),
        inputs={spec.name: spec for spec in inputs},
        constant=constant,
        changing=changing,
        wanted=wanted,
    )


def run_steps(
    session: Session,
    bundle: Bundle,
    stream: Stream,
    *,
    options: RunOptions | None = None,
    limits: WorkerLimits | None = None,
) -> Arrays:
    """The outputs of all steps on a board, with a leading axis of steps.

    What is fed back stays there. Steps are sent ahead, so that the link's delay is not between
    two of them.
    """
    chosen = options or RunOptions()
    check_run(bundle, chosen.named)
    _check_stream(stream, bundle)
    names = [spec.name for spec in bundle.outputs]
    staying = _staying(bundle, stream)
    told = fed_tensors(bundle, stream.feeds)
    fed = tuple(replace(each, omitted=each.output in staying) for each in told)
    last = stream.steps - 1
    collected = Collected(stream.steps)

    def requests() -> Iterator[Sequence[InputTensor]]:
        for step in range(stream.steps):
            yield board_tensors(bundle, stream.at(step))

    session.push(bundle)
    with load_model(session, bundle, chosen, limits or WorkerLimits()) as load:
        session.progress(Stage(text=f"Running {stream.steps} steps"))
        replies = session.client.infer(
            load.model_id, requests(), lambda step: told if step == last else fed
        )
        for reply in replies:
            for spec in bundle.outputs:
                if stream.is_kept(spec.name, reply.sequence, names):
                    array = from_board_array(bundle, spec, reply.outputs[spec.runtime_name])
                    collected.add(spec.name, reply.sequence, array)
            done = reply.sequence + 1
            session.progress(Runs(done=done, expected=stream.steps, last_ns=reply.compute_ns))
    return collected.arrays


def run_steps_here(
    bundle: Bundle, stream: Stream, *, precision: str | None = None, progress: Progress = silent
) -> Arrays:
    """Like ``run_steps``, by the runtime's Python package on this computer."""
    _check_stream(stream, bundle)
    model = read_converted(bundle)
    with open_converted(replace(model, precision=precision or model.precision)) as opened:
        return _walk(stream, opened.run, [spec.name for spec in bundle.outputs], progress)


def _check_stream(stream: Stream, bundle: Bundle) -> None:
    """UsageError where outputs cannot be fed back for so many steps."""
    check_feed_back(stream.feeds, bundle.inputs, bundle.outputs)
    starts = {name: array.shape for name, array in stream.at(0).items()}
    check_growth(stream.feeds, bundle.inputs, bundle.outputs, stream.steps, starts)


def run_source_steps(source: OnnxSource, stream: Stream, progress: Progress = silent) -> Arrays:
    """The outputs of all steps of the source model, in ONNX Runtime on this computer."""
    check_feed_back(stream.feeds, source.inputs, source_outputs(source))
    reference = Reference(source)
    return _walk(stream, reference.run, source.output_names, progress)


@dataclass(frozen=True, kw_only=True)
class SourceOutput:
    """An output of a source model, whose shape nothing says before it has run."""

    name: str
    dtype: str
    shape: tuple[int, ...] | None = None


def source_outputs(source: OnnxSource) -> list[SourceOutput]:
    """The outputs as ``check_feed_back`` takes them."""
    return [SourceOutput(name=name, dtype=dtype) for name, dtype in source.output_dtypes.items()]


class Collected:
    """What the steps gave, with a leading axis of steps; where that is large, it lies in a file."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._first: dict[str, int] = {}
        self.arrays: Arrays = {}

    def add(self, name: str, step: int, array: numpy.ndarray) -> None:
        """UsageError where the output had another shape in an earlier step."""
        if name not in self.arrays:
            self._first[name] = step
            self.arrays[name] = _room((self._steps - step, *array.shape), array.dtype)
        room = self.arrays[name]
        if room.shape[1:] != array.shape:
            raise UsageError(
                f"Output '{name}' has the shape {format_shape(array.shape)} in step {step} and "
                f"{format_shape(room.shape[1:])} in step {self._first[name]}.",
                remedy="Only outputs that keep their shape can be put together.",
            )
        room[step - self._first[name]] = array


def _staying(bundle: Bundle, stream: Stream) -> set[str]:
    """The runtime's names of the outputs that stay on the board, but for the last step."""
    names = [spec.name for spec in bundle.outputs]
    staying = omitted(stream.feeds, names, stream.wanted)
    return {spec.runtime_name for spec in bundle.outputs if spec.name in staying}


def _walk(
    stream: Stream,
    run: Callable[[Arrays], Arrays],
    outputs: Collection[str],
    progress: Progress,
) -> Arrays:
    collected = Collected(stream.steps)
    given: Arrays = {}
    for step in range(stream.steps):
        given.update(stream.at(step))
        found = run(given)
        for name in outputs:
            if stream.is_kept(name, step, outputs):
                collected.add(name, step, found[name])
        given.update(stream.fed(found))
        progress(Runs(done=step + 1, expected=stream.steps, last_ns=0))
    return collected.arrays


def _room(shape: tuple[int, ...], dtype: numpy.dtype) -> numpy.ndarray:
    if dtype.itemsize * math.prod(shape) <= _HELD_BYTES:
        return numpy.empty(shape, dtype)
    # Nobody else has its name, and its pages can be written out.
    with tempfile.TemporaryFile(prefix="deployx-edge-steps-") as file:
        return numpy.memmap(file, dtype=dtype, mode="w+", shape=shape)


def _by_step(spec: StepInput, array: numpy.ndarray) -> numpy.ndarray | None:
    """The array with a leading axis of steps; None where it is that of one step."""
    axes = len(spec.shape)
    if array.ndim == axes + 1:
        by_step: numpy.ndarray | None = array
    elif array.ndim == axes and spec.shape[:1] == (1,) and len(array) != 1 and not spec.ranges:
        by_step = array[:, None]
    else:
        by_step = None
    if by_step is not None and not len(by_step):
        raise UsageError(f"The array of '{spec.name}' holds no step: {format_shape(array.shape)}.")
    _check(spec, array if by_step is None else by_step[0])
    return by_step


def _check(spec: StepInput, array: numpy.ndarray) -> None:
    """UsageError where the array is not of the input's type, or outside of its shape."""
    open_axes = {entry.axis for entry in spec.ranges}
    fits = array.ndim == len(spec.shape) and all(
        axis in open_axes or found == size
        for axis, (found, size) in enumerate(zip(array.shape, spec.shape, strict=True))
    )
    if not fits or str(array.dtype) != spec.dtype:
        raise UsageError(
            f"Input '{spec.name}' is {format_shape(spec.shape)} {spec.dtype}, the array given for "
            f"a step of it {format_shape(array.shape)} {array.dtype}.",
            remedy=f"Give an array of {format_shape(spec.shape)}, or one with an axis of steps in "
            "front of that.",
        )


def _count(changing: Mapping[str, numpy.ndarray], steps: int | None) -> int:
    lengths = {name: len(array) for name, array in changing.items()}
    told = ", ".join(f"{name} {count}" for name, count in lengths.items())
    if len(set(lengths.values())) > 1:
        raise UsageError(f"The inputs hold different numbers of steps: {told}.")
    if steps is None and not lengths:
        raise UsageError(
            "Nothing says how many steps the model is to run.",
            remedy="Add --steps 100, or give arrays with a leading axis of steps.",
        )
    found = next(iter(lengths.values()), steps)
    assert found is not None
    if steps is not None and steps > found:
        raise UsageError(f"{steps} steps were asked for, the file holds fewer: {told}.")
    count = found if steps is None else steps
    if count < 1:
        raise UsageError(f"A stream has at least 1 step, not {count}.")
    return count
