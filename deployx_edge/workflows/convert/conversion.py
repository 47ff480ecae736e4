"""From an ONNX file, or a runtime's own files, to a runtime's files that are known to be right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from deployx_edge import __version__
from deployx_edge.bundle import Bundle, Verification
from deployx_edge.comparison import is_finite
from deployx_edge.errors import MissingToolError, ModelError, UsageError
from deployx_edge.input_requests import format_shape, parse_output_shapes
from deployx_edge.model import NamedShape, PostProcessing, PreProcessing, parse_inputs
from deployx_edge.processing.presets import ModelFacts, propose_preprocess
from deployx_edge.processing.steps import parse_postprocessing, parse_preprocessing, step_texts
from deployx_edge.progress import Progress, Stage, silent
from deployx_edge.runtime import RUNTIMES, find_runtime, owner_of
from deployx_edge.runtimes import load_runtime
from deployx_edge.runtimes.converter import (
    ConversionRequest,
    ConvertedModel,
    Converter,
    LeftNodesError,
)
from deployx_edge.sources.onnx.broken_weights import refuse_broken_weights
from deployx_edge.sources.onnx.file import (
    POSTPROCESS_KEY,
    PREPROCESS_KEY,
    OnnxSource,
    SourceTensor,
    read_onnx,
)
from deployx_edge.sources.onnx.size import refuse_too_large
from deployx_edge.workflows.convert.kept_float import kept_notes
from deployx_edge.workflows.convert.models import exported_by, notes_in
from deployx_edge.workflows.convert.options import BundleOptions
from deployx_edge.workflows.convert.presets import (
    characters,
    output_text,
    show_steps,
)
from deployx_edge.workflows.convert.proving import SourceRuns, convert_proven, convert_unproven
from deployx_edge.workflows.convert.samples import read_samples
from deployx_edge.workflows.convert.unrun import unrun_notes

if TYPE_CHECKING:
    from deployx_edge.model import Array

    InputSets = Sequence[Mapping[str, Array]]

PRECISIONS = ("fp32", "fp16", "bf16")


@dataclass(frozen=True, kw_only=True)
class Made:
    """What becomes of a model before it is written down as a bundle."""

    model: ConvertedModel
    preprocessing: tuple[PreProcessing, ...]
    postprocessing: tuple[PostProcessing, ...]
    verification: Verification
    tools: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()


def check_options(options: BundleOptions) -> None:
    """UsageError for a runtime, a converter or a precision that there is not."""
    converters = load_runtime(options.chosen_runtime).converters()
    if options.converter is not None and options.converter not in converters:
        raise UsageError(
            f"The converter for {options.chosen_runtime} is {' or '.join(converters)}, "
            f"not '{options.converter}'."
        )
    check_soc(options)
    if options.precision not in (None, *PRECISIONS):
        raise UsageError(f"The precision is {' or '.join(PRECISIONS)}, not '{options.precision}'.")
    converter = converter_for(options)
    if options.precision not in (None, *converter.precisions):
        raise UsageError(
            f"{options.precision} is not available for {options.chosen_runtime} by this converter, "
            f"which writes {' or '.join(converter.precisions)}."
        )
    if options.keep_float and not converter.keeps_names:
        raise UsageError(
            "--keep-float needs layers by the names of the model's nodes, and "
            f"{options.converter} renames them.",
            remedy=f"Leave out --converter {options.converter}.",
        )
    if options.keep_float and options.precision in (None, "fp32") and not converter.halves_fp32:
        raise UsageError(
            "--keep-float is for files of 16 bits; one for "
            f"{find_runtime(options.chosen_runtime).title} in fp32 is fp32 throughout.",
            remedy="Add --precision fp16, or leave it out.",
        )


def check_soc(options: BundleOptions) -> None:
    """UsageError for a chip that the runtime's files are not made for."""
    facts = find_runtime(options.chosen_runtime)
    if options.soc is None or options.soc in facts.socs:
        return
    if not facts.socs:
        having = [row.name for row in RUNTIMES.values() if row.socs]
        raise UsageError(
            f"Files for {facts.title} are for all chips, so that --soc says nothing.",
            remedy=f"It is for the runtimes {', '.join(having)}.",
        )
    raise UsageError(
        f"{facts.title} makes no files for '{options.soc}'.",
        remedy=f"It makes them for {', '.join(facts.socs)}.",
    )


def converter_for(options: BundleOptions) -> Converter:
    """The converter that the options name."""
    converters = load_runtime(options.chosen_runtime).converters()
    return converters[options.converter or next(iter(converters))]()


def check_source(converter: Converter, source: OnnxSource, options: BundleOptions) -> None:
    """ModelError where the runtime cannot have the model; nodes that it leaves to the processor
    may be allowed."""
    try:
        converter.check(source)
    except LeftNodesError:
        if not options.allow_fallback:
            raise


def from_onnx(model: Path, options: BundleOptions, work: Path, progress: Progress) -> Made:
    """Convert an ONNX file into ``work``, and compare what came out with it."""
    if options.output_shapes:
        raise UsageError(
            f"{model.name} says itself which outputs it has.", remedy="Leave --output-shape out."
        )
    source = read_onnx(model, parse_inputs(options.input_shapes))
    converter = converter_for(options)
    check_source(converter, source, options)
    refuse_too_large(source)
    preprocessing = source_preprocessing(source, options, progress)
    source = _with_layouts(source, preprocessing)
    samples = read_samples(options.samples, source.inputs, preprocessing, progress)
    runs = SourceRuns(source, samples, preprocessing)
    outputs = source_outputs(source, runs.first)
    postprocessing = source_postprocessing(source, runs.first, options, progress)
    precision = options.precision or converter.precisions[0]
    progress(Stage(text=f"Converting {source.path.name} to {options.chosen_runtime} ({precision})"))
    request = ConversionRequest(
        outputs=outputs,
        precision=precision,
        folder=work,
        keep_float=options.keep_float,
        soc=options.soc or "",
        allow_fallback=options.allow_fallback,
    )
    if options.verify:
        converted, verification = convert_proven(
            converter, runs, request, options.accept_unproven, progress
        )
    else:
        converted, verification = convert_unproven(converter, runs, request, progress)
    notes = [
        *(*source.notes, *notes_in(source.metadata)),
        *(*kept_notes(converted, runs.wide()), *unrun_notes(converted.runtime)),
    ]
    for note in notes:
        progress(Stage(text=note))
    tools = (*versions(converter), *exported_by(source.metadata))
    return Made(
        model=converted,
        preprocessing=preprocessing,
        postprocessing=postprocessing,
        verification=verification,
        tools=tools,
        notes=(*notes, *_like_notes(options)),
    )


def from_own(model: Path, options: BundleOptions, progress: Progress) -> Made:
    """Take a runtime's own files as they are."""
    own = owner_of(model)
    assert own is not None
    if options.runtime not in (None, own.name):
        raise UsageError(f"{model} is a model for {own.title}, not for {options.runtime}.")
    progress(Stage(text=f"Loading {model.name} in {own.title}"))
    requests = parse_inputs(options.input_shapes)
    if any(request.ranges for request in requests.values()):
        raise UsageError(f"The shapes of {model.name} are fixed; give one size an axis.")
    if any(request.values for request in requests.values()):
        raise UsageError(
            f"{model.name} is a model of {own.title}, whose inputs cannot be fixed to a value.",
            remedy="Fix it when the model is converted from its source.",
        )
    runtime = load_runtime(own.name)
    shapes = {name: request.shape for name, request in requests.items()}
    outputs = parse_output_shapes(options.output_shapes)
    pair = runtime.read_own(model, shapes, outputs)
    _check_outputs(model, pair, outputs)
    if options.precision not in (None, pair.precision):
        raise UsageError(
            f"The weights beside {model} are {pair.precision}, not {options.precision}.",
            remedy="Convert the model again from its source.",
        )
    return Made(
        model=pair,
        preprocessing=_preprocessing(
            options, ModelFacts(inputs=pair.inputs, outputs=pair.outputs), None, progress
        ),
        postprocessing=_postprocessing(options, pair.outputs, _own_meaning(options, pair)),
        verification=Verification(status="no-reference"),
        tools=(("deployx-edge", __version__), *_own_tools(own.name)),
        notes=_like_notes(options),
    )


def _own_tools(runtime: str) -> tuple[tuple[str, str], ...]:
    """The runtime and its version; nothing where this computer lacks what files can do without."""
    try:
        return ((runtime, load_runtime(runtime).version()),)
    except MissingToolError:
        return ()


def _check_outputs(model: Path, read: ConvertedModel, said: Mapping[str, tuple[int, ...]]) -> None:
    known = {spec.name: spec.shape for spec in read.outputs}
    for name, shape in said.items():
        if known.get(name) != shape:
            there = ", ".join(f"{each} of {format_shape(known[each])}" for each in known)
            raise UsageError(
                f"{model.name} has no output '{name}' of {format_shape(shape)}; it has {there}."
            )


def _like_notes(options: BundleOptions) -> tuple[str, ...]:
    """Where pre- and post-processing come from, if not from the user's own words."""
    return (f"Pre- and post-processing are like {options.like}.",) if options.like else ()


def _own_meaning(options: BundleOptions, model: ConvertedModel) -> str | None:
    if not options.like or options.postprocess:
        return None
    return output_text(options.like, model.inputs, model.outputs, {}, {})


def versions(converter: Converter) -> tuple[tuple[str, str], ...]:
    """Everything whose version decides what comes out."""
    return tuple(dict((("deployx-edge", __version__), *converter.versions())).items())


def read_converted(bundle: Bundle) -> ConvertedModel:
    """What lies in the bundle, as what a conversion gives."""
    return ConvertedModel(
        runtime=bundle.runtime,
        precision=bundle.precision,
        files=tuple((file.role, bundle.path(file.role)) for file in bundle.files),
        inputs=bundle.inputs,
        outputs=bundle.outputs,
        operators=bundle.operators,
        soc=bundle.soc,
        left=bundle.left,
    )


def source_preprocessing(
    source: OnnxSource, options: BundleOptions | None = None, progress: Progress = silent
) -> tuple[PreProcessing, ...]:
    """What the options say of images, else what the preset proposes, else what the file says."""
    said = source.metadata.get(PREPROCESS_KEY)
    outputs = tuple(
        SourceTensor(name=name, shape=shape, dtype=source.output_dtypes[name])
        for name, shape in source.output_shapes.items()
    )
    facts = ModelFacts(inputs=source.inputs, outputs=outputs, metadata=source.metadata)
    return _preprocessing(options or BundleOptions(), facts, said, progress)


def source_postprocessing(
    source: OnnxSource,
    outputs: Mapping[str, Array],
    options: BundleOptions | None = None,
    progress: Progress = silent,
) -> tuple[PostProcessing, ...]:
    """What the options say of outputs, else what the preset proposes, else what the file says.

    ``outputs`` are those of a run.
    """
    chosen = options or BundleOptions()
    tensors = [
        SourceTensor(name=name, shape=array.shape, dtype=source.output_dtypes[name])
        for name, array in outputs.items()
    ]
    proposed = None
    if chosen.like and not chosen.postprocess:
        proposed = output_text(chosen.like, source.inputs, tensors, source.metadata, outputs)
    said = proposed or source.metadata.get(POSTPROCESS_KEY)
    steps = _postprocessing(chosen, tensors, said, characters(source.metadata))
    if proposed:
        show_steps(chosen.like or "", steps, progress)
    return steps


def _preprocessing(
    options: BundleOptions, facts: ModelFacts, from_file: str | None, progress: Progress
) -> tuple[PreProcessing, ...]:
    proposed = None
    if options.like and not options.preprocess:
        proposed = propose_preprocess(options.like, facts)
    said = proposed or from_file
    texts = step_texts(options.preprocess) or ((said,) if said else ())
    steps = tuple(parse_preprocessing(text, facts.inputs) for text in texts)
    if len({step.input for step in steps}) != len(steps):
        raise UsageError("--preprocess is given twice for the same input.")
    if proposed:
        show_steps(options.like or "", steps, progress)
    return steps


def _postprocessing(
    options: BundleOptions,
    outputs: Sequence[NamedShape],
    from_file: str | None,
    known: Sequence[str] = (),
) -> tuple[PostProcessing, ...]:
    """``known`` are the characters that the file names, for a text that names none."""
    texts = step_texts(options.postprocess) or ((from_file,) if from_file else ())
    steps = tuple(parse_postprocessing(text, outputs, known) for text in texts)
    if len({step.output for step in steps}) != len(steps):
        raise UsageError("--postprocess is given twice for the same output.")
    return steps


def _with_layouts(source: OnnxSource, steps: Sequence[PreProcessing]) -> OnnxSource:
    """What the user says of the channels' place counts for more than what the graph shows."""
    last = {step.input for step in steps if step.layout == "NHWC"}
    first = {step.input for step in steps} - last
    return replace(source, channels_last=(source.channels_last | last) - first)


def source_outputs(source: OnnxSource, arrays: Mapping[str, Array]) -> tuple[SourceTensor, ...]:
    """The outputs with the shapes of a run's; ModelError where one is empty.

    Also where one is not finite, if weights are not: then everything that follows is in vain.
    """
    if not is_finite(arrays.values()):
        refuse_broken_weights(source)
    outputs = tuple(
        SourceTensor(name=name, shape=array.shape, dtype=source.output_dtypes[name])
        for name, array in arrays.items()
    )
    for tensor in outputs:
        if 0 in tensor.shape:
            raise ModelError(f"The output '{tensor.name}' of {source.path.name} is empty.")
    return outputs
