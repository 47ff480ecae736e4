"""Bench and profile a bundle on a board."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from statistics import median
from threading import Semaphore

import numpy

from deployx_edge.agent.client import InputTensor
from deployx_edge.bundle import Bundle, bundle_digest
from deployx_edge.comparison import is_finite
from deployx_edge.device import Device
from deployx_edge.errors import (
    AgentError,
    DeployxError,
    LinkLostError,
    SetAsideError,
    TransportError,
)
from deployx_edge.measurement.values import (
    BenchPlan,
    BenchResult,
    Limits,
    LoadResult,
    ModelIdentity,
    ProfileResult,
    PushCost,
    RunOptions,
    TransportCost,
    precision_warning,
)
from deployx_edge.model import from_runtime_array, to_runtime_array
from deployx_edge.workflows.finiteness import broken_outputs, not_finite_sentence
from deployx_edge.workflows.incidents import Watch, watched
from deployx_edge.workflows.progress import Progress, Runs, Stage, silent
from deployx_edge.workflows.session import Session, open_session

_TRANSPORT_CALLS = 20
# A board that starts anew is back within this time, or something is wrong with it.
_RETURN_SECONDS = 120.0
_RETURN_TICK_SECONDS = 2.0
_SEED = 0


@dataclass(frozen=True, kw_only=True)
class BenchFailure:
    """A run that could not be: the others go on."""

    device: Device
    options: RunOptions
    error: DeployxError


@dataclass(frozen=True, kw_only=True)
class BenchJob:
    """What is benched, how, and on which terms: ``wait`` where another run has the board,
    ``force`` where the model took the board down before."""

    bundle: Bundle
    options: Sequence[RunOptions] = (RunOptions(),)
    plan: BenchPlan = field(default_factory=BenchPlan)
    limits: Limits = field(default_factory=Limits)
    batch: int = 1
    wait: bool = True
    force: bool = False


def bench_device(
    device: Device, job: BenchJob, *, progress: Progress = silent
) -> tuple[list[BenchResult], list[BenchFailure]]:
    """Bench on one board; what fails there fails alone.

    A board that was lost under one of the runs is waited for, and the rest of them go on.
    Raises DeployxError where the board cannot be had at all.
    """
    results: list[BenchResult] = []
    failures: list[BenchFailure] = []
    left = list(job.options)
    lost = False
    while left:
        with _session_after(device, job, lost, progress) as session:
            lost = False
            push = session.push(job.bundle)
            while left and not lost:
                options = left.pop(0)
                try:
                    results.append(_watched_bench(session, job, options, push))
                except (AgentError, SetAsideError, LinkLostError) as error:
                    failures.append(BenchFailure(device=device, options=options, error=error))
                    lost = isinstance(error, LinkLostError)
    return results, failures


def _watched_bench(
    session: Session, job: BenchJob, options: RunOptions, push: PushCost
) -> BenchResult:
    with watched(session, job.bundle, options, force=job.force) as watch:
        return _bench_one(session, job, options, push, watch)


@contextmanager
def _session_after(
    device: Device, job: BenchJob, lost: bool, progress: Progress
) -> Iterator[Session]:
    """A session; where the board was just ``lost``, as soon as it is back."""
    purpose = f"bench {job.bundle.name}"
    with ExitStack() as stack:
        deadline = time.monotonic() + _RETURN_SECONDS
        while True:
            try:
                opened = open_session(device, purpose=purpose, wait=job.wait, progress=progress)
                session = stack.enter_context(opened)
                break
            except (TransportError, AgentError):
                if not lost or time.monotonic() > deadline:
                    raise
                progress(Stage(text=f"Waiting for {device.name} to come back"))
                time.sleep(_RETURN_TICK_SECONDS)
        yield session


def bench(
    session: Session,
    bundle: Bundle,
    *,
    options: Sequence[RunOptions] = (RunOptions(),),
    plan: BenchPlan | None = None,
    limits: Limits | None = None,
    batch: int = 1,
) -> list[BenchResult]:
    """One result for each of ``options``, on a bundle that is pushed if it is not there."""
    push = session.push(bundle)
    job = BenchJob(bundle=bundle, plan=plan or BenchPlan(), limits=limits or Limits(), batch=batch)
    return [_bench_one(session, job, each, push, Watch()) for each in options]


def profile(
    session: Session,
    bundle: Bundle,
    *,
    options: RunOptions | None = None,
    warmup: int = 5,
    iterations: int = 50,
    limits: Limits | None = None,
) -> ProfileResult:
    """Times of each layer, with undivided runs of the same model beside them."""
    session.push(bundle)
    chosen = options or RunOptions()
    with loaded(session, bundle, chosen, limits or Limits()) as load:
        broken = _broken(session, bundle, load.model_id, 1)
        session.progress(Stage(text="Profiling"))
        samples = session.client.profile(
            load.model_id, random_inputs(bundle), warmup=warmup, iterations=iterations
        )
    return ProfileResult(
        model=identity_of(bundle),
        device=session.identity,
        options=chosen,
        load=load,
        profile=samples,
        measured_at=_now(),
        not_finite=broken,
    )


@contextmanager
def loaded(
    session: Session,
    bundle: Bundle,
    options: RunOptions,
    limits: Limits,
    outputs: tuple[str, ...] = (),
) -> Iterator[LoadResult]:
    """A model in its worker for as long as the block lasts; ``outputs`` are the blobs wanted."""
    load = session.load(bundle, options, limits, outputs)
    try:
        yield load
    except BaseException:
        # The error inside is the news; the worker ends with the session at the latest.
        raise
    else:
        session.client.unload(load.model_id)


def identity_of(bundle: Bundle) -> ModelIdentity:
    """What a result says about the model that it is of."""
    return ModelIdentity(
        name=bundle.name,
        runtime=bundle.runtime,
        bundle_sha256=bundle_digest(bundle),
        source_sha256=bundle.provenance.source_sha256,
    )


def random_inputs(bundle: Bundle, batch: int = 1) -> list[InputTensor]:
    """Seeded noise in [0, 1) for every input: what a bench computes on."""
    arrays = _noise(bundle, batch)
    tensors = []
    for spec in bundle.inputs:
        array, batched = to_runtime_array(spec, arrays[spec.name])
        tensors.append(InputTensor(blob=spec.blob, array=array, batched=batched))
    return tensors


def _noise(bundle: Bundle, batch: int) -> dict[str, numpy.ndarray]:
    generator = numpy.random.default_rng(_SEED)
    arrays = {}
    for spec in bundle.inputs:
        shape = tuple(
            batch if axis == spec.batch_axis else size for axis, size in enumerate(spec.shape)
        )
        arrays[spec.name] = generator.random(shape, dtype=numpy.float32)
    return arrays


def _broken(session: Session, bundle: Bundle, model_id: str, batch: int) -> tuple[str, ...]:
    """What is not finite in the outputs of one run, as a sentence; nothing where all is well."""
    requests = iter([random_inputs(bundle, batch)])
    (reply,) = session.client.infer(model_id, requests)
    if is_finite(reply.outputs.values()):
        return ()
    found = {
        spec.name: from_runtime_array(spec, reply.outputs[spec.blob], batched=batch > 1)
        for spec in bundle.outputs
    }
    broken = broken_outputs(bundle, _noise(bundle, batch), found)
    return (not_finite_sentence(broken, session.identity.name),) if broken else ()


def _bench_one(
    session: Session, job: BenchJob, options: RunOptions, push: PushCost, watch: Watch
) -> BenchResult:
    bundle, plan = job.bundle, job.plan
    inputs = random_inputs(bundle, job.batch)
    with loaded(session, bundle, options, job.limits) as load:
        watch.phase = "run"
        session.progress(Stage(text=f"Benchmarking: {load.threads} threads, {options.precision}"))
        done = 0

        def count(group: Sequence[int]) -> None:
            nonlocal done
            done += len(group)
            session.progress(
                Runs(done=done, expected=plan.iterations or None, last_ns=group[-1] if group else 0)
            )

        broken = _broken(session, bundle, load.model_id, job.batch)
        samples = session.client.bench(load.model_id, inputs, plan, count)
        transport = measure_transport(session, load.model_id, inputs)
    warning = precision_warning(options.precision, bundle.precision, samples.precisions)
    return BenchResult(
        model=identity_of(bundle),
        device=session.identity,
        options=options,
        plan=plan,
        load=load,
        bench=samples,
        transport=transport,
        push=push,
        measured_at=_now(),
        warnings=((warning,) if warning else ()) + broken,
        not_finite=broken,
    )


def measure_transport(
    session: Session, model_id: str, inputs: Sequence[InputTensor]
) -> TransportCost:
    """Single inferences over the link, one at a time, so that nothing overlaps."""
    session.progress(Stage(text="Measuring the link"))
    sent_at: list[int] = []
    answered = Semaphore(1)

    def requests() -> Iterator[Sequence[InputTensor]]:
        for _ in range(_TRANSPORT_CALLS):
            answered.acquire()
            sent_at.append(time.perf_counter_ns())
            yield inputs

    round_trips, compute, worker = [], [], []
    for reply in session.client.infer(model_id, requests()):
        round_trips.append(time.perf_counter_ns() - sent_at[reply.sequence])
        compute.append(reply.compute_ns)
        worker.append(reply.worker_ns)
        answered.release()
    round_trip, in_worker, computing = median(round_trips), median(worker), median(compute)
    return TransportCost(
        calls=len(round_trips),
        round_trip_ns=round_trip,
        compute_ns=computing,
        serialisation_ns=max(0.0, in_worker - computing),
        link_ns=max(0.0, round_trip - in_worker),
    )


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
