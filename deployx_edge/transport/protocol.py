"""What every link to a board can do. Nothing here knows of models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol

from deployx_edge.process import Completed


class Channel(Protocol):
    """One program on the board with its standard input and output, in bytes.

    One thread may write while another reads. ``close`` may be called from any thread
    and wakes both.
    """

    def write(self, data: bytes | memoryview) -> None:
        """Send all of ``data``; LinkLostError when the other end is gone or takes nothing."""

    def close_input(self) -> None:
        """Tell the program that no more input comes."""

    def read(self, limit: int, timeout: float | None = None) -> bytes:
        """At most ``limit`` bytes, at least one; empty at the end of the output.

        LinkLostError when the link breaks, or when ``timeout`` seconds pass without a
        byte. Without ``timeout`` a silent program may be silent for ever; a dead link
        is noticed all the same.
        """

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, 128 + N where signal N ended the program.

        LinkLostError when ``timeout`` seconds pass without one.
        """

    def error_tail(self) -> str:
        """The last lines of the program's standard error so far."""

    def close(self) -> None:
        """End the program if it still runs and free the channel. May be called twice.

        The program sees the end of its input and has a second to tidy up; then it is
        killed.
        """


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
        """Words before a target's own binary that make it run there; mostly empty.

        ``run`` and ``stream`` never add them: the caller knows which program is the
        target's.
        """

    @property
    def work_folder(self) -> str:
        """The absolute path on the board under which everything of ours lies."""

    @property
    def lease_folder(self) -> str:
        """The absolute path on the board where its runs, of whoever, take their turns.

        It is never made. Where the board's agent cannot trust it, it takes ``lease`` of the work
        folder, and says so.
        """

    def boot_id(self) -> str:
        """What tells one start of the board from another; empty where it does not say."""

    def machine(self) -> str:
        """What ``uname -m`` answers on the board, e.g. ``aarch64``."""

    def system(self) -> str:
        """``android`` where the board has Android's ``getprop``, else ``linux``."""

    def run(
        self, argv: Sequence[str], *, input: bytes = b"", timeout: float | None = 60.0
    ) -> Completed:
        """Run one program of the board to its end; any exit code is returned.

        A program that is not there is exit code 127. LinkLostError when ``timeout``
        seconds pass; the program is then ended.
        """

    def stream(self, argv: Sequence[str]) -> Channel:
        """Start one program and talk to it."""

    def put_program(
        self, local: Path, name: str, *, fresh: bool = False, on_replaced: Callable[[], None] = ...
    ) -> str:
        """Place a program as ``bin/NAME`` of the work folder; its path on the board.

        Where a file of that name lies there that is the same by its hash, nothing is sent, unless
        ``fresh``; another one is replaced, and ``on_replaced`` is told. The program must end when
        it is called with ``--version``, and answer ``--self-check SHA256`` as the agent does,
        which boards without ``sha256sum`` ask. DeviceStorageError where the folder cannot be
        written, does not let programs run, or could be changed by another user.
        """

    def find_program(self, name: str, sha256: str) -> str | None:
        """The path of ``bin/NAME`` where it lies there and is what ``sha256`` says."""

    def pull(self, remote: str, local: Path) -> None:
        """Copy one file from the board; ``local`` appears whole or not at all."""

    def forward(self, remote_port: int) -> int:
        """A port on this computer's loopback that leads to the board's loopback port.

        A server must listen there already: TransportError where the board refuses.
        """

    def close(self) -> None:
        """End everything this link started. May be called twice."""

    def __enter__(self) -> Transport: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
