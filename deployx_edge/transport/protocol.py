"""What every link to a board can do. Nothing here knows of models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol

from deployx_edge.process import Completed


class Channel(Protocol):
    """One program on the board with its standard input and output, in bytes."""

    def write(self, data: bytes | memoryview) -> None:
        """Send all of ``data``; LinkLostError when the other end is gone."""

    def close_input(self) -> None:
        """Tell the program that no more input comes."""

    def read(self, limit: int) -> bytes:
        """At most ``limit`` bytes, at least one; empty at the end of the output."""

    def wait(self, timeout: float | None = None) -> int:
        """The exit code; LinkLostError when ``timeout`` seconds pass without one."""

    def error_tail(self) -> str:
        """The last lines of the program's standard error so far."""

    def close(self) -> None:
        """End the program if it still runs and free the channel. May be called twice."""


class Transport(Protocol):
    """A link to one board."""

    @property
    def uri(self) -> str:
        """The address that opened this link, e.g. ``ssh:pi@192.0.2.7``."""

    @property
    def emulated(self) -> bool:
        """Whether programs run under an emulator on this computer."""

    @property
    def launcher(self) -> tuple[str, ...]:
        """Words before a target's own binary that make it run there; mostly empty."""

    @property
    def work_folder(self) -> str:
        """The absolute path on the board under which everything of ours lies."""

    def run(
        self, argv: Sequence[str], *, input: bytes = b"", timeout: float | None = 60.0
    ) -> Completed:
        """Run one program of the board to its end; any exit code is returned."""

    def stream(self, argv: Sequence[str]) -> Channel:
        """Start one program and talk to it."""

    def pull(self, remote: str, local: Path) -> None:
        """Copy one file from the board; ``local`` appears whole or not at all."""

    def forward(self, remote_port: int) -> int:
        """A port on this computer's loopback that leads to the board's loopback port."""

    def close(self) -> None:
        """End everything this link started. May be called twice."""

    def __enter__(self) -> Transport: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
