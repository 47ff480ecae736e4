"""What is benched: candidates in groups that run in turn, on which terms, and what fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from deployx_edge.bundle import Bundle
from deployx_edge.device import Device
from deployx_edge.errors import DeployxError, UsageError
from deployx_edge.feed_back import check_feed_back, check_growth
from deployx_edge.measurement.comparisons import RepeatedRuns
from deployx_edge.measurement.values import BenchPlan, BenchResult, RunOptions, WorkerLimits
from deployx_edge.workflows.boards.left_nodes import check_run
from deployx_edge.workflows.boards.session import Session


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A bundle and how it is to be run.

    ``baseline``: another one is run against it. ``notes``: what is to be told of its figures.
    ``is_told_by_outputs``: whether what it computes says how far it is from its source.
    """

    bundle: Bundle
    options: RunOptions
    baseline: bool = False
    notes: tuple[str, ...] = ()
    is_told_by_outputs: bool = True


# What looks at a loaded candidate (its model's id) behind the runs that count.
Look = Callable[[Session, Candidate, str], None]


@dataclass(frozen=True, kw_only=True)
class BenchJob:
    """What is benched, how, and on which terms: ``wait`` where another run has the board,
    ``force`` where the model took the board down before.

    One ``bundle`` with each of ``options``, or ``candidates``, which run in turn where they differ
    in nothing but runtime and precision. ``against`` is a bundle that runs in turn with the first.
    Rounds are added as long as they may
    tell which is fastest. ``earlier`` are the results that these are compared with. With
    ``max_slowdown``, a share, rounds are added until it is told whether that is passed. ``link``:
    whether to measure what the link costs; ``verify``: whether what lies on the board is hashed.
    ``look`` is called once for each candidate and board.
    """

    bundle: Bundle | None = None
    options: Sequence[RunOptions] = (RunOptions(),)
    candidates: Sequence[Candidate] = ()
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
    look: Look | None = None

    def __post_init__(self) -> None:
        if (self.bundle is None) == (not self.candidates):
            raise UsageError("A bench has either one bundle or candidates.")
        if self.batch > 1 and self.plan.feed_back:
            raise UsageError(
                "A model whose outputs are fed back runs step after step, one sample in each.",
                remedy="Leave --batch out, or --feed-back.",
            )
        for each in (each for group in self.groups for each in group):
            bundle = each.bundle
            check_feed_back(self.plan.feed_back, bundle.inputs, bundle.outputs)
            plan = self.plan
            steps = plan.warmup + plan.iterations if plan.iterations else None
            check_growth(plan.feed_back, bundle.inputs, bundle.outputs, steps)
            check_run(bundle, each.options.named)

    @property
    def groups(self) -> tuple[tuple[Candidate, ...], ...]:
        """What runs in turn, group by group."""
        if self.bundle is None:
            found: dict[RunOptions, list[Candidate]] = {}
            for each in self.candidates:
                found.setdefault(replace(each.options, precision="fp32"), []).append(each)
            return tuple(tuple(group) for group in found.values())
        sides = [(self.bundle, False), *([(self.against, True)] if self.against else [])]
        return tuple(
            tuple(Candidate(bundle=b, options=each, baseline=old) for b, old in sides)
            for each in self.options
        )

    @property
    def bundles(self) -> tuple[Bundle, ...]:
        """Every bundle of the job, once."""
        every = {each.bundle.folder: each.bundle for group in self.groups for each in group}
        return tuple(every.values())

    @property
    def name(self) -> str:
        """The model's."""
        return self.bundles[0].name

    @property
    def is_table(self) -> bool:
        """Whether candidates are to be told apart."""
        return bool(self.candidates)


@dataclass(frozen=True, kw_only=True)
class BenchFailure:
    """A run that could not be: the others go on."""

    device: Device
    runtime: str
    options: RunOptions
    error: DeployxError


@dataclass(frozen=True, kw_only=True)
class Turns:
    """What came of a group of candidates. ``lost``: the board went under the last failure, and
    the others have to be measured again."""

    results: tuple[BenchResult, ...]
    failures: tuple[tuple[Candidate, DeployxError], ...]
    lost: bool
