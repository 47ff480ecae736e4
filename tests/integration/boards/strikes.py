"""Something happens to a board while it is measured."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from deployx_edge.progress import Runs

_PATIENCE_SECONDS = 60.0


class Flow:
    """Passed as ``progress``: knows when timed runs flow."""

    def __init__(self) -> None:
        self.flowing = threading.Event()

    def __call__(self, event: Any) -> None:
        if isinstance(event, Runs):
            self.flowing.set()


@contextmanager
def during_runs(act: Callable[[], object], flow: Flow | None = None) -> Iterator[Flow]:
    """Calls ``act`` from another thread once runs flow; the block waits for its end."""
    flow = flow or Flow()

    def strike() -> None:
        assert flow.flowing.wait(_PATIENCE_SECONDS)
        act()

    thread = threading.Thread(target=strike)
    thread.start()
    try:
        yield flow
    finally:
        thread.join()
