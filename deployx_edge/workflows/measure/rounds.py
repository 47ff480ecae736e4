"""Runs of a model, or of two in turn, each in a worker process of its own.

What differs from one process to the next (where its memory lies, what else the board does) is
in no process's own samples; only repeated runs show it. Two bundles run in turn, A B B A …, so
that a drift of the board hits both alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from itertools import chain
from statistics import median

from deployx_edge.bundle import Bundle
from deployx_edge.errors import UsageError
from deployx_edge.feed_back import check_feed_back
from deployx_edge.measurement.comparisons import (
    UNTOLD,
    Comparison,
    RepeatedRuns,
    beyond,
    compare_in_turn,
    compare_with_earlier,
)
from deployx_edge.measurement.files import runs_of
from deployx_edge.measurement.noise import noise
from deployx_edge.measurement.values import (
    BenchPlan,
    BenchResult,
    BenchSamples,
    BoardLoad,
    LoadResult,
    PushCost,
    RunOptions,
    TransportCost,
    WorkerLimits,
    precision_warning,
)
from deployx_edge.progress import Runs, Share, Stage, silent
from deployx_edge.worker_facts import check_options
from deployx_edge.workflows.boards.crash_log import Watch
from deployx_edge.workflows.boards.fed_tensors import fed_tensors
from deployx_edge.workflows.boards.session import Session, replaced_sentence
from deployx_edge.workflows.measure.link_cost import measure_transport
from deployx_edge.workflows.measure.loading import (
    identity_of,
    load_model,
    not_finite,
    random_inputs,
)
from deployx_edge.workflows.measure.other_load import other_load

# How often a comparison that is not told is measured, each time by as many rounds as at first.
# Each look may be wrong by chance, so that three of them are wrong three times as often at most.
_LOOKS = 3


@dataclass(frozen=True, kw_only=True)
class BenchJob:
    """What is benched, how, and on which terms: ``wait`` where another run has the board,
    ``force`` where the model took the board down before.

    ``against`` is a bundle that runs in turn with the first; rounds are added as long as they may
    tell which is faster. ``earlier`` are the results that these are compared with. With
    ``max_slowdown``, a share, rounds are added until it is told whether that is passed. ``link``:
    whether to measure what the link costs; ``verify``: whether what lies on the board is hashed.
    """

    bundle: Bundle
    options: Sequence[RunOptions] = (RunOptions(),)
    plan: BenchPlan = field(default_factory=BenchPlan)
    limits: WorkerLimits = field(default_factory=WorkerLimits)
    batch: int = 1
    wait: bool = True
    force: bool = False
    against: Bundle | None = None
    earlier: Sequence[RepeatedRuns] = ()
    max_slowdown: float | None = None
    link: bool = True
    verify: bool = False

    def __post_init__(self) -> None:
        if self.batch > 1 and self.plan.feed_back:
            raise UsageError(
                "A model whose outputs are fed back runs step after step, one sample in each.",
                remedy="Leave --batch out, or --feed-back.",
            )
        for bundle in self.bundles:
            check_feed_back(self.plan.feed_back, bundle.inputs, bundle.outputs)
            for options in self.options:
                check_options(bundle.runtime, options.named)

    @property
    def bundles(self) -> tuple[Bundle, ...]:
        """The bundle, and the one that runs in turn with it."""
        return (self.bundle,) if self.against is None else (self.bundle, self.against)


@dataclass
class _Side:
    """What the worker processes of one bundle gave so far."""

    bundle: Bundle
    baseline: bool
    push: PushCost
    loads: list[LoadResult] = field(default_factory=list)
    samples: list[BenchSamples] = field(default_factory=list)
    transport: TransportCost | None = None
    broken: tuple[str, ...] = ()


def compare_results(
    results: Sequence[BenchResult], earlier: Sequence[RepeatedRuns]
) -> list[Comparison]:
    """Each result beside the one that it ran in turn with, or beside the ``earlier`` ones."""
    new = [result for result in results if not result.baseline]
    old = {_place(result): result for result in results if result.baseline}
    if old:
        return [
            compare_in_turn(runs_of(each), runs_of(old[_place(each)]))
            for each in new
            if _place(each) in old
        ]
    return compare_with_earlier([runs_of(each) for each in new], earlier) if earlier else []


def bench_rounds(
    session: Session,
    job: BenchJob,
    options: RunOptions,
    pushes: Sequence[PushCost],
    watch: Callable[[Bundle], AbstractContextManager[Watch]],
) -> list[BenchResult]:
    """One result for each bundle of the job, the one that it runs against last.

    Each worker process runs inside ``watch`` of its bundle.
    """
    sides = [
        _Side(bundle=bundle, baseline=index > 0, push=pushes[index])
        for index, bundle in enumerate(job.bundles)
    ]
    results: list[BenchResult] = []
    with other_load(session) as load_so_far:
        for look in range(_LOOKS):
            if look:
                session.progress(Stage(text="Not told yet: measuring again"))
            for _ in range(job.plan.repeats):
                _round(session, job, options, sides, watch)
            others = load_so_far()
            results = [_result(session, job, options, side, others) for side in sides]
            if _decided(results, job):
                break
    return results


def _place(result: BenchResult) -> tuple[str, RunOptions]:
    return result.device.name, result.options


def _decided(results: Sequence[BenchResult], job: BenchJob) -> bool:
    """Whether more rounds would not help: all is told that was asked, or cannot be by rounds."""
    pairs = [p for p in compare_results(results, job.earlier) if p.ratio is not None]
    if job.max_slowdown is not None:
        return all(beyond(pair, job.max_slowdown) is not None for pair in pairs)
    return job.against is None or all(pair.verdict != UNTOLD for pair in pairs)


def _round(
    session: Session,
    job: BenchJob,
    options: RunOptions,
    sides: Sequence[_Side],
    watch: Callable[[Bundle], AbstractContextManager[Watch]],
) -> None:
    """Each side once, the other way round than the last time."""
    done = len(sides[0].samples)
    for side in sides if done % 2 == 0 else reversed(sides):
        with watch(side.bundle) as watching:
            _run(session, job, options, side, watching)
    if job.plan.repeats > 1:
        looks = done // job.plan.repeats + 1
        total = looks * job.plan.repeats
        session.progress(Share(done=done + 1, total=total, of="repeats"))


def _run(session: Session, job: BenchJob, options: RunOptions, side: _Side, watch: Watch) -> None:
    """One worker process."""
    feeds = job.plan.feed_back
    inputs = random_inputs(side.bundle, job.batch, [feed.input for feed in feeds])
    # The hundredth worker is no news.
    telling = session if not side.samples else replace(session, progress=silent)
    with load_model(telling, side.bundle, options, job.limits) as load:
        watch.phase = "run"
        telling.progress(Stage(text=_benchmarking(job, side.bundle, load, options)))
        samples = session.client.bench(
            load.model_id,
            inputs,
            job.plan,
            _counter(session, job),
            fed_tensors(side.bundle, feeds),
        )
        if not side.samples:
            # Behind the runs that count: the first of them is to be the model's first.
            side.broken = not_finite(session, side.bundle, load.model_id, job.batch)
        if job.link and not side.samples and not side.baseline:
            run_ns = median(samples.samples_ns)
            side.transport = measure_transport(telling, load.model_id, inputs, run_ns)
    side.loads.append(load)
    side.samples.append(samples)


def _counter(session: Session, job: BenchJob) -> Callable[[Sequence[int]], None]:
    """Tells how far a run is; where there are many, their number is told instead."""
    done = 0

    def count(group: Sequence[int]) -> None:
        nonlocal done
        done += len(group)
        last = group[-1] if group else 0
        session.progress(Runs(done=done, expected=job.plan.iterations or None, last_ns=last))

    alone = job.plan.repeats == 1 and len(job.bundles) == 1
    return count if alone else lambda group: None


def _benchmarking(job: BenchJob, bundle: Bundle, load: LoadResult, options: RunOptions) -> str:
    times = f", {job.plan.repeats} times" if job.plan.repeats > 1 else ""
    name = f" {bundle.name}" if job.against else ""
    return f"Benchmarking{name}: {load.threads} threads, {options.precision}{times}"


def _result(
    session: Session, job: BenchJob, options: RunOptions, side: _Side, others: BoardLoad | None
) -> BenchResult:
    samples = _joined(side.samples)
    disturbed = noise(samples, session.identity.board, others)
    replaced = side.push.replaced
    precision = precision_warning(options.precision, side.bundle.precision, samples.precisions)
    return BenchResult(
        model=identity_of(side.bundle),
        device=session.identity,
        options=options,
        plan=replace(job.plan, repeats=len(side.samples)),
        load=side.loads[0],
        bench=samples,
        transport=side.transport,
        push=side.push,
        measured_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        batch=job.batch,
        baseline=side.baseline,
        other_load=others.programs if others else None,
        stolen_load=others.stolen if others else None,
        noisy=bool(disturbed),
        warnings=(
            *((precision,) if precision else ()),
            *((replaced_sentence(session.device.name, replaced),) if replaced else ()),
            *side.broken,
            *disturbed,
        ),
        not_finite=side.broken,
    )


def _joined(runs: Sequence[BenchSamples]) -> BenchSamples:
    """The samples of all runs; the precisions are those of the first, the memory the most."""
    peaks = [run.peak_memory_bytes for run in runs if run.peak_memory_bytes is not None]
    lengths = tuple(len(run.samples_ns) for run in runs)
    return replace(
        runs[0],
        samples_ns=tuple(chain.from_iterable(run.samples_ns for run in runs)),
        peak_memory_bytes=max(peaks, default=None),
        after=runs[-1].after,
        run_lengths=lengths if len(runs) > 1 else (),
        waited_ns=_sum(run.waited_ns for run in runs),
        throttled_ns=_sum(run.throttled_ns for run in runs),
    )


def _sum(values: Iterable[int | None]) -> int | None:
    """None where one is not known."""
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)
