"""Devices: where a board is and how long to wait for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class LinkOptions:
    """How a link is opened and when it counts as dead. All times are in seconds.

    ``connect_seconds`` bounds each step of connecting; ``silence_seconds`` is how long
    the other end may send nothing at all, not even an answer to a sign of life;
    ``answer_seconds`` how long a living board may take to accept data or give an
    awaited answer (a slow disk that flushes). ``ssh_config`` stands in for
    ``~/.ssh/config``. ``lease_folder`` is the absolute path on the board where all its runs take
    their turns, or None for the link's default.
    """

    connect_seconds: float = 15.0
    silence_seconds: float = 20.0
    answer_seconds: float = 120.0
    ssh_config: Path | None = None
    lease_folder: str | None = None

    @property
    def lost_seconds(self) -> float:
        """When an agent that answers no heartbeat counts as lost: a heartbeat is a sign of life
        and an answer."""
        return min(self.silence_seconds, self.answer_seconds)


@dataclass(frozen=True, kw_only=True)
class Device:
    """A board by name.

    ``uri`` is what ``open_transport`` takes; ``target`` the target id, or None where the
    board is asked; ``work_folder`` the absolute path on the board for all that is ours,
    or None for the link's default; ``keep_mib`` how much of it may stay there, in MiB: what
    was used longest ago goes first.
    """

    name: str
    uri: str
    target: str | None = None
    work_folder: str | None = None
    keep_mib: int = 4096
    options: LinkOptions = field(default_factory=LinkOptions)
