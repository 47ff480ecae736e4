"""Bench and profile a bundle on a board."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from statistics import median
from threading import Semaphore

import numpy

from deployx_edge.agent.client import InputTensor
from deployx_edge.bundle import Bundle, bundle_digest
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
from deployx_edge.model import to_runtime_array
from deployx_edge.workflows.progress import Runs, Stage
from deployx_edge.workflows.session import Session

_TRANSPORT_CALLS = 20
_SEED = 0


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
    return [
        _bench_one(session, bundle, each, plan or BenchPlan(), limits or Limits(), batch, push)
        for each in options
    ]


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
    generator = numpy.random.default_rng(_SEED)
    tensors = []
    for spec in bundle.inputs:
        shape = tuple(
            batch if axis == spec.batch_axis else size for axis, size in enumerate(spec.shape)
        )
        noise = generator.random(shape, dtype=numpy.float32)
        array, batched = to_runtime_array(spec, noise)
        tensors.append(InputTensor(blob=spec.blob, array=array, batched=batched))
    return tensors


def _bench_one(
    session: Session,
    bundle: Bundle,
    options: RunOptions,
    plan: BenchPlan,
    limits: Limits,
    batch: int,
    push: PushCost,
) -> BenchResult:
    inputs = random_inputs(bundle, batch)
    with loaded(session, bundle, options, limits) as load:
        session.progress(Stage(text=f"Benchmarking: {load.threads} threads, {options.precision}"))
        done = 0

        def count(group: Sequence[int]) -> None:
            nonlocal done
            done += len(group)
            session.progress(
                Runs(done=done, expected=plan.iterations or None, last_ns=group[-1] if group else 0)
            )

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
        warnings=(warning,) if warning else (),
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
