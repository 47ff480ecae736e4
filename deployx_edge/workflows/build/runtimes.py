"""What there is of each runtime: on this computer, in builds, and what was seen to work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deployx_edge.crossbuild.brought import brought_parts
from deployx_edge.errors import DeployxError
from deployx_edge.progress import Progress, silent
from deployx_edge.runtime import RUNTIMES, RuntimeFacts, find_runtime
from deployx_edge.runtimes import load_runtime
from deployx_edge.runtimes.setup import Need
from deployx_edge.seen import Seen, seen_of
from deployx_edge.target import Target, targets
from deployx_edge.worker_facts import worker_facts, worker_names


@dataclass(frozen=True, kw_only=True)
class RuntimeState:
    """A runtime, what it ``needs`` here, the ids of the ``targets`` whose boards run it, and how
    far it was tried."""

    facts: RuntimeFacts
    needs: tuple[Need, ...]
    targets: tuple[str, ...]
    seen: tuple[Seen, ...]

    @property
    def is_ready(self) -> bool:
        """Whether this computer has all that it needs."""
        return all(need.present for need in self.needs)


def runtime_states(names: Sequence[str] = ()) -> list[RuntimeState]:
    """The runtimes of these names, or all; UsageError for a name that there is not."""
    rows = [find_runtime(name) for name in names] or list(RUNTIMES.values())
    return [
        RuntimeState(
            facts=row,
            needs=(*load_runtime(row.name).setup().needs(), *_archives(row.name)),
            targets=tuple(id for id, target in targets().items() if row.name in target.runtimes),
            seen=seen_of(row.name),
        )
        for row in rows
    ]


def _archives(runtime: str) -> list[Need]:
    """What a user brings for builds; nothing on this computer is refused without it."""
    if runtime not in worker_names():
        return []
    facts = worker_facts(runtime)
    return [_brought(runtime, each) for each in targets().values() if facts.archives_for(each.id)]


def _brought(runtime: str, target: Target) -> Need:
    name = f"archives for {target.id}"
    try:
        parts = brought_parts(target, is_bionic=True, asked=(runtime,))
    except DeployxError:
        # The command says which are wanted, in which versions.
        return Need(
            name=name,
            present=True,
            found="not complete; its builds have no worker",
            remedy=f"deployx-edge build --target {target.id} --runtime {runtime}",
        )
    versions = next(part.versions for part in parts if part.runtime == runtime)
    return Need(name=name, present=True, found=", ".join(f"{n} {said}" for n, said in versions))


def install_runtime(name: str, *, progress: Progress = silent) -> str:
    """Install what a runtime needs here; a sentence on what came of it.

    UsageError with the pip command for one that lies in deployx-edge's own environment.
    """
    return load_runtime(find_runtime(name).name).setup().install(progress)
