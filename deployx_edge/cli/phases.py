"""Where the time of a command goes: its phases with their seconds, for ``--debug``."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

_AT = time.monotonic()
_marks: list[tuple[float, str]] = []


def mark(text: str) -> None:
    """A phase begins, and the one before it ends."""
    _marks.append((time.monotonic(), text))


def phase_lines() -> list[str]:
    """Each phase since the process was started, in order, with its seconds."""
    start = time.monotonic() - _age()
    marks = [(start, "Starting Python"), *_marks, (time.monotonic(), "")]
    spans = [(end - at, text) for (at, text), (end, _) in pairwise(marks)]
    whole = sum(seconds for seconds, _ in spans)
    return ["Phases in seconds:", *(f"{s:9.3f}  {text}" for s, text in [*spans, (whole, "in all")])]


def _age() -> float:
    """Of this process; where the system does not say, since this module was imported."""
    with suppress(OSError, ValueError, IndexError, AttributeError):
        # proc(5): the 22nd field, in ticks since the board was started, the name aside.
        ticks = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
        started = int(ticks) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started
    return time.monotonic() - _AT
