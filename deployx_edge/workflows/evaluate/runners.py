"""Where the outputs of an evaluation come from: the reference, this computer, a board."""

from __future__ import annotations

import hashlib
import io
import struct
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Semaphore
from typing import IO, Protocol

import numpy

from deployx_edge.agent.client import InputTensor
from deployx_edge.bundle import Bundle, BundleSequence, bundle_digest
from deployx_edge.bundle.tensors import from_board_array, to_board_arrays
from deployx_edge.config import load_config
from deployx_edge.errors import LinkLostError, UsageError
from deployx_edge.evaluation.data.datasets import Dataset
from deployx_edge.evaluation.values import Sample
from deployx_edge.measurement.values import (
    BenchPlan,
    PrecisionCount,
    RunOptions,
    UnitCount,
    WorkerLimits,
)
from deployx_edge.model import PreProcessing
from deployx_edge.processing.preprocessing import write_content
from deployx_edge.progress import Progress, Stage
from deployx_edge.resources import cache_folder
from deployx_edge.runtime import find_runtime
from deployx_edge.runtimes.reference import Reference
from deployx_edge.runtimes.runner import open_converted
from deployx_edge.sources.onnx.file import read_onnx
from deployx_edge.workflows.boards.crash_log import watched
from deployx_edge.workflows.boards.left_nodes import check_parts, left_names
from deployx_edge.workflows.boards.session import open_session
from deployx_edge.workflows.convert.bundle import TorchOptions
from deployx_edge.workflows.convert.conversion import read_converted
from deployx_edge.workflows.convert.models import open_source_model
from deployx_edge.workflows.measure.loading import load_model, random_inputs
from deployx_edge.workflows.measure.parts import open_parts, results_of

# Enough that a board is never idle, few enough that large samples fit into memory.
_IN_FLIGHT = 8
# How often a link that broke is opened again before the command gives up.
_TRIES = 3

Arrays = Mapping[str, numpy.ndarray]
# Each sample of a data set with a model's outputs for it.
Runner = Callable[[Dataset], Iterator[tuple[Sample, Arrays]]]


class Taker(Protocol):
    """Whoever takes in the outputs, sample by sample."""

    @property
    def count(self) -> int:
        """How many samples were taken in."""
        ...

    @property
    def running(self) -> str:
        """A few words on how it stands."""
        ...

    def take(self, sample: Sample, outputs: Arrays) -> None:
        """Take in the next sample."""
        ...


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is run: a bundle on the samples of a data set, with the options of the run; of a
    ``sequence`` the bundle says only what is common to its parts. ``wait`` for a board that another
    run has, ``verify`` what lies there, ``force`` where the model took it down before."""

    bundle: Bundle
    data: Dataset
    preprocessing: tuple[PreProcessing, ...]
    run: RunOptions
    wait: bool = True
    verify: bool = False
    force: bool = False
    sequence: BundleSequence | None = None

    def __post_init__(self) -> None:
        check_parts(self.parts, self.run.named)

    @property
    def parts(self) -> tuple[Bundle, ...]:
        """The bundles that run: one, or those of the sequence."""
        return self.sequence.bundles if self.sequence else (self.bundle,)


def feed(
    outputs: Iterator[tuple[Sample, Arrays]], taker: Taker, total: int, progress: Progress
) -> float:
    """Give everything to the taker; samples a second, from the first answer to the last."""
    started, first, rate = 0.0, taker.count, 0.0
    for sample, arrays in outputs:
        taker.take(sample, arrays)
        now = time.monotonic()
        started = started or now
        rate = (taker.count - first - 1) / max(now - started, 1e-9)
        progress(_Samples(taker, total, rate))
    return rate


class _Samples:
    """How far it is, how fast, and the first metric so far."""

    def __init__(self, taker: Taker, total: int, rate: float) -> None:
        self.text = f"{taker.count} of {total} samples, {rate:.1f}/s, {taker.running}"


@contextmanager
def reference_runner(
    source: Path, bundle: Bundle, torch: TorchOptions, progress: Progress
) -> Iterator[Runner]:
    """Outputs of the source in ONNX Runtime; UsageError where it is not the bundle's."""
    requests = bundle.input_requests()
    with open_source_model(source, torch, requests, progress=progress) as opened:
        if opened.path.suffix != ".onnx":
            raise UsageError(f"{source} is not an ONNX model, which a reference has to be.")
        model = read_onnx(opened.path, requests)
        if set(model.output_names) != {spec.name for spec in bundle.outputs}:
            raise UsageError(f"{source} is not what the bundle {bundle.name} was made from.")
        session = Reference(model)

        def outputs_of(data: Dataset) -> Iterator[tuple[Sample, Arrays]]:
            for sample in data:
                yield sample, session.run(sample.inputs)

        yield outputs_of


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How it went in one place.

    ``rate`` in samples a second, None where a simulator ran them; ``resumed`` samples were known
    before; ``precisions`` are those that the layers ran in, empty where no board told; ``emulator``
    is what computed in the place of the boards' processor, "" for that itself; ``fell_back`` are
    layers that an accelerator left to another of the ``units``.
    """

    rate: float | None
    resumed: int = 0
    precisions: tuple[PrecisionCount, ...] = ()
    emulator: str = ""
    fell_back: tuple[str, ...] = ()
    units: tuple[UnitCount, ...] = ()


@dataclass
class Told:
    """What a board told of a run besides its outputs; as ``Ran`` has it."""

    precisions: tuple[PrecisionCount, ...] = ()
    emulator: str = ""
    fell_back: tuple[str, ...] = ()
    units: tuple[UnitCount, ...] = ()


def run_on(device: str | None, work: Work, taker: Taker, progress: Progress) -> Ran:
    """Feed the taker from one place.

    None is this computer. A link that breaks is opened again, and what an interrupted run had
    answered is not computed again.
    """
    data = work.data
    if device is None:
        every = [find_runtime(bundle.runtime) for bundle in work.parts]
        where = [f"the simulator of {e.title}" if e.simulated else e.name for e in every]
        progress(Stage(text=f"Running {len(data)} samples in {' and '.join(dict.fromkeys(where))}"))
        rate = feed(_here(work), taker, len(data), progress)
        simulated = any(facts.simulated for facts in every)
        return Ran(rate=None if simulated else rate, fell_back=left_names(work.parts))
    journal = _Journal(work, device)
    for outputs, sample in zip(journal.replayed(), data, strict=False):
        taker.take(sample, outputs)
    done, rate = taker.count, 0.0
    if done:
        progress(Stage(text=f"Going on after {done} samples of an interrupted run"))
    told = Told()
    for attempt in range(_TRIES):
        # What was answered and not yet counted is asked once more.
        journal.count = start = taker.count
        try:
            stream = streamed if work.sequence is None else _through_parts
            answers = stream(work, device, journal, progress, start, told)
            rate = feed(answers, taker, len(data), progress)
            break
        except LinkLostError as error:
            if attempt == _TRIES - 1:
                raise
            progress(Stage(text=f"{error.message} Going on after {taker.count} samples"))
    journal.remove()
    return Ran(
        rate=None if told.emulator else rate,
        resumed=done,
        precisions=told.precisions,
        emulator=told.emulator,
        fell_back=told.fell_back,
        units=told.units,
    )


def _here(work: Work) -> Iterator[tuple[Sample, Arrays]]:
    """Samples with the outputs of the runtime's Python package."""
    if work.sequence is not None:
        with open_parts(work.sequence, None) as run:
            for sample in work.data:
                yield sample, results_of(work.sequence, run(sample.inputs))
        return
    with open_converted(read_converted(work.bundle)) as opened:
        for sample in work.data:
            yield sample, opened.run(sample.inputs)


def streamed(
    work: Work,
    device: str,
    journal: _Journal,
    progress: Progress,
    start: int,
    told: Told,
) -> Iterator[tuple[Sample, Arrays]]:
    """Samples from ``start`` on with the board's outputs, several in flight.

    ``told`` is given the precisions that layers run in there, which no option decides alone, and
    what emulates the bundle's processor.
    """
    bundle = work.bundle
    waiting: deque[Sample] = deque()
    free = Semaphore(_IN_FLIGHT)

    def requests() -> Iterator[list[InputTensor]]:
        for sample in islice(iter(work.data), start, None):
            free.acquire()
            waiting.append(sample)
            arrays = to_board_arrays(bundle, sample.inputs)
            yield [
                InputTensor(runtime_name=blob, array=array, batched=batched)
                for blob, (array, batched) in arrays.items()
            ]

    board, purpose = load_config().find_device(device), f"evaluate {bundle.name}"
    with (
        open_session(
            board, purpose=purpose, wait=work.wait, verify=work.verify, progress=progress
        ) as session,
        watched(session, bundle, work.run, force=work.force) as watch,
    ):
        told.emulator = session.emulator_of(bundle)
        session.push(bundle)
        with load_model(session, bundle, work.run, WorkerLimits()) as load:
            watch.phase = "run"
            one = BenchPlan(warmup=0, iterations=1)
            once = session.client.bench(load.model_id, random_inputs(bundle), one)
            told.precisions, told.fell_back = once.precisions, once.fell_back
            told.units = once.units
            progress(Stage(text=f"Running {len(work.data) - start} samples on {device}"))
            for reply in session.client.infer(load.model_id, requests()):
                free.release()
                outputs = {
                    spec.name: from_board_array(bundle, spec, reply.outputs[spec.runtime_name])
                    for spec in bundle.outputs
                }
                journal.write(outputs)
                yield waiting.popleft(), outputs


def _through_parts(
    work: Work,
    device: str,
    journal: _Journal,
    progress: Progress,
    start: int,
    told: Told,
) -> Iterator[tuple[Sample, Arrays]]:
    """Like ``streamed``, one sample after the other through the parts of a sequence; what their
    layers run in is not asked."""
    sequence = work.sequence
    assert sequence is not None
    board, purpose = load_config().find_device(device), f"evaluate {sequence.name}"
    with (
        open_session(
            board, purpose=purpose, wait=work.wait, verify=work.verify, progress=progress
        ) as session,
        watched(session, work.bundle, work.run, force=work.force) as watch,
        open_parts(sequence, session, work.run, progress=progress) as run,
    ):
        watch.phase = "run"
        there = [each for each in sequence.bundles if session.runs(each.runtime)]
        told.emulator = next(filter(None, map(session.emulator_of, there)), "")
        progress(Stage(text=f"Running {len(work.data) - start} samples on {device}"))
        for sample in islice(iter(work.data), start, None):
            outputs = results_of(sequence, run(sample.inputs))
            journal.write(outputs)
            yield sample, outputs


class _Journal:
    """Each answered sample's outputs on disk, so that an interrupted run can go on.

    One file, to which records are added: a header, then an .npz. A record counts where it is
    whole and the next one in number, so that neither what a kill cut short nor a second
    evaluation of the same at the same time does harm.
    """

    _HEADER = struct.Struct("<QIQ")  # number of the sample, CRC-32 and size of what follows

    def __init__(self, work: Work, device: str) -> None:
        steps = repr(work.preprocessing)
        parts = (bundle_digest(work.bundle), work.data.digest, device, repr(work.run), steps)
        key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
        self._path = cache_folder() / "evaluations" / f"{key}.journal"
        self.count = 0

    def replayed(self) -> Iterator[Arrays]:
        """The outputs of the first samples, as far as there are any."""
        try:
            file = self._path.open("r+b")
        except OSError:
            return
        count = end = 0
        with file:
            while (record := self._record(file)) is not None and record[0] <= count:
                end = file.tell()
                if record[0] == count:
                    count += 1
                    yield record[1]
            # What is added must not come behind something that nobody reads.
            file.truncate(end)

    def _record(self, file: IO[bytes]) -> tuple[int, Arrays] | None:
        header = file.read(self._HEADER.size)
        if len(header) < self._HEADER.size:
            return None
        number, checksum, size = self._HEADER.unpack(header)
        content = file.read(size)
        # None is empty, but what a file system left of a page that it lost reads as one that is.
        if not content or len(content) < size or zlib.crc32(content) != checksum:
            return None
        with numpy.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return number, {name: arrays[name] for name in arrays.files}

    def write(self, outputs: Arrays) -> None:
        """Add the next sample's outputs."""
        buffer = io.BytesIO()
        write_content(buffer, outputs)
        content = buffer.getvalue()
        header = self._HEADER.pack(self.count, zlib.crc32(content), len(content))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            file.write(header + content)
        self.count += 1

    def remove(self) -> None:
        """It is done: nothing has to be kept."""
        self._path.unlink(missing_ok=True)
