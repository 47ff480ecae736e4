"""A model that is ready to run samples: its source or a bundle, here or on a board."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy

from deployx_edge.bundle import Bundle, is_sequence, load_sequence
from deployx_edge.bundle.tensors import to_board_arrays
from deployx_edge.errors import UsageError
from deployx_edge.measurement.fallback import allows_fallback
from deployx_edge.model import (
    parse_inputs,
)
from deployx_edge.progress import Progress, Stage, silent
from deployx_edge.runtime import find_runtime
from deployx_edge.runtimes.runner import check_arrays
from deployx_edge.sources.onnx.file import OnnxSource, read_onnx
from deployx_edge.workflows.boards.left_nodes import check_run, left_note
from deployx_edge.workflows.convert.bundle import make_bundle
from deployx_edge.workflows.convert.conversion import (
    source_postprocessing,
    source_preprocessing,
)
from deployx_edge.workflows.convert.models import open_source_model
from deployx_edge.workflows.convert.options import BundleOptions
from deployx_edge.workflows.convert.presets import image_steps, open_shapes, output_steps
from deployx_edge.workflows.convert.samples import join_samples, split_samples
from deployx_edge.workflows.measure.answers import (
    Arrays,
    RunAnswer,
    bundle_answers,
    source_answers,
)
from deployx_edge.workflows.measure.on_board import Finiteness, on_board, session_for
from deployx_edge.workflows.measure.opened_sequence import opened_sequence
from deployx_edge.workflows.measure.requests import (
    OpenedRun,
    RunRequest,
    said_of_images,
    said_of_outputs,
)


@contextmanager
def open_run(request: RunRequest, progress: Progress = silent) -> Iterator[OpenedRun]:
    """The model as the request has it; nothing runs, and no board is asked, before the samples."""
    if is_sequence(request.model):
        yield opened_sequence(request, load_sequence(request.model), progress)
        return
    if request.device is None and request.runtime is None and not request.model.is_dir():
        with _opened_source(request, progress) as opened:
            yield opened
        return
    own = request.model.is_dir()
    wanted = BundleOptions(
        runtime=request.runtime,
        allow_fallback=allows_fallback(request.options.named),
        input_shapes=request.shapes,
        torch=request.torch,
        preprocess=() if own else request.preprocess,
        postprocess=() if own else request.postprocess,
        like=None if own else request.like,
    )
    bundle = make_bundle(request.model, options=wanted, progress=progress)
    check_run(bundle, request.options.named)
    yield _opened_bundle(request, bundle, progress)


def _opened_bundle(request: RunRequest, bundle: Bundle, progress: Progress) -> OpenedRun:
    broken: list[str] = []
    emulated: list[bool] = []
    specs = {spec.name: spec for spec in bundle.outputs}
    images = said_of_images(request, bundle.inputs)
    meanings = said_of_outputs(request, bundle.outputs)
    if request.like and request.model.is_dir():  # else the bundle was made by it
        images = images or image_steps(request.like, bundle.inputs, bundle.outputs, progress)
        meanings = meanings or output_steps(request.like, bundle.inputs, bundle.outputs, progress)
    meanings = meanings or bundle.postprocessing

    def split(arrays: Arrays) -> list[dict[str, numpy.ndarray]]:
        if request.device is None:
            check_arrays(bundle.inputs, [arrays])
        to_board_arrays(bundle, arrays)  # everything is checked before a board is asked
        return split_samples(bundle.inputs, arrays)

    def answers(samples: Iterable[Arrays]) -> Iterator[RunAnswer]:
        if request.device is None:
            progress(Stage(text=f"Running {bundle.name} in {bundle.runtime} on this computer"))
            emulated.append(find_runtime(bundle.runtime).simulated)
            yield from bundle_answers(bundle, samples, request.dump)
            return
        with session_for(request, progress) as session:
            emulated.append(session.identity_for(bundle).board.emulated)
            found = Finiteness(bundle)
            yield from found.watched(
                samples, lambda given: on_board(session, bundle, given, request)
            )
            broken.extend(found.sentences(session.identity.name))

    return OpenedRun(
        inputs=bundle.inputs,
        preprocessing=images or bundle.preprocessing,
        requests=bundle.input_requests(),
        split=split,
        answers=answers,
        join=lambda name, parts: join_samples(specs[name], parts),
        meanings=lambda *_: meanings,
        known=meanings,
        not_finite=broken,
        emulated=emulated,
        notes=tuple(filter(None, [left_note([bundle])])),
    )


@contextmanager
def _opened_source(request: RunRequest, progress: Progress) -> Iterator[OpenedRun]:
    """The source in ONNX Runtime on this computer."""
    requests = parse_inputs(request.shapes)
    with open_source_model(request.model, request.torch, requests, progress=progress) as opened:
        if opened.path.suffix != ".onnx":
            raise UsageError(
                f"{request.model} is not an ONNX model; only these run on this computer as they "
                "are.",
                remedy="Name a board: --device local:.",
            )
        if request.like:
            shapes = open_shapes(
                request.like, opened.path, request.shapes, progress, kept_open=True
            )
            requests = parse_inputs((*request.shapes, *shapes))
        source = read_onnx(opened.path, requests)
        said = BundleOptions(
            preprocess=request.preprocess, postprocess=request.postprocess, like=request.like
        )

        def answers(samples: Iterable[Arrays]) -> Iterator[RunAnswer]:
            progress(Stage(text=f"Running {opened.name} in ONNX Runtime"))
            return source_answers(source, samples, request.dump)

        yield OpenedRun(
            inputs=source.inputs,
            preprocessing=source_preprocessing(source, said, progress),
            requests=requests,
            split=lambda arrays: _split_for_source(source, arrays),
            answers=answers,
            join=lambda _, parts: _concatenated(parts),
            join_inside=_concatenated,
            meanings=lambda inputs, outputs: source_postprocessing(
                _shaped_as(source, inputs),
                {name: outputs[name] for name in source.output_names},
                said,
                progress,
            ),
        )


def _shaped_as(source: OnnxSource, arrays: Arrays) -> OnnxSource:
    """The source with inputs of the sizes that a sample has, where it leaves them open."""
    inputs = tuple(
        replace(spec, shape=arrays[spec.name].shape) if spec.ranges else spec
        for spec in source.inputs
    )
    return replace(source, inputs=inputs)


def _concatenated(parts: Sequence[numpy.ndarray]) -> numpy.ndarray:
    return parts[0] if len(parts) == 1 else numpy.concatenate(parts)


def _split_for_source(source: OnnxSource, arrays: Arrays) -> list[dict[str, numpy.ndarray]]:
    """One sample each where the model takes one; else what is given, as it is."""
    missing = [tensor.name for tensor in source.inputs if tensor.name not in arrays]
    if missing:
        raise UsageError(
            f"There is no array for the input '{missing[0]}', only {', '.join(arrays) or 'none'}.",
            remedy="Name the arrays like the inputs.",
        )
    given = {tensor.name: arrays[tensor.name] for tensor in source.inputs}
    single = [tensor.name for tensor in source.inputs if tensor.shape[:1] == (1,)]
    counts = {len(given[name]) for name in single}
    if len(counts) > 1:
        raise UsageError("The inputs hold different numbers of samples.")
    return [
        {**given, **{name: given[name][place : place + 1] for name in single}}
        for place in range(counts.pop() if counts else 1)
    ]
