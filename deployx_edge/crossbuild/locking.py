"""One build at a time where two would write the same files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deployx_edge.crossbuild.events import OnEvent, StepStarted
from deployx_edge.files import hold_lock


@contextmanager
def exclusive(path: Path, on_event: OnEvent) -> Iterator[None]:
    """Hold the lock file ``path``; waits for whoever holds it, and says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    waiting = StepStarted(text="Waiting for another build on this computer")
    with hold_lock(path, lambda: on_event(waiting)):
        yield
