"""Every runtime of an operator beside its reference, on this computer and on boards."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from deployx_edge.errors import DeployxError, MissingToolError, UsageError
from deployx_edge.graph.built_kernels import refuse_stale
from deployx_edge.graph.device_kernels import run_device_kernels
from deployx_edge.graph.onnx_runtime import PACKAGE, open_model, refusal
from deployx_edge.graph.references import find_reference, load_file, run_reference
from deployx_edge.operator_facts import all_operators, operator_named
from deployx_edge.operator_file import OperatorFacts
from deployx_edge.operator_runtimes import device_runtimes
from deployx_edge.progress import Progress, Stage, silent
from deployx_edge.runtime import ONNX_ROLE
from deployx_edge.runtimes.runner import open_converted
from deployx_edge.runtimes.runner_process import runs_at_most
from deployx_edge.workflows.boards.devices import chosen_devices
from deployx_edge.workflows.boards.session import Session, open_session
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from deployx_edge.workflows.convert.conversion import read_converted
from deployx_edge.workflows.operators.cases import BuiltCase, Case, build_cases, fill
from deployx_edge.workflows.operators.tested import keep_outcomes

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    from deployx_edge.bundle import Bundle

    Arrays = Mapping[str, NDArray[Any]]

HERE = "this computer"
# Where kernels for GPUs are computed here, by a compiler's other output of the same file.
NO_GPU = "this computer, without a GPU"
_TESTS = "test_*.py"
_LONGEST_RUN = 120.0  # seconds of all cases of an operator here; a kernel that takes more hangs
# Of a model with all cases, after one that warms up: as many as fit into the time.
_TIMED_RUNS = 9
_TIMED_NS = 200_000_000


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a case in a runtime at a place.

    ``verdict``: "right", "wrong" (``error``, as a share of the output's largest value, is then more
    than its ``tolerance``) or "failed"; ``detail`` says why. ``mean_ns``: on a board, what a case
    took on average of those in one model with it, in nanoseconds, by the median of several runs
    timed there; None elsewhere. ``emulated`` says that this is no speed of such a board.
    """

    operator: str
    case: str
    runtime: str
    place: str
    verdict: str
    detail: str
    error: float | None
    mean_ns: float | None = None
    emulated: bool = False


def cases_of(facts: OperatorFacts) -> tuple[Case, ...]:
    """The cases that the operator's own tests list (``CASES``); UsageError where there are none."""
    found: list[Case] = []
    for path in sorted(facts.folder.glob(_TESTS)):
        listed = getattr(load_file(path), "CASES", ())
        if not isinstance(listed, (tuple, list)) or not all(isinstance(c, Case) for c in listed):
            raise UsageError(
                f"CASES of {path} is not a tuple of Case(…) alone.",
                remedy="docs/adding-an-op.md shows how they are written.",
            )
        found += listed
    if not found:
        raise UsageError(
            f"The operator {facts.name} has no tests: no {_TESTS} in {facts.folder} lists CASES.",
            remedy="docs/adding-an-op.md shows how they are written.",
        )
    return tuple(found)


def check_operators(
    names: Sequence[str], device: str | None, progress: Progress = silent
) -> tuple[Outcome, ...]:
    """These operators, or all, on this computer and, where some are named, on boards."""
    chosen = [operator_named(name) for name in names] or list(all_operators().values())
    for runtime in sorted({each for facts in chosen for each in facts.runtimes}):
        # What is not built is said before any is tested.
        having = [facts.name for facts in chosen if runtime in facts.runtimes]
        refuse_stale(PACKAGE if runtime in device_runtimes() else runtime, having)
    # A board that has no runtime for one of them is told before this computer takes its time.
    on_boards: list[Outcome] = []
    for board in chosen_devices(device, everyone=False) if device is not None else ():
        with open_session(board, purpose="op test", progress=progress) as session:
            able = {facts.name: _able(facts, session, required=bool(names)) for facts in chosen}
            for facts in chosen:
                progress(Stage(text=f"Testing {facts.name} on {board.name}"))
                on_boards += _checked(replace(facts, runtimes=able[facts.name]), session)
    here: list[Outcome] = []
    for facts in chosen:
        progress(Stage(text=f"Testing {facts.name} on {HERE}"))
        here += _checked(facts)
    return (*here, *on_boards)


def _checked(facts: OperatorFacts, session: Session | None = None) -> tuple[Outcome, ...]:
    """The same as ``check_operator``, and kept for ``op list``."""
    outcomes = check_operator(facts, session=session)
    keep_outcomes(facts, outcomes)
    return outcomes


def _able(facts: OperatorFacts, session: Session, *, required: bool) -> tuple[str, ...]:
    """The runtimes that the board has of the operator's; UsageError for none where it must."""
    there = session.build.runtimes
    able = tuple(each for each in facts.runtimes if each in there)
    if required and not able:
        raise UsageError(
            f"The operator {facts.name} has kernels for {', '.join(facts.runtimes) or 'nothing'}, "
            f"boards of {session.target.id} have {', '.join(there)}.",
            remedy="Name another board, or write a kernel for what it has.",
        )
    return able


def check_operator(
    facts: OperatorFacts,
    *,
    session: Session | None = None,
    cases: Sequence[Case] = (),
    progress: Callable[[Outcome], None] = lambda outcome: None,
) -> tuple[Outcome, ...]:
    """Hold each runtime's results for each case against the reference's.

    On the board of ``session`` where there is one, else on this computer. What goes wrong is an
    outcome, not an error. Cases run together in one model; where that does not run, each alone.
    """
    chosen = cases or cases_of(facts)
    outcomes: list[Outcome] = []
    for runtime in facts.runtimes:
        for opset in dict.fromkeys(case.opset for case in chosen):
            alike = [case for case in chosen if case.opset == opset]
            run = _Run(facts=facts, runtime=runtime, session=session)
            for outcome in run.check(alike):
                progress(outcome)
                outcomes.append(outcome)
    return tuple(outcomes)


@dataclass(frozen=True, kw_only=True)
class _Run:
    """Cases of one operator in one runtime at one place."""

    facts: OperatorFacts
    runtime: str
    session: Session | None

    @property
    def place(self) -> str:
        if self.session is not None:
            return self.session.device.name
        return NO_GPU if self.runtime in device_runtimes() else HERE

    def check(self, cases: Sequence[Case]) -> Iterator[Outcome]:
        try:
            yield from self._together(cases)
        except MissingToolError:  # of no case, but of this computer
            raise
        except DeployxError as error:
            if len(cases) == 1:
                yield self._outcome(cases[0], "failed", str(error))
                return
            for case in cases:
                yield from self.check([case])

    def _together(self, cases: Sequence[Case]) -> list[Outcome]:
        import onnx

        model, built = build_cases(self.facts, cases)
        wanted = _reference_outputs(self.facts, model, built)
        with tempfile.TemporaryDirectory(prefix="deployx-edge-operator-") as name:
            path = Path(name) / "cases.onnx"
            onnx.save(model, path)
            options = BundleOptions(runtime=self.runtime, verify=False)
            bundle = make_bundle(path, Path(name) / "bundle", options)
            fed = {key: array for part in built for key, array in part.fed.items()}
            found, median_ns = _run(bundle, fed, self.session)
        outcomes = [
            self._judge(part.case, right, [found[output] for output in part.outputs])
            for part, right in zip(built, wanted, strict=True)
        ]
        if self.session is None or median_ns is None:
            return outcomes
        mean, emulated = median_ns / len(built), self.session.identity_for(bundle).board.emulated
        return [replace(each, mean_ns=mean, emulated=emulated) for each in outcomes]

    def _judge(
        self, case: Case, wanted: Sequence[NDArray[Any]], found: Sequence[NDArray[Any]]
    ) -> Outcome:
        error, detail = _difference(wanted, found)
        verdict = "right" if error <= case.tolerance and not detail else "wrong"
        if verdict == "wrong":
            detail = detail or f"off by {error:.1e} of the largest value"
        return self._outcome(case, verdict, detail, error)

    def _outcome(
        self, case: Case, verdict: str, detail: str, error: float | None = None
    ) -> Outcome:
        return Outcome(
            operator=self.facts.name,
            case=case.name,
            runtime=self.runtime,
            place=self.place,
            verdict=verdict,
            detail=detail,
            error=error,
        )


def _reference_outputs(
    facts: OperatorFacts, model: onnx.ModelProto, built: Sequence[BuiltCase]
) -> list[list[NDArray[Any]]]:
    """What the definition gives: ``reference.py`` where it has a function of that name, else ONNX
    Runtime."""
    import numpy as np

    function = find_reference(facts)
    if function is not None:
        results = [
            run_reference(facts, function, part.values, part.case.attributes) for part in built
        ]
        return [
            [
                fill(np.asarray(array, dtype=np.float32), part.case.filled)
                for array in each[: len(part.outputs)]  # nodes may leave the last ones out
            ]
            for part, each in zip(built, results, strict=True)
        ]
    fed = {key: array for part in built for key, array in part.fed.items()}
    try:
        session = open_model(model.SerializeToString())
        names = [name for part in built for name in part.outputs]
        arrays = dict(zip(names, session.run(names, fed), strict=True))
    except Exception as error:  # its exceptions share no other base
        raise refusal(f"a case of {facts.name}", error) from error
    return [[arrays[name] for name in part.outputs] for part in built]


def _run(bundle: Bundle, fed: Arrays, session: Session | None) -> tuple[Arrays, float | None]:
    """The outputs, and on a board what a run took there, in nanoseconds (the median of several)."""
    if session is None and bundle.runtime in device_runtimes():
        return run_device_kernels(bundle.path(ONNX_ROLE), bundle.operators, fed), None
    if session is None:
        with open_converted(read_converted(bundle)) as opened, runs_at_most(_LONGEST_RUN):
            return opened.run(fed), None
    with session.loaded(bundle) as model:
        found = model(fed)
        taken: list[int] = []
        while len(taken) < _TIMED_RUNS and sum(taken) < _TIMED_NS:
            model(fed)
            taken.append(sum(model.compute_ns))
    return found, median(taken)


def _difference(wanted: Sequence[NDArray[Any]], found: Sequence[NDArray[Any]]) -> tuple[float, str]:
    """The largest error as a share of its output's largest value, and what else is wrong."""
    import numpy as np

    worst = 0.0
    for index, (first, second) in enumerate(zip(wanted, found, strict=True)):
        if first.size != second.size:
            return math.inf, f"output {index} is {second.shape} instead of {first.shape}"
        values = second.reshape(first.shape)
        finite = np.isfinite(first)
        same = np.array_equal(first[~finite], values[~finite], equal_nan=True)
        if not same or not np.isfinite(values[finite]).all():
            return math.inf, f"output {index} is not finite in other places"
        error = np.abs(values[finite] - first[finite]).max(initial=0.0)
        worst = max(worst, float(error / max(np.abs(first[finite]).max(initial=0.0), 1e-6)))
    return worst, ""
