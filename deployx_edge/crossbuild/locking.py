"""One build at a time where two would write the same files."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deployx_edge.crossbuild.events import OnEvent, StepStarted


@contextmanager
def exclusive(path: Path, on_event: OnEvent) -> Iterator[None]:
    """Hold the lock file ``path``; waits for whoever holds it, and says so.

    The kernel frees it when its holder ends, however that ends.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_event(StepStarted(text="Waiting for another build on this computer"))
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
