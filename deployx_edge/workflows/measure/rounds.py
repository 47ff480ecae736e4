"""Runs of a model, or of several in turn, each in a worker process of its own.

What differs from one process to the next (where its memory lies, what else the board does) is
in no process's own samples; only repeated runs show it. Several candidates run in turn,
A B C C B A …, so that a drift of the board hits all alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from itertools import chain
from pathlib import Path
from statistics import median

from deployx_edge.bundle import Bundle
from deployx_edge.errors import (
    AgentError,
    DeployxError,
    LinkLostError,
    QuarantinedError,
)
from deployx_edge.measurement.candidates import CandidateRow
from deployx_edge.measurement.comparisons import (
    UNTOLD,
    Comparison,
    RepeatedRuns,
    beyond,
    compare_in_turn,
    compare_with_earlier,
)
from deployx_edge.measurement.fallback import fallback_warnings
from deployx_edge.measurement.files import runs_of
from deployx_edge.measurement.noise import noise
from deployx_edge.measurement.standings import LOOKS, is_decided
from deployx_edge.measurement.values import (
    BenchResult,
    BenchSamples,
    BoardLoad,
    LoadResult,
    PushCost,
    RunOptions,
    Throughput,
    TransportCost,
)
from deployx_edge.progress import Runs, Share, Stage, silent
from deployx_edge.runtime import precision_meant
from deployx_edge.workflows.boards.crash_log import Watch
from deployx_edge.workflows.boards.fed_tensors import fed_tensors
from deployx_edge.workflows.boards.session import Session, replaced_sentence
from deployx_edge.workflows.measure.jobs import BenchJob, Candidate, Turns
from deployx_edge.workflows.measure.link_cost import measure_transport
from deployx_edge.workflows.measure.loading import (
    identity_of,
    load_model,
    not_finite,
    random_inputs,
)
from deployx_edge.workflows.measure.other_load import other_load

# Where nothing is told by time, one run of each is enough.
_EMULATED_ROUNDS = 1


@dataclass
class _Side:
    """What the worker processes of one candidate gave so far."""

    candidate: Candidate
    push: PushCost
    loads: list[LoadResult] = field(default_factory=list)
    samples: list[BenchSamples] = field(default_factory=list)
    transport: TransportCost | None = None
    broken: tuple[str, ...] = ()

    @property
    def bundle(self) -> Bundle:
        return self.candidate.bundle

    @property
    def options(self) -> RunOptions:
        return self.candidate.options


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
    group: Sequence[Candidate],
    pushes: Mapping[Path, PushCost],
    watch: Callable[[Candidate], AbstractContextManager[Watch]],
) -> Turns:
    """One result for each candidate of the group that could be run; ``pushes`` by folder.

    Each worker process runs inside ``watch`` of its candidate.
    """
    sides = [_Side(candidate=each, push=pushes[each.bundle.folder]) for each in group]
    rounds = _Rounds(session=session, job=job, sides=sides, watch=watch)
    results: list[BenchResult] = []
    with other_load(session) as load_so_far:
        for look in range(LOOKS):
            if look:
                session.progress(Stage(text="Not told yet: measuring again"))
            for _ in range(rounds.count):
                rounds.run_one()
            if rounds.lost:
                return Turns(results=(), failures=tuple(rounds.failures), lost=True)
            others = load_so_far()
            results = [_result(session, job, side, others) for side in rounds.sides]
            if not results or _decided(results, job):
                break
    return Turns(results=tuple(results), failures=tuple(rounds.failures), lost=False)


def _place(result: BenchResult) -> tuple[str, RunOptions]:
    return result.device.name, result.options


def _decided(results: Sequence[BenchResult], job: BenchJob) -> bool:
    """Whether more rounds would not help: all is told that was asked, or cannot be by rounds."""
    if job.is_table and job.plan.repeats > 1 and not is_decided(rows_of(results)):
        return False
    pairs = [p for p in compare_results(results, job.earlier) if p.ratio is not None]
    if job.max_slowdown is not None:
        return all(beyond(pair, job.max_slowdown) is not None for pair in pairs)
    return job.against is None or all(pair.verdict != UNTOLD for pair in pairs)


@dataclass
class _Rounds:
    """The candidates of a group that are still in it, and what became of the others."""

    session: Session
    job: BenchJob
    sides: list[_Side]
    watch: Callable[[Candidate], AbstractContextManager[Watch]]
    failures: list[tuple[Candidate, DeployxError]] = field(default_factory=list)
    lost: bool = False
    done: int = 0

    @property
    def count(self) -> int:
        """How many of them at a time."""
        there = [self.session.identity_for(side.bundle).board for side in self.sides]
        emulated = self.job.is_table and all(board.emulated for board in there)
        return _EMULATED_ROUNDS if emulated else self.job.plan.repeats

    def run_one(self) -> None:
        """Each candidate once, the other way round than the last time.

        Once the board is lost, none.
        """
        for side in [*(self.sides if self.done % 2 == 0 else reversed(self.sides))]:
            if self.lost:
                return
            try:
                with self.watch(side.candidate) as watching:
                    _run(self.session, self.job, side, watching)
            except (AgentError, QuarantinedError, LinkLostError) as error:
                self.lost = isinstance(error, LinkLostError)
                self.failures.append((side.candidate, error))
                self.sides.remove(side)
        self.done += 1
        if self.count > 1 and self.sides:
            total = -(-self.done // self.count) * self.count
            self.session.progress(Share(done=self.done, total=total, of="repeats"))


def _run(session: Session, job: BenchJob, side: _Side, watch: Watch) -> None:
    """One worker process."""
    feeds = job.plan.feed_back
    inputs = random_inputs(side.bundle, job.batch, [feed.input for feed in feeds])
    # The hundredth worker is no news.
    telling = session if not side.samples else replace(session, progress=silent)
    with load_model(telling, side.bundle, side.options, job.limits) as load:
        watch.phase = "run"
        telling.progress(Stage(text=_benchmarking(job, side, load)))
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
            if job.look is not None:
                job.look(session, side.candidate, load.model_id)
        if job.link and not side.samples and not side.candidate.baseline:
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


def _benchmarking(job: BenchJob, side: _Side, load: LoadResult) -> str:
    times = f", {job.plan.repeats} times" if job.plan.repeats > 1 else ""
    name = f" {side.bundle.name}" if job.against else ""
    name = f" {side.bundle.runtime}" if job.is_table else name
    precision = precision_meant(side.bundle.runtime, side.options.precision)
    threads = f"{load.threads} thread{'s' if load.threads != 1 else ''}"
    return f"Benchmarking{name}: {threads}, {precision}{times}"


def rows_of(results: Iterable[BenchResult]) -> list[CandidateRow]:
    """Results as rows of a table, with nothing known beside."""
    return [
        CandidateRow(
            device=result.device.name,
            runtime=result.model.runtime,
            options=result.options,
            result=result,
        )
        for result in results
    ]


def _result(session: Session, job: BenchJob, side: _Side, others: BoardLoad | None) -> BenchResult:
    samples = _joined(side.samples)
    device = session.identity_for(side.bundle)
    disturbed = noise(samples, device.board, others)
    replaced = side.push.replaced
    fell_back = fallback_warnings(
        precision_meant(side.bundle.runtime, side.options.precision),
        side.bundle.precision,
        samples.precisions,
        samples.fell_back,
        samples.units,
    )
    return BenchResult(
        model=identity_of(side.bundle),
        device=device,
        options=side.options,
        plan=replace(job.plan, repeats=len(side.samples)),
        load=side.loads[0],
        bench=samples,
        transport=side.transport,
        push=side.push,
        measured_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        batch=job.batch,
        baseline=side.candidate.baseline,
        other_load=others.programs if others else None,
        stolen_load=others.stolen if others else None,
        noisy=bool(disturbed),
        loads_ns=tuple(load.load_ns for load in side.loads),
        warnings=(
            *fell_back,
            *((replaced_sentence(session.device.name, replaced),) if replaced else ()),
            *side.broken,
            *disturbed,
        ),
        not_finite=side.broken,
        fell_back=" ".join(fell_back) or None,
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
        peaks_bytes=tuple(peaks) if len(runs) > 1 and len(peaks) == len(runs) else (),
        throughput=_joined_throughput([run.throughput for run in runs]),
    )


def _joined_throughput(told: Sequence[Throughput | None]) -> Throughput | None:
    """Of all worker processes; None where one told none."""
    known = [each for each in told if each is not None]
    if len(known) < len(told):
        return None
    return replace(known[0], runs=sum(t.runs for t in known), ns=sum(t.ns for t in known))


def _sum(values: Iterable[int | None]) -> int | None:
    """None where one is not known."""
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)
