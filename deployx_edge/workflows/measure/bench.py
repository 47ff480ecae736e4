"""Bench and profile a bundle on a board."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from deployx_edge.bundle import Bundle
from deployx_edge.device import Device
from deployx_edge.errors import (
    AgentError,
    DeployxError,
    LinkLostError,
    QuarantinedError,
    TransportError,
)
from deployx_edge.measurement.values import (
    BenchPlan,
    BenchResult,
    LayerProfile,
    ProfileResult,
    PushCost,
    RunOptions,
    WorkerLimits,
)
from deployx_edge.progress import Progress, Stage, silent
from deployx_edge.runtimes import load_runtime
from deployx_edge.worker_facts import check_options
from deployx_edge.workflows.boards.crash_log import Watch, watched
from deployx_edge.workflows.boards.session import Session, open_session
from deployx_edge.workflows.measure.loading import (
    identity_of,
    load_model,
    not_finite,
    random_inputs,
)
from deployx_edge.workflows.measure.rounds import BenchJob, bench_rounds, compare_results

__all__ = [
    "BenchFailure",
    "BenchJob",
    "bench",
    "bench_device",
    "compare_results",
    "load_model",
    "profile",
    "random_inputs",
]

# A board that starts anew is back within this time, or something is wrong with it.
_RETURN_SECONDS = 120.0
_RETURN_TICK_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class BenchFailure:
    """A run that could not be: the others go on."""

    device: Device
    options: RunOptions
    error: DeployxError


def bench_device(
    device: Device, job: BenchJob, *, progress: Progress = silent
) -> tuple[list[BenchResult], list[BenchFailure]]:
    """Bench on one board; what fails there fails alone.

    A board that was lost under one of the runs is waited for, and the rest of them go on.
    Raises DeployxError where the board is not available at all.
    """
    results: list[BenchResult] = []
    failures: list[BenchFailure] = []
    left = list(job.options)
    lost = False
    while left:
        with _session_after(device, job, lost, progress) as session:
            lost = False
            pushes = [session.push(bundle) for bundle in job.bundles]
            while left and not lost:
                options = left.pop(0)
                try:
                    results += _watched_bench(session, job, options, pushes)
                except (AgentError, QuarantinedError, LinkLostError) as error:
                    failures.append(BenchFailure(device=device, options=options, error=error))
                    lost = isinstance(error, LinkLostError)
    return results, failures


def _watched_bench(
    session: Session, job: BenchJob, options: RunOptions, pushes: Sequence[PushCost]
) -> list[BenchResult]:
    return bench_rounds(
        session,
        job,
        options,
        pushes,
        lambda bundle: watched(session, bundle, options, force=job.force),
    )


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
                opened = open_session(
                    device,
                    purpose=purpose,
                    wait=job.wait,
                    verify=job.verify,
                    progress=progress,
                )
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
    limits: WorkerLimits | None = None,
    batch: int = 1,
) -> list[BenchResult]:
    """One result for each of ``options``, on a bundle that is pushed if it is not there."""
    job = BenchJob(
        bundle=bundle,
        options=tuple(options),
        plan=plan or BenchPlan(),
        limits=limits or WorkerLimits(),
        batch=batch,
    )
    pushes = [session.push(bundle)]
    return [
        result
        for each in options
        for result in bench_rounds(session, job, each, pushes, lambda bundle: nullcontext(Watch()))
    ]


def profile(
    session: Session,
    bundle: Bundle,
    *,
    options: RunOptions | None = None,
    warmup: int = 5,
    iterations: int = 50,
    limits: WorkerLimits | None = None,
) -> ProfileResult:
    """Times of each layer, with undivided runs of the same model beside them."""
    chosen = options or RunOptions()
    check_options(bundle.runtime, chosen.named)
    session.push(bundle)
    with load_model(session, bundle, chosen, limits or WorkerLimits()) as load:
        session.progress(Stage(text="Profiling"))
        samples = session.client.profile(
            load.model_id, random_inputs(bundle), warmup=warmup, iterations=iterations
        )
        # Behind the runs that count: the first of them is to be the model's first.
        broken = not_finite(session, bundle, load.model_id)
    return ProfileResult(
        model=identity_of(bundle),
        device=session.identity,
        options=chosen,
        load=load,
        profile=replace(samples, layers=_with_works(bundle, samples.layers)),
        measured_at=_now(),
        not_finite=broken,
    )


def _with_works(bundle: Bundle, layers: Sequence[LayerProfile]) -> tuple[LayerProfile, ...]:
    """The layers with what they are in the source, and how much they multiply."""
    outputs = {layer.name: layer.dims for layer in layers}
    # A bench is not to load what converts.
    from deployx_edge.workflows.convert.conversion import read_converted

    works = load_runtime(bundle.runtime).layer_works(read_converted(bundle), outputs)
    return tuple(
        replace(layer, macs=works[layer.name].macs, node=works[layer.name].node)
        if layer.name in works
        else layer
        for layer in layers
    )


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
