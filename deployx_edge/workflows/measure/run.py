"""Run a model on inputs of the user's own: on a board, or on this computer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy

from deployx_edge.agent.client import InputTensor
from deployx_edge.bundle import Bundle, BundleSequence, is_sequence, load_sequence
from deployx_edge.bundle.tensors import from_board_array, to_board_arrays
from deployx_edge.config import load_config
from deployx_edge.errors import UsageError
from deployx_edge.measurement.values import RunOptions, WorkerLimits
from deployx_edge.model import PostProcessing, is_input_request, parse_inputs
from deployx_edge.processing.preprocessing import write_content
from deployx_edge.progress import Progress, Runs, Stage, silent
from deployx_edge.runtime import RUNTIMES
from deployx_edge.runtimes import load_runtime
from deployx_edge.runtimes.reference import Reference
from deployx_edge.runtimes.runner import check_arrays, open_converted, take_into
from deployx_edge.scratch import beside
from deployx_edge.sources.onnx.file import OnnxSource, read_onnx, tensor_names
from deployx_edge.worker_facts import check_options
from deployx_edge.workflows.boards.session import Session, open_session
from deployx_edge.workflows.convert.bundle import make_bundle
from deployx_edge.workflows.convert.conversion import (
    read_converted,
    source_postprocessing,
    source_preprocessing,
)
from deployx_edge.workflows.convert.finiteness import broken_outputs, not_finite_sentence
from deployx_edge.workflows.convert.models import TorchOptions, open_source_model
from deployx_edge.workflows.convert.options import BundleOptions
from deployx_edge.workflows.convert.samples import (
    Arrays,
    check_fixed,
    join_samples,
    read_arrays,
    split_samples,
)
from deployx_edge.workflows.measure.loading import load_model

# A bundle, its inputs, and tensors inside that are wanted too.
RunBundle = Callable[[Bundle, Mapping[str, numpy.ndarray], Sequence[str]], Arrays]


@dataclass(frozen=True, kw_only=True)
class BundleRunner:
    """``run`` runs bundles of ``runtimes``; the other parts of a sequence run on this computer."""

    run: RunBundle
    runtimes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Arrays by the names of outputs and dumped tensors, and what outputs mean.

    ``not_finite`` says where a device gave NaN or infinity that the model itself does not.
    """

    arrays: Arrays
    meanings: tuple[PostProcessing, ...]
    not_finite: tuple[str, ...] = ()


def run(
    session: Session,
    bundle: Bundle,
    inputs: Mapping[str, numpy.ndarray],
    *,
    options: RunOptions | None = None,
    limits: WorkerLimits | None = None,
    dump: Sequence[str] = (),
) -> Arrays:
    """The model's outputs for ``inputs``, named and shaped like the source model's.

    The batch axis of the inputs may hold any number of samples: each is sent by itself,
    with several in flight, and the outputs are put together again along theirs.
    Arrays named like no input are left aside. ``dump`` names tensors inside the model, by
    the names of its blobs: they are given as ncnn has them, without a batch axis for one
    sample and with one in front for several.
    """
    chosen = options or RunOptions()
    check_options(bundle.runtime, chosen.named)
    to_board_arrays(bundle, inputs)  # everything is checked before a board is asked
    samples = split_samples(bundle.inputs, inputs)
    session.push(bundle)
    collected: dict[str, list[numpy.ndarray]] = {spec.name: [] for spec in bundle.outputs}
    inside: dict[str, list[numpy.ndarray]] = {name: [] for name in dump}
    runner = load_runtime(bundle.runtime).make_runner()
    blobs = dict.fromkeys(
        [*(spec.runtime_name for spec in bundle.outputs), *map(runner.name_of, dump)]
    )
    with load_model(session, bundle, chosen, limits or WorkerLimits(), tuple(blobs)) as load:
        session.progress(Stage(text=f"Running {len(samples)} samples"))
        requests = (_tensors(bundle, sample) for sample in samples)
        for reply in session.client.infer(load.model_id, requests):
            for spec in bundle.outputs:
                array = from_board_array(bundle, spec, reply.outputs[spec.runtime_name])
                collected[spec.name].append(array)
            for name, arrays in inside.items():
                arrays.append(reply.outputs[runner.name_of(name)])
            done = reply.sequence + 1
            session.progress(Runs(done=done, expected=len(samples), last_ns=reply.compute_ns))
    outputs = {spec.name: join_samples(spec, collected[spec.name]) for spec in bundle.outputs}
    dumped = {name: _stacked(parts) for name, parts in inside.items()}
    return {**runner.as_values(read_converted(bundle), dumped), **outputs}


def run_bundle_here(
    bundle: Bundle, inputs: Mapping[str, numpy.ndarray], *, dump: Sequence[str] = ()
) -> Arrays:
    """Like ``run``, by the runtime's Python package on this computer."""
    model = read_converted(bundle)
    producers = load_runtime(bundle.runtime).make_runner().producers(model, dump)
    unknown = [name for name in dump if name not in producers]
    if unknown:
        raise UsageError(f"The bundle {bundle.name} has no tensor '{unknown[0]}'.")
    check_arrays(bundle.inputs, [inputs])
    samples = split_samples(bundle.inputs, inputs)
    blobs = [producers[name].runtime_name for name in dump]
    inside: list[dict[str, numpy.ndarray]] = [{} for _ in samples]
    with open_converted(model) as opened:
        runs = [
            opened.run(sample, blobs, take_into(found))
            for sample, found in zip(samples, inside, strict=True)
        ]
    return {
        **{
            name: _stacked([found[producers[name].runtime_name] for found in inside])
            for name in dump
        },
        **{
            spec.name: join_samples(spec, [found[spec.name] for found in runs])
            for spec in bundle.outputs
        },
    }


def run_anywhere(
    model: Path,
    words: Sequence[str],
    device: str | None,
    *,
    runtime: str | None = None,
    options: RunOptions | None = None,
    limits: WorkerLimits | None = None,
    dump: Sequence[str] = (),
    torch: TorchOptions | None = None,
    wait: bool = True,
    verify: bool = False,
    progress: Progress = silent,
) -> Outputs:
    """Run a model, or a bundle, on a device, or on this computer where there is none.

    ``words`` are inputs as ``--input`` takes them: ``.npz`` files, images, and shapes. With
    ``verify`` all that lies on the board is hashed first. A model is converted for ``runtime``;
    without it and without a device the source itself runs.
    """
    shapes, files = split_inputs(words)
    chosen = torch or TorchOptions()
    broken: list[str] = []
    open_runner = partial(_runner, device, options, limits, wait, verify, progress, broken)
    if is_sequence(model):
        with open_runner() as runner:
            found = _run_sequence(load_sequence(model), files, dump, runner)
            return replace(found, not_finite=tuple(broken))
    if device is None and runtime is None and not model.is_dir():
        return _run_source(model, shapes, files, dump, chosen, progress)
    wanted = BundleOptions(runtime=runtime, input_shapes=tuple(shapes), torch=chosen)
    bundle = make_bundle(model, options=wanted, progress=progress)
    check_options(bundle.runtime, (options or RunOptions()).named)
    inputs = read_arrays(files, bundle.preprocessing, progress)
    check_fixed(inputs, bundle.input_requests())
    with open_runner() as runner:
        arrays = runner.run(bundle, inputs, dump)
    return Outputs(arrays=arrays, meanings=bundle.postprocessing, not_finite=tuple(broken))


def split_inputs(words: Sequence[str]) -> tuple[list[str], list[Path]]:
    """The words that give an input's shape (``NAME:1x3x224x224``), and the files.

    A file that is really called so stays a file. Raises UsageError where no file is given.
    """
    shapes = [word for word in words if is_input_request(word) and not Path(word).exists()]
    files = [Path(word) for word in words if word not in shapes]
    if not files:
        raise UsageError(
            "Only shapes were given, nothing to run on.",
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


@contextmanager
def _runner(
    device: str | None,
    options: RunOptions | None,
    limits: WorkerLimits | None,
    wait: bool,
    verify: bool,
    progress: Progress,
    broken: list[str],
) -> Iterator[BundleRunner]:
    """How bundles run: on the device where it has their runtime, else on this computer.

    ``broken`` is told what a device gives that is not finite where the model itself is.
    """

    def here(bundle: Bundle, inputs: Mapping[str, numpy.ndarray], dump: Sequence[str]) -> Arrays:
        progress(Stage(text=f"Running {bundle.name} in {bundle.runtime} on this computer"))
        return run_bundle_here(bundle, inputs, dump=dump)

    if device is None:
        yield BundleRunner(run=here, runtimes=tuple(RUNTIMES))
        return
    board = load_config().find_device(device)
    purpose = "run a model"
    with open_session(
        board, purpose=purpose, wait=wait, verify=verify, progress=progress
    ) as session:

        def there(
            bundle: Bundle, inputs: Mapping[str, numpy.ndarray], dump: Sequence[str]
        ) -> Arrays:
            found = run(session, bundle, inputs, options=options, limits=limits, dump=dump)
            missed = broken_outputs(bundle, inputs, found)
            if missed:
                broken.append(not_finite_sentence(missed, board.name))
            return found

        yield BundleRunner(run=there, runtimes=session.target.runtimes)


def _run_sequence(
    sequence: BundleSequence,
    files: Sequence[Path],
    dump: Sequence[str],
    runner: BundleRunner,
) -> Outputs:
    """Run the parts one after the other, on this computer where the device has no worker."""
    steps = tuple(step for bundle in sequence.bundles for step in bundle.preprocessing)
    values: dict[tuple[int | None, str], numpy.ndarray] = {
        (None, name): array for name, array in read_arrays(files, steps).items()
    }
    dumped: Arrays = {}
    for index, (part, bundle) in enumerate(zip(sequence.parts, sequence.bundles, strict=True)):
        missing = [f.tensor for f in part.feeds if (f.part, f.tensor) not in values]
        if missing:
            raise UsageError(f"There is no array for the input '{missing[0]}'.")
        inputs = {feed.input: values[feed.part, feed.tensor] for feed in part.feeds}
        inside = [
            name
            for name in dump
            if name in load_runtime(bundle.runtime).make_runner().tensors(read_converted(bundle))
        ]
        there = bundle.runtime in runner.runtimes
        found = (
            runner.run(bundle, inputs, inside)
            if there
            else run_bundle_here(bundle, inputs, dump=inside)
        )
        dumped.update({name: found[name] for name in inside})
        values.update({(index, name): array for name, array in found.items()})
    results = {result.output: values[result.part, result.tensor] for result in sequence.results}
    return Outputs(arrays={**dumped, **results}, meanings=sequence.bundles[-1].postprocessing)


def _run_source(
    model: Path,
    shapes: Sequence[str],
    files: Sequence[Path],
    dump: Sequence[str],
    torch: TorchOptions,
    progress: Progress,
) -> Outputs:
    requests = parse_inputs(shapes)
    with open_source_model(model, torch, requests, progress=progress) as opened:
        if opened.path.suffix != ".onnx":
            raise UsageError(
                f"{model} is not an ONNX model; only these run on this computer as they are.",
                remedy="Name a board: --device local:.",
            )
        source = read_onnx(opened.path, requests)
        steps = source_preprocessing(source)
        inputs = read_arrays(files, steps, progress)
        check_fixed(inputs, requests)
        progress(Stage(text=f"Running {opened.name} in ONNX Runtime"))
        arrays = _reference_outputs(source, inputs, dump)
        outputs = {name: arrays[name] for name in source.output_names}
        return Outputs(arrays=arrays, meanings=source_postprocessing(source, outputs))


def _reference_outputs(
    source: OnnxSource, inputs: Mapping[str, numpy.ndarray], dump: Sequence[str]
) -> Arrays:
    names = tuple(dict.fromkeys([*dump, *source.output_names]))
    unknown = [name for name in dump if name not in tensor_names(source)]
    if unknown:
        raise UsageError(f"{source.path.name} has no tensor '{unknown[0]}' that a node makes.")
    missing = [tensor.name for tensor in source.inputs if tensor.name not in inputs]
    if missing:
        raise UsageError(
            f"There is no array for the input '{missing[0]}', only {', '.join(inputs) or 'none'}.",
            remedy="Name the arrays like the inputs.",
        )
    given = {tensor.name: inputs[tensor.name] for tensor in source.inputs}
    reference = Reference(source, tensors=names)
    single = [tensor.name for tensor in source.inputs if tensor.shape[:1] == (1,)]
    counts = {len(given[name]) for name in single}
    if len(counts) > 1:
        raise UsageError("The inputs hold different numbers of samples.")
    runs = [
        reference.run({**given, **{name: given[name][i : i + 1] for name in single}})
        for i in range(counts.pop() if counts else 1)
    ]
    return {
        name: runs[0][name]
        if len(runs) == 1
        else numpy.concatenate([found[name] for found in runs])
        for name in names
    }


def _stacked(parts: Sequence[numpy.ndarray]) -> numpy.ndarray:
    return parts[0] if len(parts) == 1 else numpy.stack(parts)


def _tensors(bundle: Bundle, sample: Arrays) -> list[InputTensor]:
    arrays = to_board_arrays(bundle, sample)
    return [
        InputTensor(runtime_name=blob, array=array, batched=batched)
        for blob, (array, batched) in arrays.items()
    ]
