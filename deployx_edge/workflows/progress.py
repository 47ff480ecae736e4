"""What a story tells while it goes on. Whoever shows it decides how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A new step begins, e.g. "Loading on the board"."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """Bytes on their way to the board."""

    sent_bytes: int
    total_bytes: int


@dataclass(frozen=True, kw_only=True)
class Runs:
    """Timed runs so far; ``expected`` is None where a duration was asked for."""

    done: int
    expected: int | None
    last_ns: int


# Builds tell their own events (crossbuild's) through the same callable.
Progress = Callable[[Any], None]


def silent(event: Any) -> None:
    """Tells nobody."""
