"""What there is of each runtime: on this computer, in builds, and what was seen to work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deployx_edge.progress import Progress, silent
from deployx_edge.runtime import RUNTIMES, RuntimeFacts, find_runtime
from deployx_edge.runtimes import load_runtime
from deployx_edge.runtimes.setup import Need
from deployx_edge.seen import Seen, seen_of
from deployx_edge.target import targets


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
            needs=tuple(load_runtime(row.name).setup().needs()),
            targets=tuple(id for id, target in targets().items() if row.name in target.runtimes),
            seen=seen_of(row.name),
        )
        for row in rows
    ]


def install_runtime(name: str, *, progress: Progress = silent) -> str:
    """Install what a runtime needs here; a sentence on what came of it.

    UsageError with the pip command for one that lies in deployx-edge's own environment.
    """
    return load_runtime(find_runtime(name).name).setup().install(progress)
