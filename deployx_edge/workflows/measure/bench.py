"""Bench and profile a bundle on a board."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from deployx_edge.bundle import Bundle
from deployx_edge.device import Device
from deployx_edge.errors import (
    AgentError,
    DeployxError,
    MissingToolError,
    TransportError,
    UnfitDeviceError,
    UsageError,
)
from deployx_edge.measurement.fallback import profile_fallback
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
from deployx_edge.runtime import precision_meant
from deployx_edge.runtimes import load_runtime
from deployx_edge.workflows.boards.crash_log import Watch, watched
from deployx_edge.workflows.boards.left_nodes import check_run
from deployx_edge.workflows.boards.session import Session, open_session
from deployx_edge.workflows.measure.jobs import BenchFailure, BenchJob, Candidate, Turns
from deployx_edge.workflows.measure.loading import (
    identity_of,
    load_model,
    not_finite,
    random_inputs,
)
from deployx_edge.workflows.measure.rounds import bench_rounds, compare_results

if TYPE_CHECKING:
    from deployx_edge.runtimes.macs import LayerWork

__all__ = [
    "BenchFailure",
    "BenchJob",
    "Candidate",
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


def bench_device(
    device: Device, job: BenchJob, *, progress: Progress = silent
) -> tuple[list[BenchResult], list[BenchFailure]]:
    """Bench on one board; what fails there fails alone.

    A board that was lost under one of the runs is waited for, and the rest of them go on.
    Raises DeployxError where the board is not available at all, or can run nothing of it.
    """
    results: list[BenchResult] = []
    failures: list[BenchFailure] = []
    left = list(job.groups)
    refused: dict[Path, DeployxError] = {}
    lost = False
    while left:
        with _session_after(device, job, lost, progress) as session:
            lost = False
            pushes, refused = push_all(session, job)
            while left and not lost:
                group = left.pop(0)
                turns = _take_turns(session, job, group, pushes)
                failed = [*_refused_in(group, refused), *turns.failures]
                failures += [_failure(device, each, error) for each, error in failed]
                lost = turns.lost
                if lost:
                    left = _without(group, [each for each, _ in failed]) + left
                else:
                    results += turns.results
    return results, failures


def push_all(
    session: Session, job: BenchJob
) -> tuple[dict[Path, PushCost], dict[Path, DeployxError]]:
    """What each bundle's push cost, by folder, and which the board cannot run, and why.

    Where it can run none of them, the error is raised.
    """
    pushes: dict[Path, PushCost] = {}
    refused: dict[Path, DeployxError] = {}
    for bundle in job.bundles:
        try:
            pushes[bundle.folder] = session.push(bundle)
        except (UnfitDeviceError, UsageError, MissingToolError) as error:
            refused[bundle.folder] = error
    if not pushes:
        raise joined_error(
            f"{session.device.name} can run none of them",
            {b.runtime: refused[b.folder] for b in job.bundles},
        )
    return pushes, refused


def joined_error(what: str, errors: Mapping[str, DeployxError]) -> DeployxError:
    """One error of the same class as the first for all of them, by name; the only one as it is."""
    texts = {error.message for error in errors.values()}
    first = next(iter(errors.values()))
    if len(texts) == 1:
        return first
    told = " ".join(f"{name}: {error.message}" for name, error in errors.items())
    return type(first)(f"{what}. {told}")


def _refused_in(
    group: Sequence[Candidate], refused: Mapping[Path, DeployxError]
) -> list[tuple[Candidate, DeployxError]]:
    return [(c, refused[c.bundle.folder]) for c in group if c.bundle.folder in refused]


def _without(
    group: Sequence[Candidate], failed: Sequence[Candidate]
) -> list[tuple[Candidate, ...]]:
    """What of a group is to be measured again; nothing where only a baseline is left."""
    rest = tuple(each for each in group if each not in failed)
    return [rest] if any(not each.baseline for each in rest) else []


def _failure(device: Device, candidate: Candidate, error: DeployxError) -> BenchFailure:
    return BenchFailure(
        device=device,
        runtime=candidate.bundle.runtime,
        options=candidate.options,
        error=error,
    )


def _take_turns(
    session: Session, job: BenchJob, group: Sequence[Candidate], pushes: Mapping[Path, PushCost]
) -> Turns:
    return bench_rounds(
        session,
        job,
        [each for each in group if each.bundle.folder in pushes],
        pushes,
        lambda each: watched(session, each.bundle, each.options, force=job.force),
    )


@contextmanager
def _session_after(
    device: Device, job: BenchJob, lost: bool, progress: Progress
) -> Iterator[Session]:
    """A session; where the board was just ``lost``, as soon as it is back."""
    purpose = f"bench {job.name}"
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
    pushes = {bundle.folder: session.push(bundle)}
    results: list[BenchResult] = []
    for group in job.groups:
        turns = bench_rounds(session, job, group, pushes, lambda each: nullcontext(Watch()))
        for _, error in turns.failures:
            raise error
        results += turns.results
    return results


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
    check_run(bundle, chosen.named)
    session.push(bundle)
    with load_model(session, bundle, chosen, limits or WorkerLimits()) as load:
        session.progress(Stage(text="Profiling"))
        samples = session.client.profile(
            load.model_id, random_inputs(bundle), warmup=warmup, iterations=iterations
        )
        # Behind the runs that count: the first of them is to be the model's first.
        broken = not_finite(session, bundle, load.model_id)
    layers = _with_works(bundle, samples.layers)
    return ProfileResult(
        model=identity_of(bundle),
        device=session.identity_for(bundle),
        options=chosen,
        load=load,
        profile=replace(samples, layers=layers),
        measured_at=_now(),
        not_finite=broken,
        fell_back=profile_fallback(
            precision_meant(bundle.runtime, chosen.precision), bundle.precision, layers
        ),
    )


def _with_works(bundle: Bundle, layers: Sequence[LayerProfile]) -> tuple[LayerProfile, ...]:
    """The layers with what they are in the source, and how much they multiply."""
    outputs = {layer.name: layer.dims for layer in layers}
    # A bench is not to load what converts.
    from deployx_edge.workflows.convert.conversion import read_converted

    works = load_runtime(bundle.runtime).layer_works(read_converted(bundle), outputs)
    return tuple(
        _with_work(layer, works[layer.name]) if layer.name in works else layer for layer in layers
    )


def _with_work(layer: LayerProfile, work: LayerWork) -> LayerProfile:
    return replace(layer, macs=work.macs, node=work.node, type=layer.type or work.type)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
