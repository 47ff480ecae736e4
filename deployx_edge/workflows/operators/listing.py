"""What operators of our own there are, which builds have them, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from deployx_edge.crossbuild.device_code import PACKAGE, PROGRAM, assemblers
from deployx_edge.crossbuild.finished import Build
from deployx_edge.errors import BuildError, ConfigError, DeployxError
from deployx_edge.graph.references import find_reference
from deployx_edge.operator_facts import all_operators, shown
from deployx_edge.operator_file import OperatorFacts
from deployx_edge.operator_runtimes import device_runtimes
from deployx_edge.target import targets
from deployx_edge.worker_facts import worker_facts, worker_names
from deployx_edge.workflows.boards.doctor import Check
from deployx_edge.workflows.build.built import listed
from deployx_edge.workflows.operators.tested import Tested, last_results
from deployx_edge.workflows.operators.testing import cases_of

_FASTER_START = "A board translates PTX when a model is loaded first; to spare it that"


@dataclass(frozen=True, kw_only=True)
class OperatorRow:
    """An operator: its ``names`` in models, and for each of its ``runtimes`` the targets whose
    build has it (``built``); ``cases`` is how many its tests hold, ``tested`` what ``op test``
    found last, for whoever works here."""

    name: str
    names: tuple[str, ...]
    runtimes: tuple[str, ...]
    built: tuple[tuple[str, tuple[str, ...]], ...]
    cases: int
    source: str
    tested: tuple[Tested, ...]


def list_rows() -> tuple[OperatorRow, ...]:
    """Every operator; BuildError where a folder is broken."""
    builds = _builds()
    return tuple(
        OperatorRow(
            name=facts.name,
            names=facts.titles,
            runtimes=facts.runtimes,
            built=tuple(
                (
                    runtime,
                    tuple(b.target_id for b in builds if facts.name in _operators(b, runtime)),
                )
                for runtime in facts.runtimes
            ),
            cases=len(cases_of(facts)),
            source=facts.source,
            tested=last_results(facts),
        )
        for facts in all_operators().values()
    )


def examine_operators() -> tuple[Check, ...]:
    """Whether each folder is whole, and whether each build has what the folders hold."""
    try:
        known = all_operators()
    except (BuildError, ConfigError) as error:
        return (_check("operators", "", error.message, remedy=error.remedy),)
    return (*(_folder(facts) for facts in known.values()), *_device_code(), *_missing())


def _folder(facts: OperatorFacts) -> Check:
    try:
        count = len(cases_of(facts))
        has_reference = find_reference(facts) is not None
    except DeployxError as error:
        return _check(facts.name, "", error.message, remedy=error.remedy)
    if facts.names[0][0] and not has_reference:
        missing = f"{shown(facts)} has no reference.py, so that nobody knows what is right"
        return _check(facts.name, "", missing, remedy="docs/adding-an-op.md shows how it is.")
    kernels = ", ".join(facts.runtimes) or "no kernel"
    return _check(facts.name, f"{facts.title}: {kernels}, {count} cases")


def _device_code() -> Iterator[Check]:
    """What a build makes of kernels for GPUs; nothing is refused without an assembler."""
    runtimes = set(device_runtimes())
    count = sum(bool(runtimes.intersection(f.runtimes)) for f in all_operators().values())
    versions = ", ".join(f"{PROGRAM} of CUDA {each.version}" for each in assemblers())
    if count:
        text = f"{count}, as PTX and by {versions}" if versions else f"{count}, as PTX alone"
        remedy = "" if versions else f"{_FASTER_START}: pip install {PACKAGE}"
        yield replace(_check("kernels for GPUs", text, group="build"), remedy=remedy)


def _missing() -> Iterator[Check]:
    for build in _builds():
        # A build may do without workers that are compiled with what we cannot bring.
        bringing = {n for n in worker_names() if worker_facts(n).is_optional_for(build.target_id)}
        optional = bringing - set(build.runtimes)
        for runtime in targets()[build.target_id].runtimes:
            if runtime in optional:
                continue
            wanted = {f.name for f in all_operators().values() if _is_within(f, runtime)}
            lacking = sorted(wanted - set(_operators(build, runtime)))
            command = f"deployx-edge build --target {build.target_id}"
            if lacking:
                text = f"its worker for {runtime} lacks {', '.join(lacking)}"
                yield _check(build.target_id, "", text, remedy=command, group="build")
            elif wanted:
                text = f"its worker for {runtime} has all {len(wanted)}"
                yield _check(build.target_id, text, group="build")


def _is_within(facts: OperatorFacts, runtime: str) -> bool:
    """Whether the runtime's worker is built with it; a library of operators holds kernels for GPUs,
    too, for tests on the processor."""
    runtimes = {runtime}
    if worker_facts(runtime).operator_library:
        runtimes.update(device_runtimes())
    return bool(runtimes.intersection(facts.runtimes))


def _check(
    name: str, found: str, missing: str = "", *, remedy: str = "", group: str = "operator"
) -> Check:
    return Check(
        group=group,
        name=name,
        present=not missing,
        needed=True,
        found=found or missing,
        remedy=remedy,
    )


def _builds() -> list[Build]:
    """What lies in ``dist/``."""
    found = (listed(target) for target in targets().values())
    return [build for build in found if build is not None]


def _operators(build: Build, runtime: str) -> tuple[str, ...]:
    return next(
        (f.operators for f in build.files if f.role == "worker" and f.runtime == runtime), ()
    )
