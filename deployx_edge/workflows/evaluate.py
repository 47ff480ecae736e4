"""How accurate a model is on the user's data, on boards and beside the reference."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from threading import Semaphore

import numpy

from deployx_edge.agent.client import InputTensor
from deployx_edge.bundle import Bundle, bundle_digest
from deployx_edge.config import load_config
from deployx_edge.errors import LinkLostError, UsageError
from deployx_edge.evaluation.accumulators import TopK
from deployx_edge.evaluation.datasets import Dataset, open_dataset
from deployx_edge.evaluation.metrics import Metric, metric_by_name
from deployx_edge.evaluation.proportions import pair, paired_difference, wilson_interval
from deployx_edge.evaluation.results import Accuracy, Changed, Difference, Evaluation, Figure
from deployx_edge.evaluation.values import Sample
from deployx_edge.measurement.values import Limits, RunOptions
from deployx_edge.model import InputRequest, from_runtime_array, parse_inputs, to_runtime_arrays
from deployx_edge.resources import cache_folder
from deployx_edge.runtimes.hosts import HOSTS
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx_file import read_onnx
from deployx_edge.workflows.bench import loaded
from deployx_edge.workflows.bundle import BundleOptions, TorchOptions, make_bundle
from deployx_edge.workflows.conversion import converted
from deployx_edge.workflows.models import opened_model
from deployx_edge.workflows.progress import Progress, Stage, silent
from deployx_edge.workflows.session import open_session

# Enough that a board is never idle, few enough that large samples fit into memory.
_IN_FLIGHT = 8
# Samples for one start of a runtime on this computer.
_AT_ONCE = 64
# How often a link that broke is opened again before the command gives up.
_TRIES = 3

Arrays = Mapping[str, numpy.ndarray]
# Each sample of a data set with a model's outputs for it.
Runner = Callable[[Dataset], Iterator[tuple[Sample, Arrays]]]


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """What is evaluated, and on what.

    ``metrics``: names as ``metric_by_name`` takes them; empty for top1 where samples have
    classes, else mse. ``limit``, ``per_class`` and ``seed`` choose a part of the data set;
    ``strict`` makes an error of a sample that cannot be read.
    """

    metrics: tuple[str, ...] = ()
    output: str | None = None
    limit: int | None = None
    per_class: int | None = None
    seed: int = 0
    strict: bool = False
    run: RunOptions = field(default_factory=RunOptions)


def evaluate(
    model: Path,
    dataset: Path,
    devices: Sequence[str],
    *,
    reference: Path | None = None,
    input_shapes: Sequence[str] = (),
    torch: TorchOptions | None = None,
    options: EvaluationOptions | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Run every chosen sample on every device (none: this computer), and on the reference.

    ``model`` is a bundle, or a source of which one is made; a source is its own reference.
    A link that breaks is opened again and goes on behind the last answered sample; so does a
    command that was interrupted. Raises UsageError where data and model do not fit.
    """
    chosen = options or EvaluationOptions()
    torch = torch or TorchOptions()
    wanted = BundleOptions(input_shapes=tuple(input_shapes), torch=torch)
    bundle = make_bundle(model, options=wanted, progress=progress)
    source = reference if model.is_dir() else model
    data = open_dataset(
        dataset,
        inputs=bundle.inputs,
        outputs=bundle.outputs,
        preprocessing=bundle.preprocessing,
        labels=_labels(bundle),
        limit=chosen.limit,
        per_class=chosen.per_class,
        seed=chosen.seed,
        strict=chosen.strict,
    )
    _metrics(bundle, data, chosen)  # whether they fit is known before a board is asked
    found = None
    if source is not None:
        progress(Stage(text=f"Running {len(data)} samples in ONNX Runtime"))
        with _reference(source, bundle, torch, progress) as outputs_of:
            metrics = _metrics(bundle, data, chosen)
            found = (metrics, _measured(outputs_of(data), metrics, data, progress, 0))
    places = []
    wanted_devices: Sequence[str | None] = devices or [None]
    for device in wanted_devices:
        metrics = _metrics(bundle, data, chosen)
        rate, resumed = _on_device(bundle, data, device, chosen, metrics, progress)
        place = _accuracy(device or "this computer", bundle, chosen, metrics, rate)
        place = replace(place, resumed=resumed)
        places.append(_beside(place, metrics, found[0] if found else None, data, bundle))
    return Evaluation(
        model=bundle.name,
        bundle_sha256=bundle_digest(bundle),
        dataset=str(dataset),
        kind=data.kind,
        dataset_sha256=data.digest,
        samples=len(data) - len(data.skipped),
        skipped=data.skipped,
        notes=data.notes,
        reference=_accuracy("reference", None, chosen, *found) if found else None,
        places=tuple(places),
    )


def _labels(bundle: Bundle) -> tuple[str, ...]:
    return bundle.postprocessing[0].labels if bundle.postprocessing else ()


def _metrics(bundle: Bundle, data: Dataset, options: EvaluationOptions) -> tuple[Metric, ...]:
    names = options.metrics or (("top1",) if data.labels is not None else ("mse",))
    output = options.output
    if output is None and bundle.postprocessing:
        output = bundle.postprocessing[0].output
    classes = len(data.classes) or None
    return tuple(
        metric_by_name(name, outputs=bundle.outputs, output=output, classes=classes)
        for name in names
    )


def _measured(
    outputs: Iterator[tuple[Sample, Arrays]],
    metrics: Sequence[Metric],
    data: Dataset,
    progress: Progress,
    done: int,
) -> float:
    """Feed the metrics; samples a second, from the first answer to the last."""
    started, first, rate = 0.0, done, 0.0
    for sample, arrays in outputs:
        for metric in metrics:
            metric.update(arrays, sample.target)
        done += 1
        now = time.monotonic()
        started = started or now
        rate = (done - first - 1) / max(now - started, 1e-9)
        progress(_Samples(done, len(data), rate, metrics[0]))
    return rate


class _Samples:
    """How far it is, how fast, and the first metric so far."""

    def __init__(self, done: int, total: int, rate: float, metric: Metric) -> None:
        shown = f"{metric.name} {metric.value:.4g}"
        self.text = f"{done} of {total} samples, {rate:.1f}/s, {shown}"


@contextmanager
def _reference(
    source: Path, bundle: Bundle, torch: TorchOptions, progress: Progress
) -> Iterator[Runner]:
    spelled = [f"{s.name}:{'x'.join(map(str, s.shape))}" for s in bundle.inputs]
    with opened_model(source, torch, parse_inputs(spelled), progress=progress) as opened:
        if opened.path.suffix != ".onnx":
            raise UsageError(f"{source} is no ONNX model, which a reference has to be.")
        requests = {spec.name: InputRequest(shape=spec.shape) for spec in bundle.inputs}
        model = read_onnx(opened.path, requests)
        if set(model.output_names) != {spec.name for spec in bundle.outputs}:
            raise UsageError(f"{source} is not what the bundle {bundle.name} was made from.")
        session = Reference(model)

        def outputs_of(data: Dataset) -> Iterator[tuple[Sample, Arrays]]:
            for sample in data:
                yield sample, session.run(sample.inputs)

        yield outputs_of


def _on_device(
    bundle: Bundle,
    data: Dataset,
    device: str | None,
    options: EvaluationOptions,
    metrics: Sequence[Metric],
    progress: Progress,
) -> tuple[float, int]:
    """Feed the metrics from one place; samples a second, and how many were known before."""
    if device is None:
        progress(Stage(text=f"Running {len(data)} samples in {bundle.runtime}"))
        return _measured(_here(bundle, data), metrics, data, progress, 0), 0
    journal = _Journal(bundle, data, device, options)
    known = journal.read()
    samples = iter(data)
    for sample, arrays in zip(islice(samples, len(known)), known, strict=True):
        for metric in metrics:
            metric.update(arrays, sample.target)
    rate = 0.0
    done = len(known)
    if known:
        progress(Stage(text=f"Going on behind {done} samples of an interrupted run"))
    for attempt in range(_TRIES):
        # What was answered and not yet counted is asked once more.
        journal.count = start = metrics[0].count
        stream = _streamed(bundle, data, device, options, journal, progress, start)
        try:
            rate = _measured(stream, metrics, data, progress, start)
            break
        except LinkLostError as error:
            if attempt == _TRIES - 1:
                raise
            progress(Stage(text=f"{error.message} Going on behind {metrics[0].count} samples"))
    journal.remove()
    return rate, done


def _here(bundle: Bundle, data: Dataset) -> Iterator[tuple[Sample, Arrays]]:
    """Samples with the outputs of the runtime's Python package, many at a start of it."""
    model = converted(bundle)
    samples = iter(data)
    while group := list(islice(samples, _AT_ONCE)):
        found = HOSTS[bundle.runtime].run(model, [sample.inputs for sample in group])
        yield from zip(group, found, strict=True)


def _streamed(
    bundle: Bundle,
    data: Dataset,
    device: str,
    options: EvaluationOptions,
    journal: _Journal,
    progress: Progress,
    start: int,
) -> Iterator[tuple[Sample, Arrays]]:
    """Samples from ``start`` on with the board's outputs, several in flight."""
    waiting: deque[Sample] = deque()
    free = Semaphore(_IN_FLIGHT)

    def requests() -> Iterator[list[InputTensor]]:
        for sample in islice(iter(data), start, None):
            free.acquire()
            waiting.append(sample)
            arrays = to_runtime_arrays(bundle.inputs, sample.inputs)
            yield [
                InputTensor(blob=blob, array=array, batched=batched)
                for blob, (array, batched) in arrays.items()
            ]

    with open_session(load_config().find_device(device), progress=progress) as session:
        session.push(bundle)
        with loaded(session, bundle, options.run, Limits()) as load:
            progress(Stage(text=f"Running {len(data) - start} samples on {device}"))
            for reply in session.client.infer(load.model_id, requests()):
                free.release()
                outputs = {
                    spec.name: from_runtime_array(spec, reply.outputs[spec.blob])
                    for spec in bundle.outputs
                }
                journal.write(outputs)
                yield waiting.popleft(), outputs


class _Journal:
    """Each answered sample's outputs on disk, so that an interrupted run can go on."""

    def __init__(
        self, bundle: Bundle, data: Dataset, device: str, options: EvaluationOptions
    ) -> None:
        parts = (bundle_digest(bundle), data.digest, device, repr(options.run))
        key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
        self._folder = cache_folder() / "evaluations" / key
        self.count = 0

    def read(self) -> list[Arrays]:
        """The outputs of the first samples, as far as there are any."""
        found: list[Arrays] = []
        while True:
            path = self._folder / f"{len(found)}.npz"
            try:
                with numpy.load(path, allow_pickle=False) as file:
                    found.append({name: file[name] for name in file.files})
            except (OSError, ValueError, EOFError):
                self.count = len(found)
                return found

    def write(self, outputs: Arrays) -> None:
        """Add the next sample's outputs."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{self.count}.npz"
        temporary = path.with_suffix(".part")
        with temporary.open("wb") as file:
            numpy.savez(file, **outputs)  # type: ignore[arg-type]
        temporary.replace(path)
        self.count += 1

    def remove(self) -> None:
        """It is done: nothing has to be kept."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _accuracy(
    place: str,
    bundle: Bundle | None,
    options: EvaluationOptions,
    metrics: Sequence[Metric],
    rate: float,
) -> Accuracy:
    precision = "fp32"
    if bundle is not None:
        precision = bundle.precision if bundle.precision != "fp32" else options.run.precision
    return Accuracy(
        place=place,
        precision=precision,
        figures=tuple(_figure(metric) for metric in metrics),
        samples_per_second=rate,
    )


def _figure(metric: Metric) -> Figure:
    interval = None
    if isinstance(metric, TopK):
        interval = wilson_interval(sum(metric.hits), metric.count)
    return Figure(
        metric=metric.name,
        unit=metric.unit,
        higher_is_better=metric.higher_is_better,
        value=metric.value,
        interval=interval,
    )


def _beside(
    place: Accuracy,
    metrics: Sequence[Metric],
    reference: Sequence[Metric] | None,
    data: Dataset,
    bundle: Bundle,
) -> Accuracy:
    """The place with what sets it apart from the reference."""
    if reference is None:
        return place
    differences = []
    for found, wanted in zip(metrics, reference, strict=True):
        interval = None
        if isinstance(found, TopK) and isinstance(wanted, TopK):
            interval = paired_difference(pair(found.hits, wanted.hits))
        differences.append(
            Difference(metric=found.name, value=found.value - wanted.value, interval=interval)
        )
    first, second = metrics[0], reference[0]
    if not (isinstance(first, TopK) and isinstance(second, TopK)):
        return replace(place, differences=tuple(differences))
    words = data.classes or _labels(bundle)
    read = [name for name in data.names if name not in {s.name for s in data.skipped}]
    changed = tuple(
        Changed(name=name, truth=_word(words, t), reference=_word(words, r), found=_word(words, f))
        for name, t, r, f in zip(read, first.truth, second.predicted, first.predicted, strict=True)
        if r != f
    )
    return replace(
        place,
        differences=tuple(differences),
        agreement=1 - len(changed) / max(first.count, 1),
        changed=changed,
    )


def _word(words: Sequence[str], index: int) -> str:
    return words[index] if 0 <= index < len(words) else str(index)
