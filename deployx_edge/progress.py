"""What a story tells while it goes on. Whoever shows it decides how.

Each event has a ``text`` that says it in a few words, as a build's own events have.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deployx_edge.units import duration, size

_BAR_WIDTH = 24


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A new step begins, e.g. "Loading on the board"; after one that is ``over`` none comes."""

    text: str
    over: bool = False


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A step begins that is too short for a line of its own; for whoever counts seconds."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """Bytes on their way to the board, ``seconds`` after the first of them."""

    sent_bytes: int
    total_bytes: int
    seconds: float

    @property
    def text(self) -> str:
        """A bar with the amount and the rate."""
        share = self.sent_bytes / self.total_bytes if self.total_bytes else 1.0
        filled = round(_BAR_WIDTH * share)
        rate = f", {size(self.sent_bytes / self.seconds)}/s" if self.seconds > 0 else ""
        bar = "█" * filled + "░" * (_BAR_WIDTH - filled)
        return f"{bar} {size(self.sent_bytes)} of {size(self.total_bytes)}{rate}"


@dataclass(frozen=True, kw_only=True)
class Runs:
    """Timed runs so far; ``expected`` is None where a duration was asked for."""

    done: int
    expected: int | None
    last_ns: int

    @property
    def text(self) -> str:
        """How many of how many, and how long the last one took."""
        whole = f" of {self.expected}" if self.expected else ""
        return f"{self.done}{whole} runs, last {duration(self.last_ns)}"


@dataclass(frozen=True, kw_only=True)
class Share:
    """How much of the step is done, in whatever it is counted in; ``of`` says what that is."""

    done: int
    total: int
    of: str = ""

    @property
    def text(self) -> str:
        """A bar, the share, and what was counted where that has a name."""
        share = min(self.done / self.total, 1.0) if self.total else 1.0
        filled = round(_BAR_WIDTH * share)
        counted = f" ({self.done} of {self.total} {self.of})" if self.of else ""
        return f"{'█' * filled}{'░' * (_BAR_WIDTH - filled)} {share:.0%}{counted}"


@dataclass(frozen=True, kw_only=True)
class Preparing:
    """A board makes a file of the model, as some runtimes do before they load it; ``fraction`` is
    None where the runtime does not tell how much is done, ``doing`` says what it does now."""

    model: str
    fraction: float | None
    doing: str

    @property
    def text(self) -> str:
        """A bar where there is a share, and what is being done."""
        doing = self.doing or f"Preparing {self.model} on the board"
        if self.fraction is None:
            return doing
        filled = round(_BAR_WIDTH * self.fraction)
        return f"{'█' * filled}{'░' * (_BAR_WIDTH - filled)} {self.fraction:.0%}, {doing}"


# Builds tell their own events (crossbuild's) through the same callable.
Progress = Callable[[Any], None]


def silent(event: Any) -> None:
    """Tells nobody."""
