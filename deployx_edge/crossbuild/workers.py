"""The parts of a build and the files that it ends with, by what the workers say of themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from deployx_edge.crossbuild.brought import BroughtPart
from deployx_edge.target import Target
from deployx_edge.worker_facts import worker_facts, worker_names

AGENT = "agent"
"""The part of a build that is not a worker."""


@dataclass(frozen=True, kw_only=True)
class BuiltName:
    """A file of a finished build: ``role`` and ``runtime`` as ``BuiltFile`` has them."""

    name: str
    role: str
    runtime: str


def worker_part(runtime: str) -> str:
    """The part of a build that is that runtime's worker, as ``conanfile.py`` names it, too."""
    return f"worker_{runtime}"


def all_parts() -> tuple[str, ...]:
    """Every part that some target's build may have."""
    return (AGENT, *(worker_part(name) for name in worker_names()))


def built_names(
    target: Target, runtimes: Iterable[str], parts: Iterable[BroughtPart] = ()
) -> tuple[BuiltName, ...]:
    """Every file that a finished build of the target with these runtimes' workers has, the agent
    first. ``parts`` are what comes of what a user brings."""
    brought = {part.runtime: [path.name for path in part.all_libraries] for part in parts}
    names = [BuiltName(name="dx-agent", role="agent", runtime="")]
    for runtime in runtimes:
        names.append(BuiltName(name=f"dx-worker-{runtime}", role="worker", runtime=runtime))
        facts = worker_facts(runtime)
        made = [facts.operator_library] if facts.operator_library else []
        packed = () if facts.archives_for(target.id) else facts.libraries_on(target.machines[0])
        names += [
            BuiltName(name=library, role="library", runtime=runtime)
            for library in (*packed, *made, *brought.get(runtime, ()))
        ]
    return tuple(names)


def package_names(runtime: str) -> tuple[str, ...]:
    """The packages that the runtime's worker is compiled with, without their versions."""
    return tuple(package.partition("/")[0] for package in worker_facts(runtime).packages)


def other_processor(name: BuiltName) -> str:
    """The ELF machine of a library that another processor of the board loads, else ""."""
    return worker_facts(name.runtime).other_processor(name.name) if name.runtime else ""
