"""The story of a bundle: a model comes in, checked files with a manifest come out."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from deployx_edge import __version__
from deployx_edge.bundle import (
    SCHEMA,
    Bundle,
    Provenance,
    Verification,
    check_output,
    describe_file,
    load_bundle,
    safe_name,
    sha256_of,
    write_bundle,
)
from deployx_edge.comparison import first_difference, structured_inputs
from deployx_edge.errors import (
    BundleError,
    DeployxError,
    ModelError,
    UsageError,
    VerificationError,
)
from deployx_edge.model import NamedShape, PostProcessing, PreProcessing, parse_input_shapes
from deployx_edge.preprocessing import parse_postprocessing, parse_preprocessing
from deployx_edge.resources import cache_folder
from deployx_edge.runtimes.converter import ConvertedModel, Converter
from deployx_edge.runtimes.emitter.converter import EmitterConverter
from deployx_edge.runtimes.layerwise import compare_layers
from deployx_edge.runtimes.ncnn import version as ncnn_version
from deployx_edge.runtimes.ncnn_pair import find_bin, read_pair
from deployx_edge.runtimes.pnnx import PnnxConverter
from deployx_edge.runtimes.reference import Reference
from deployx_edge.runtimes.verification import run_converted, verify
from deployx_edge.sources.onnx_file import OnnxSource, SourceTensor, read_onnx
from deployx_edge.workflows.progress import Progress, Stage, silent

if TYPE_CHECKING:
    from deployx_edge.model import Array

PRECISIONS = ("fp32", "fp16")
# The converter of our own keeps names and refuses what it does not know; pnnx is for what the
# first cannot do yet.
CONVERTERS: dict[str, Callable[[], Converter]] = {
    "emitter": EmitterConverter,
    "pnnx": PnnxConverter,
}

# What the model's author says of pictures and scores travels in the ONNX file's metadata.
_PREPROCESS_KEY = "deployx-edge.preprocess"
_POSTPROCESS_KEY = "deployx-edge.postprocess"


@dataclass(frozen=True, kw_only=True)
class BundleOptions:
    """How a bundle is made.

    ``precision``: "fp32", "fp16", or None for fp32, or for what the files already are.
    ``input_shapes``: ``NAME:1x3x224x224`` for inputs with dynamic axes. ``preprocess``
    and ``postprocess``: see ``preprocessing``; where empty, what the ONNX file says in
    its metadata. ``verify`` False skips the comparison with the source, and
    ``accept_unproven`` accepts outputs that hardly depend on the input; the manifest
    records either. ``name``: the bundle's, None for the file's. ``via``: the converter from
    ONNX to ncnn, one of CONVERTERS.
    """

    precision: str | None = None
    input_shapes: tuple[str, ...] = ()
    preprocess: tuple[str, ...] = ()
    postprocess: tuple[str, ...] = ()
    verify: bool = True
    accept_unproven: bool = False
    name: str | None = None
    via: str = "emitter"


@dataclass(frozen=True, kw_only=True)
class _Made:
    """What becomes of a model before it is written down as a bundle."""

    model: ConvertedModel
    preprocessing: tuple[PreProcessing, ...]
    postprocessing: tuple[PostProcessing, ...]
    verification: Verification
    tools: tuple[tuple[str, str], ...]


def make_bundle(
    model: Path,
    output: Path | None = None,
    options: BundleOptions | None = None,
    *,
    input_shapes: Sequence[str] = (),
    progress: Progress = silent,
) -> Bundle:
    """The bundle of ``model``: an ``.onnx``, an ncnn ``.param`` with its ``.bin``, or a bundle.

    Written to the folder ``output``; None for the tool's own cache, where the bundle of
    the same model, options and tools is reused while it is intact, and for a bundle as it
    lies. ``input_shapes`` adds to those of ``options``. Nothing is left behind on failure.
    Raises UsageError, ModelError, BundleError or VerificationError.
    """
    chosen = options or BundleOptions()
    chosen = replace(chosen, input_shapes=(*chosen.input_shapes, *input_shapes))
    if chosen.precision not in (None, *PRECISIONS):
        raise UsageError(f"The precision is {' or '.join(PRECISIONS)}, not '{chosen.precision}'.")
    if chosen.via not in CONVERTERS:
        raise UsageError(f"The converter is {' or '.join(CONVERTERS)}, not '{chosen.via}'.")
    if output is not None:
        check_output(output.absolute())
    if model.is_dir():
        return _from_bundle(model, output, chosen)
    if not model.is_file():
        raise UsageError(f"The model {model} does not exist.")
    if model.suffix not in (".onnx", ".param"):
        raise UsageError(
            f"{model} is no model: expected an .onnx file, an ncnn .param file, or a bundle folder."
        )
    if output is not None:
        return _write(model, output, chosen, progress)
    return _cached(model, chosen, progress)


def _from_bundle(folder: Path, output: Path | None, options: BundleOptions) -> Bundle:
    bundle = load_bundle(folder)
    given = replace(options, precision=None, verify=True, accept_unproven=False)
    if given != BundleOptions() or options.precision not in (None, bundle.precision):
        raise UsageError(
            f"{folder} is a bundle already ({bundle.precision}); options that would change it "
            "cannot be used.",
            remedy="Make it again from its source model.",
        )
    if output is None:
        return bundle
    sources = {file.path: bundle.folder / file.path for file in bundle.files}
    return write_bundle(bundle, sources, output)


def _cached(model: Path, options: BundleOptions, progress: Progress) -> Bundle:
    folder = cache_folder() / "bundles" / _cache_key(model, options)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_name(folder.name + ".lock")):
        if folder.exists():
            try:
                return load_bundle(folder)
            except BundleError:  # our own copy, damaged: made again
                shutil.rmtree(folder, ignore_errors=True)
        return _write(model, folder, options, progress)


def _cache_key(model: Path, options: BundleOptions) -> str:
    """One word for all that decides what the bundle holds."""
    if model.suffix == ".onnx":
        source = read_onnx(model, parse_input_shapes(options.input_shapes))
        files = (model, *source.data_files)
    else:
        files = (model, find_bin(model))
    parts = {
        "schema": SCHEMA,
        "name": model.name,
        "files": [sha256_of(file) for file in files],
        "options": asdict(options),
        "tools": _versions(CONVERTERS[options.via]()),
        "reference": Reference.version(),
        "code": _code_digest(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _code_digest() -> str:
    """Of the code that converts: a bundle of yesterday's must not hide what was mended today."""
    package = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for folder in ("runtimes", "sources", "ncnn_format"):
        for file in sorted((package / folder).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock file at ``path``: of two who want the same bundle, one makes it."""
    import fcntl

    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(model: Path, output: Path, options: BundleOptions, progress: Progress) -> Bundle:
    name = safe_name(options.name or model.name.removesuffix(model.suffix))
    with tempfile.TemporaryDirectory(prefix="deployx-edge-bundle-") as work:
        make = _from_onnx if model.suffix == ".onnx" else _from_pair
        made = make(model, options, Path(work), progress)
        sources = {f"{name}.{role}": path for role, path in made.model.files}
        bundle = Bundle(
            folder=output,
            name=name,
            runtime=made.model.runtime,
            precision=made.model.precision,
            files=tuple(
                describe_file(role, path, f"{name}.{role}") for role, path in made.model.files
            ),
            inputs=made.model.inputs,
            outputs=made.model.outputs,
            preprocessing=made.preprocessing,
            postprocessing=made.postprocessing,
            provenance=Provenance(
                tools=made.tools,
                source_file=model.name,
                source_sha256=sha256_of(model),
                verification=made.verification,
            ),
        )
        return write_bundle(bundle, sources, output)


def _from_onnx(model: Path, options: BundleOptions, work: Path, progress: Progress) -> _Made:
    converter = CONVERTERS[options.via]()
    source = read_onnx(model, parse_input_shapes(options.input_shapes))
    preprocessing = _preprocessing(options, source.inputs, source.metadata.get(_PREPROCESS_KEY))
    inputs = structured_inputs(source.inputs, preprocessing)
    reference = Reference(source)
    outputs = tuple(
        SourceTensor(name=name, shape=array.shape)
        for name, array in reference.run(inputs[0]).items()
    )
    for tensor in outputs:
        if 0 in tensor.shape:
            raise ModelError(f"The output '{tensor.name}' of {model.name} is empty.")
    postprocessing = _postprocessing(options, outputs, source.metadata.get(_POSTPROCESS_KEY))
    precision = options.precision or "fp32"
    progress(Stage(text=f"Converting {model.name} to ncnn ({precision})"))
    converted = converter.convert(source, outputs, precision, work)
    if not options.verify:
        progress(Stage(text="Loading it in ncnn"))
        run_converted(converted, inputs[:1])
        verification = Verification(status="skipped")
    else:
        progress(Stage(text=f"Comparing with ONNX Runtime on {len(inputs)} inputs"))
        try:
            verification = verify(
                converted,
                reference,
                inputs,
                accept_unproven=options.accept_unproven,
                doubts=converter.doubts(source),
            )
        except VerificationError as error:
            raise _with_first_layer(error, converted, source, inputs) from error
    return _Made(
        model=converted,
        preprocessing=preprocessing,
        postprocessing=postprocessing,
        verification=verification,
        tools=_versions(converter),
    )


def _with_first_layer(
    error: VerificationError,
    converted: ConvertedModel,
    source: OnnxSource,
    inputs: Sequence[Mapping[str, Array]],
) -> VerificationError:
    """The error, with the first layer that differs where that can be told."""
    try:
        first = first_difference(compare_layers(converted, source, inputs))
    except DeployxError:
        return error
    if first is None:
        return error
    where = f"The first to differ is '{first.check.output}' of the layer '{first.layer}'"
    return VerificationError(f"{error.message} {where} ({first.type}).", remedy=error.remedy)


def _from_pair(model: Path, options: BundleOptions, work: Path, progress: Progress) -> _Made:
    progress(Stage(text=f"Loading {model.name} in ncnn"))
    pair = read_pair(model, parse_input_shapes(options.input_shapes))
    if options.precision not in (None, pair.precision):
        raise UsageError(
            f"The weights beside {model} are {pair.precision}, not {options.precision}.",
            remedy="Convert the model again from its source.",
        )
    return _Made(
        model=pair,
        preprocessing=_preprocessing(options, pair.inputs, None),
        postprocessing=_postprocessing(options, pair.outputs, None),
        verification=Verification(status="no-reference"),
        tools=(("deployx-edge", __version__), ("ncnn", ncnn_version())),
    )


def _versions(converter: Converter) -> tuple[tuple[str, str], ...]:
    return (("deployx-edge", __version__), *converter.versions())


def _preprocessing(
    options: BundleOptions, inputs: Sequence[NamedShape], from_file: str | None
) -> tuple[PreProcessing, ...]:
    texts = options.preprocess or ((from_file,) if from_file else ())
    steps = tuple(parse_preprocessing(text, inputs) for text in texts)
    if len({step.input for step in steps}) != len(steps):
        raise UsageError("--preprocess is given twice for the same input.")
    return steps


def _postprocessing(
    options: BundleOptions, outputs: Sequence[NamedShape], from_file: str | None
) -> tuple[PostProcessing, ...]:
    texts = options.postprocess or ((from_file,) if from_file else ())
    steps = tuple(parse_postprocessing(text, outputs) for text in texts)
    if len({step.output for step in steps}) != len(steps):
        raise UsageError("--postprocess is given twice for the same output.")
    return steps
