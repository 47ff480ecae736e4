"""Run a model on inputs of the user's own: on a board, or on this computer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy

from deployx_edge.bundle import Bundle
from deployx_edge.bundle.tensors import to_board_arrays
from deployx_edge.errors import UsageError
from deployx_edge.feed_back import parse_feed_back
from deployx_edge.measurement.values import RunOptions, WorkerLimits
from deployx_edge.model import PostProcessing, is_input_request
from deployx_edge.processing.preprocessing import write_content
from deployx_edge.progress import Progress, Runs, silent
from deployx_edge.runtimes.runner import check_arrays
from deployx_edge.scratch import beside
from deployx_edge.workflows.boards.left_nodes import check_run
from deployx_edge.workflows.boards.session import Session
from deployx_edge.workflows.convert.models import TorchOptions
from deployx_edge.workflows.convert.samples import (
    Arrays,
    check_fixed,
    join_samples,
    read_arrays,
    split_samples,
)
from deployx_edge.workflows.measure.answers import (
    RunAnswer,
    board_answers,
    bundle_answers,
    stacked,
)
from deployx_edge.workflows.measure.opened import open_run
from deployx_edge.workflows.measure.requests import RunRequest
from deployx_edge.workflows.measure.steps import make_stream, run_steps
from deployx_edge.workflows.measure.streaming import AskedSteps, run_stream


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Arrays by the names of outputs and dumped tensors, and what outputs mean.

    ``not_finite`` says where a device gave NaN or infinity that the model itself does not. Of a
    model that ran in ``steps`` the arrays have a leading axis of these.
    """

    arrays: Arrays
    meanings: tuple[PostProcessing, ...]
    not_finite: tuple[str, ...] = ()
    steps: int | None = None


def run(
    session: Session,
    bundle: Bundle,
    inputs: Mapping[str, numpy.ndarray],
    *,
    options: RunOptions | None = None,
    limits: WorkerLimits | None = None,
    dump: Sequence[str] = (),
    feed_back: Sequence[str] = (),
    steps: int | None = None,
) -> Arrays:
    """The model's outputs for ``inputs``, named and shaped like the source model's.

    The batch axis of the inputs may hold any number of samples: each is sent by itself,
    with several in flight, and the outputs are put together again along theirs.
    Arrays named like no input are left aside. ``dump`` names tensors inside the model, by
    the names of its blobs: they are given as ncnn has them, without a batch axis for one
    sample and with one in front for several.

    With ``feed_back`` ("stateN=state") the model runs ``steps`` times, each output named there
    being the input of the next step; inputs and outputs have a leading axis of steps. What is
    fed back starts with its input, or with zeros, and is given of the last step alone unless
    ``dump`` names it.
    """
    if feed_back or steps is not None:
        stream = make_stream(bundle.inputs, inputs, parse_feed_back(feed_back), steps, dump)
        return run_steps(session, bundle, stream, options=options, limits=limits)
    chosen = options or RunOptions()
    check_run(bundle, chosen.named)
    to_board_arrays(bundle, inputs)  # everything is checked before a board is asked
    samples = split_samples(bundle.inputs, inputs)
    answers = []
    for answer in board_answers(
        session, bundle, samples, options=chosen, limits=limits or WorkerLimits(), dump=dump
    ):
        answers.append(answer)
        done = len(answers)
        session.progress(Runs(done=done, expected=len(samples), last_ns=answer.compute_ns))
    return _together(bundle, answers, dump)


def run_bundle_here(
    bundle: Bundle, inputs: Mapping[str, numpy.ndarray], *, dump: Sequence[str] = ()
) -> Arrays:
    """Like ``run``, by the runtime's Python package on this computer."""
    check_arrays(bundle.inputs, [inputs])
    samples = split_samples(bundle.inputs, inputs)
    return _together(bundle, list(bundle_answers(bundle, samples, dump)), dump)


def run_anywhere(
    model: Path,
    words: Sequence[str],
    device: str | None,
    *,
    runtime: str | None = None,
    options: RunOptions | None = None,
    limits: WorkerLimits | None = None,
    dump: Sequence[str] = (),
    feed_back: Sequence[str] = (),
    steps: int | None = None,
    torch: TorchOptions | None = None,
    wait: bool = True,
    verify: bool = False,
    progress: Progress = silent,
) -> Outputs:
    """Run a model, or a bundle, on a device, or on this computer where there is none.

    ``words`` are inputs as ``--input`` takes them: ``.npz`` files, images, and shapes. With
    ``verify`` all that lies on the board is hashed first. A model is converted for ``runtime``;
    without it and without a device the source itself runs. For ``feed_back`` and ``steps`` see
    ``run``.
    """
    shapes, files = split_inputs(words, may_be_none=bool(feed_back))
    request = RunRequest(
        model=model,
        device=device,
        runtime=runtime,
        shapes=tuple(shapes),
        options=options or RunOptions(),
        limits=limits or WorkerLimits(),
        dump=tuple(dump),
        torch=torch or TorchOptions(),
        wait=wait,
        verify=verify,
    )
    if feed_back or steps is not None:
        asked = AskedSteps(feeds=parse_feed_back(feed_back), steps=steps, files=tuple(files))
        done = run_stream(request, asked, progress)
        return Outputs(
            arrays=done.arrays,
            meanings=done.meanings,
            not_finite=done.not_finite,
            steps=done.steps,
        )
    with open_run(request, progress) as opened:
        arrays = read_arrays(files, opened.preprocessing, progress)
        check_fixed(arrays, opened.requests)
        samples = opened.split(arrays)
        answers = list(opened.answers(samples))
        return Outputs(
            arrays=opened.together(answers),
            meanings=opened.meanings(samples[0], answers[0].outputs),
            not_finite=tuple(opened.not_finite),
        )


def split_inputs(
    words: Sequence[str], *, may_be_none: bool = False
) -> tuple[list[str], list[Path]]:
    """The words that give an input's shape (``NAME:1x3x224x224``), and the files.

    A file that is really called so stays a file. Raises UsageError where no file is given, unless
    there ``may_be_none``.
    """
    shapes = [word for word in words if is_input_request(word) and not Path(word).exists()]
    files = [Path(word) for word in words if word not in shapes]
    if not files and not may_be_none:
        raise UsageError(
            f"{'Only shapes were' if shapes else 'No input was'} given, nothing to run on.",
            remedy="Add --input FILE.npz or an image.",
        )
    return shapes, files


def write_outputs(outputs: Mapping[str, numpy.ndarray], path: Path) -> None:
    """An ``.npz`` with arrays named like the outputs, written beside and renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with beside(path) as temporary:
        with temporary.open("wb") as file:
            write_content(file, outputs)
        temporary.replace(path)


def _together(bundle: Bundle, answers: Sequence[RunAnswer], dump: Sequence[str]) -> Arrays:
    outputs = {
        spec.name: join_samples(spec, [answer.outputs[spec.name] for answer in answers])
        for spec in bundle.outputs
    }
    dumped = {name: stacked([answer.dumped[name] for answer in answers]) for name in dump}
    return {**dumped, **outputs}
