"""A recurrent or streaming model as `run` takes it: a file or a bundle, on a board or here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deployx_edge.bundle import Bundle, is_sequence
from deployx_edge.errors import DeployxError, UsageError
from deployx_edge.feed_back import FeedBack, check_feed_back
from deployx_edge.measurement.fallback import allows_fallback
from deployx_edge.model import PostProcessing, parse_inputs
from deployx_edge.progress import Progress, Stage, silent
from deployx_edge.sources.onnx.file import read_onnx
from deployx_edge.workflows.boards.left_nodes import check_run, left_note
from deployx_edge.workflows.convert.bundle import make_bundle
from deployx_edge.workflows.convert.conversion import source_preprocessing
from deployx_edge.workflows.convert.finiteness import broken_outputs, not_finite_sentence
from deployx_edge.workflows.convert.models import open_source_model
from deployx_edge.workflows.convert.options import BundleOptions
from deployx_edge.workflows.convert.samples import Arrays, check_fixed, read_arrays
from deployx_edge.workflows.measure.on_board import session_for
from deployx_edge.workflows.measure.requests import RunRequest, said_of_images
from deployx_edge.workflows.measure.steps import (
    Stream,
    make_stream,
    run_source_steps,
    run_steps,
    run_steps_here,
    source_outputs,
)


@dataclass(frozen=True, kw_only=True)
class AskedSteps:
    """Steps that are wanted: what is fed back, how many of them (None: as many as the arrays
    hold), and on which files. What a request dumps are outputs that are given of every step."""

    feeds: tuple[FeedBack, ...]
    steps: int | None
    files: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class StepOutputs:
    """Arrays by the names of outputs, with a leading axis of steps, and what outputs mean."""

    arrays: Arrays
    steps: int
    meanings: tuple[PostProcessing, ...] = ()
    not_finite: tuple[str, ...] = ()
    emulated: bool = False


def run_stream(request: RunRequest, asked: AskedSteps, progress: Progress = silent) -> StepOutputs:
    """Run a model step after step, as ``run_anywhere`` runs one."""
    if not asked.feeds:
        raise UsageError(
            "--steps says how often a model runs whose outputs are fed back, and nothing is.",
            remedy="Add --feed-back OUTPUT=INPUT, or leave --steps out.",
        )
    model = request.model
    if is_sequence(model):
        raise UsageError(f"{model} is a sequence of bundles, which does not run step after step.")
    if request.device is None and request.runtime is None and not model.is_dir():
        return _run_source(request, asked, progress)
    wanted = BundleOptions(
        runtime=request.runtime,
        allow_fallback=allows_fallback(request.options.named),
        input_shapes=request.shapes,
        torch=request.torch,
    )
    bundle = make_bundle(model, options=wanted, progress=progress)
    check_run(bundle, request.options.named)
    if note := left_note([bundle]):
        progress(Stage(text=note))
    check_feed_back(asked.feeds, bundle.inputs, bundle.outputs)
    _check_wanted(request.dump, [spec.name for spec in bundle.outputs])
    images = said_of_images(request, bundle.inputs) or bundle.preprocessing
    inputs = read_arrays(asked.files, images, progress)
    check_fixed(inputs, bundle.input_requests())
    stream = make_stream(bundle.inputs, inputs, asked.feeds, asked.steps, request.dump)
    if request.device is None:
        progress(Stage(text=f"Running {bundle.name} in {bundle.runtime} on this computer"))
        arrays = run_steps_here(bundle, stream, progress=progress)
        return StepOutputs(arrays=arrays, steps=stream.steps, meanings=bundle.postprocessing)
    return _run_there(request, bundle, stream, progress)


def _run_there(
    request: RunRequest, bundle: Bundle, stream: Stream, progress: Progress
) -> StepOutputs:
    with session_for(request, progress) as session:
        arrays = run_steps(session, bundle, stream, options=request.options, limits=request.limits)
    return StepOutputs(
        arrays=arrays,
        steps=stream.steps,
        meanings=bundle.postprocessing,
        not_finite=_broken(bundle, stream, arrays, session.identity.name),
        emulated=session.identity_for(bundle).board.emulated,
    )


def _broken(bundle: Bundle, stream: Stream, found: Arrays, device: str) -> tuple[str, ...]:
    def here() -> Arrays:
        try:
            return run_steps_here(bundle, stream, precision="fp32")
        except DeployxError:
            return {}

    missed = broken_outputs(bundle, {}, found, here)
    return (not_finite_sentence(missed, device),) if missed else ()


def _run_source(request: RunRequest, asked: AskedSteps, progress: Progress) -> StepOutputs:
    requests = parse_inputs(request.shapes)
    with open_source_model(request.model, request.torch, requests, progress=progress) as opened:
        if opened.path.suffix != ".onnx":
            raise UsageError(
                f"{request.model} is not an ONNX model; only these run on this computer as they "
                "are.",
                remedy="Name a board: --device local:.",
            )
        source = read_onnx(opened.path, requests)
        check_feed_back(asked.feeds, source.inputs, source_outputs(source))
        _check_wanted(request.dump, source.output_names)
        said = BundleOptions(preprocess=request.preprocess)
        inputs = read_arrays(asked.files, source_preprocessing(source, said), progress)
        check_fixed(inputs, requests)
        stream = make_stream(source.inputs, inputs, asked.feeds, asked.steps, request.dump)
        progress(Stage(text=f"Running {opened.name} in ONNX Runtime"))
        return StepOutputs(arrays=run_source_steps(source, stream, progress), steps=stream.steps)


def _check_wanted(wanted: Sequence[str], outputs: Sequence[str]) -> None:
    unknown = [name for name in wanted if name not in outputs]
    if unknown:
        raise UsageError(
            f"With --feed-back, --dump takes outputs that are fed back, and '{unknown[0]}' is not "
            f"an output; the outputs are {', '.join(outputs)}.",
            remedy="Run a single step without --feed-back for tensors inside the model.",
        )
