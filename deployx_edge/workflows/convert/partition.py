"""One model becomes several bundles, which run one after the other."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy

from deployx_edge.bundle import (
    Bundle,
    BundleSequence,
    SequencePart,
    SequenceResult,
    folder_for,
    load_sequence,
    safe_name,
    write_sequence_file,
)
from deployx_edge.comparison import structured_inputs
from deployx_edge.errors import UsageError
from deployx_edge.model import InputRequest, format_shape, parse_inputs
from deployx_edge.processing.preprocessing import write_content
from deployx_edge.progress import Progress, Stage, silent
from deployx_edge.runtime import GENERAL_RUNTIME, RUNTIMES, find_runtime
from deployx_edge.runtimes import load_runtime
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx.file import (
    POSTPROCESS_KEY,
    PREPROCESS_KEY,
    OnnxSource,
    read_onnx,
)
from deployx_edge.sources.onnx.loading import load_whole
from deployx_edge.sources.onnx.partition import Part, partition
from deployx_edge.workflows.convert.bundle import make_bundle
from deployx_edge.workflows.convert.conversion import source_preprocessing
from deployx_edge.workflows.convert.models import (
    EXPORT_KEYS,
    OpenedModel,
    TorchOptions,
    open_source_model,
)
from deployx_edge.workflows.convert.options import BundleOptions
from deployx_edge.workflows.convert.samples import read_samples

Arrays = Mapping[str, numpy.ndarray]


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Where a model is cut (tensors, or marks), and the runtime of the part behind it."""

    tensors: tuple[str, ...]
    runtime: str


def parse_cut(word: str) -> Cut:
    """``TENSOR[,TENSOR…][=RUNTIME]``, or a mark's ``NAME:input``; UsageError for anything else."""
    place, equals, runtime = word.rpartition("=")
    if not equals:
        place, runtime = word, GENERAL_RUNTIME
    tensors = tuple(name for name in place.split(",") if name)
    if not tensors or runtime not in RUNTIMES:
        raise UsageError(
            f"--partition {word} is not TENSOR[,TENSOR…][=RUNTIME].",
            remedy=f"Runtimes: {', '.join(RUNTIMES)}; a mark is written NAME:input.",
        )
    return Cut(tensors=tensors, runtime=runtime)


def make_sequence(
    model: Path,
    output: Path,
    cuts: Sequence[str],
    options: BundleOptions | None = None,
    *,
    progress: Progress = silent,
) -> BundleSequence:
    """Cut the model, and make a bundle of each part in a folder of its own in ``output``.

    ``cuts`` are as ``parse_cut`` takes them; the first part is for ``options.runtime``, or for
    one that takes every element type where ``options.runtime`` does not take its inputs, and a
    later part is for that. Each part is compared with its source on what the parts before it
    give. Nothing is left behind on failure. Raises UsageError, ModelError or VerificationError.
    """
    chosen = options or BundleOptions()
    if chosen.like:
        raise UsageError(
            "--like looks at a whole model, and --partition makes several bundles of it.",
            remedy="Write --preprocess and --postprocess; `deployx-edge convert --like` without "
            "--partition shows them.",
        )
    parsed = [parse_cut(word) for word in cuts]
    requests = parse_inputs(chosen.input_shapes)
    with (
        folder_for(output) as folder,
        open_source_model(
            model, chosen.torch, requests, runtime=chosen.chosen_runtime, progress=progress
        ) as opened,
    ):
        if opened.path.suffix != ".onnx":
            raise UsageError(f"{model} cannot be cut: it is neither ONNX nor from PyTorch.")
        parts = partition(load_whole(opened.path, requests), [cut.tensors for cut in parsed])
        source = read_onnx(opened.path, requests)
        runtimes = _runtimes(source, parts[0], chosen.chosen_runtime, parsed, progress)
        name = safe_name(chosen.name or opened.name)
        sequence = BundleSequence(
            name=name,
            parts=tuple(
                SequencePart(
                    folder=f"{index}-{name}",
                    feeds=part.feeds,
                )
                for index, part in enumerate(parts)
            ),
            results=tuple(
                SequenceResult(output=output_name, part=index, tensor=tensor)
                for index, part in enumerate(parts)
                for output_name, tensor in part.results
            ),
            bundles=(),
        )
        _make_parts(opened, parts, sequence, runtimes, chosen, folder, progress)
        write_sequence_file(sequence, folder)
    return load_sequence(output.absolute())


def _runtimes(
    source: OnnxSource, first: Part, wanted: str, cuts: Sequence[Cut], progress: Progress
) -> list[str]:
    """The runtime of each part.

    A first part with inputs that ``wanted`` does not take is for a runtime that takes them where
    a later part is for ``wanted``: that is what it was cut off for.
    """
    behind = [cut.runtime for cut in cuts]
    taken = find_runtime(wanted).dtypes
    odd = [
        tensor
        for tensor in source.inputs
        if tensor.name in first.extraction.input_tensors and tensor.dtype not in taken
    ]
    if not taken or not odd:
        return [wanted, *behind]
    if wanted not in behind:
        raise UsageError(
            f"The part before the cut takes '{odd[0].name}', which is {odd[0].dtype}; {wanted} "
            f"takes {' and '.join(taken)} only.",
            remedy=f"Cut after what makes floats of it, and give the rest to {wanted}: --partition "
            f"{','.join(cuts[0].tensors)}={wanted}.",
        )
    progress(
        Stage(
            text=f"The first part is for {GENERAL_RUNTIME}: its input '{odd[0].name}' is "
            f"{odd[0].dtype}"
        )
    )
    return [GENERAL_RUNTIME, *behind]


def _make_parts(
    opened: OpenedModel,
    parts: Sequence[Part],
    sequence: BundleSequence,
    runtimes: Sequence[str],
    options: BundleOptions,
    folder: Path,
    progress: Progress,
) -> None:
    """Make each part's bundle, on samples that come out of the parts before."""
    import onnx

    requests = parse_inputs(options.input_shapes)
    source = read_onnx(opened.path, requests)
    steps = source_preprocessing(source, options)
    own = read_samples(options.samples, source.inputs, steps, progress)
    runs: list[dict[tuple[int | None, str], numpy.ndarray]] = [
        {(None, name): array for name, array in arrays.items()}
        for arrays in (*own, *structured_inputs(source.inputs, steps))
    ]
    with tempfile.TemporaryDirectory(prefix="deployx-edge-partition-") as work:
        for index, (part, runtime) in enumerate(zip(parts, runtimes, strict=True)):
            progress(Stage(text=f"Part {index}: {part.extraction.inputs[0]} … for {runtime}"))
            path = Path(work) / f"{opened.name}.onnx"
            _say(part, source, is_first=index == 0, is_last=index == len(parts) - 1)
            onnx.save(part.extraction.model, path)
            given = [
                {feed.input: run[feed.part, feed.tensor] for feed in part.feeds} for run in runs
            ]
            made = _make_part(path, index, given, runtime, options, folder, sequence, progress)
            _run_part(path, made, given, runs, index)


def _say(part: Part, source: OnnxSource, *, is_first: bool, is_last: bool) -> None:
    """What the whole's metadata says of the part: of images before the first, of outputs behind
    the last."""
    properties = part.extraction.model.metadata_props
    said = {*EXPORT_KEYS, PREPROCESS_KEY, POSTPROCESS_KEY}
    others = [entry for entry in properties if entry.key not in said]
    del properties[:]
    properties.extend(others)
    keys = [
        *EXPORT_KEYS,
        *([PREPROCESS_KEY] if is_first else []),
        *([POSTPROCESS_KEY] if is_last else []),
    ]
    for key in keys:
        if key in source.metadata:
            properties.add(key=key, value=source.metadata[key])


def _make_part(
    path: Path,
    index: int,
    given: Sequence[Arrays],
    runtime: str,
    options: BundleOptions,
    folder: Path,
    sequence: BundleSequence,
    progress: Progress,
) -> Bundle:
    samples = path.with_name(f"samples-{index}.npz")
    stacked = {name: numpy.concatenate([run[name] for run in given]) for name in given[0]}
    write_content(samples, stacked)
    converters = load_runtime(runtime).converters()
    chosen = replace(
        options,
        runtime=runtime,
        precision=options.precision if runtime == options.chosen_runtime else None,
        converter=options.converter if options.converter in converters else None,
        input_shapes=tuple(
            f"{name}:{format_shape(array.shape)}" for name, array in given[0].items()
        ),
        preprocess=options.preprocess if index == 0 else (),
        postprocess=options.postprocess if index == len(sequence.parts) - 1 else (),
        samples=(samples,),
        name=f"{sequence.name}-{index}",
        torch=TorchOptions(),
    )
    return make_bundle(path, folder / sequence.parts[index].folder, chosen, progress=progress)


def _run_part(
    path: Path,
    bundle: Bundle,
    given: Sequence[Arrays],
    runs: Sequence[dict[tuple[int | None, str], numpy.ndarray]],
    index: int,
) -> None:
    """Add what the part's source gives to what the next parts are fed with."""
    requests = {spec.name: InputRequest(shape=spec.shape) for spec in bundle.inputs}
    reference = Reference(read_onnx(path, requests))
    for run, arrays in zip(runs, given, strict=True):
        for name, array in reference.run(arrays).items():
            run[index, name] = array
