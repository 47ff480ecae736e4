"""What links to a board with a POSIX shell have in common: files, programs, answers.

On the board it needs a POSIX shell with ``cat``, ``mkdir``, ``mv``, ``chmod``, ``wc`` and
``uname`` (busybox and Android's toybox have them), neither SFTP nor ``sha256sum``.
"""

from __future__ import annotations

import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from deployx_edge.device import LinkOptions
from deployx_edge.errors import DeviceStorageError, TransportError, UsageError
from deployx_edge.process import Completed
from deployx_edge.scratch import beside
from deployx_edge.transport.forwarding import ForwardedPort
from deployx_edge.transport.hashing import file_sha256
from deployx_edge.transport.output import CollectingChannel, answer_text, run_on_channel
from deployx_edge.transport.programs import Program, ProgramFolder

_CHUNK_BYTES = 1 << 20
_MARK = "deployx-board"

_ASK_BOARD = f"""
system=$(uname -s); ! command -v getprop > /dev/null 2>&1 || system=Android
boot=$(cat /proc/sys/kernel/random/boot_id 2> /dev/null)
printf "%s\\n" "{_MARK} $(uname -m)" "{_MARK} $system" "{_MARK} $HOME" "{_MARK} $boot"
"""


@dataclass(frozen=True, kw_only=True)
class _Board:
    machine: str
    system: str
    home: str
    boot_id: str


def _nobody() -> None:
    """Nobody wants to know."""


class ShellTransport(ABC):
    """A link that runs shell commands; the rest of ``Transport`` is made of them."""

    def __init__(self, uri: str, work_folder: str, options: LinkOptions) -> None:
        if not work_folder.startswith(("/", "~/")):
            raise UsageError(
                f"The work folder must be an absolute path on the board, found '{work_folder}'.",
                remedy="Write it from / or from ~/.",
            )
        self._uri = uri
        self._configured_folder = work_folder
        self._options = options
        self._channels: weakref.WeakSet[CollectingChannel] = weakref.WeakSet()
        self._forwards: list[ForwardedPort] = []
        self._board: _Board | None = None
        self._lock = threading.Lock()

    @abstractmethod
    def _start(self, argv: Sequence[str], *, keep_stderr: bool) -> CollectingChannel:
        """Start one program."""

    @abstractmethod
    def _is_lost(self) -> bool:
        """Whether the link is gone."""

    @property
    @abstractmethod
    def lease_folder(self) -> str:
        """See ``Transport.lease_folder``."""

    @abstractmethod
    def forward(self, remote_port: int) -> int:
        """See ``Transport.forward``."""

    @property
    def uri(self) -> str:
        """As it was opened."""
        return self._uri

    @property
    def emulated(self) -> bool:
        """A board is a board."""
        return False

    @property
    def launcher(self) -> tuple[str, ...]:
        """Empty: the board runs its own binaries."""
        return ()

    @property
    def work_folder(self) -> str:
        """As configured; ``~`` is the home folder that the board names."""
        configured = self._configured_folder
        if not configured.startswith("~/"):
            return configured.rstrip("/") or "/"
        home = self._ask_board().home
        if not home.startswith("/"):
            raise DeviceStorageError(
                f"The board {self._uri} names no home folder (HOME is '{home}').",
                remedy='Name a folder with work_folder = "/…".',
            )
        return f"{home.rstrip('/')}/{configured[2:].rstrip('/')}"

    def boot_id(self) -> str:
        """Asked once, with the machine."""
        return self._ask_board().boot_id

    def machine(self) -> str:
        """What ``uname -m`` answers, asked once."""
        return self._ask_board().machine

    def system(self) -> str:
        """See ``Transport.system``; asked once."""
        return self._ask_board().system.lower()

    def run(
        self, argv: Sequence[str], *, input: bytes = b"", timeout: float | None = 60.0
    ) -> Completed:
        """See ``Transport.run``."""
        return run_on_channel(self._open(argv, keep_stderr=True), argv, input, timeout)

    def stream(self, argv: Sequence[str]) -> CollectingChannel:
        """See ``Transport.stream``."""
        return self._open(argv, keep_stderr=False)

    def put_program(
        self,
        local: Path,
        name: str,
        *,
        fresh: bool = False,
        on_replaced: Callable[[], None] = _nobody,
    ) -> str:
        """See ``Transport.put_program``: one shell command, its input the program."""
        program = Program(name=name, sha256=file_sha256(local), local=local)
        return self._programs().put(program, fresh=fresh, on_replaced=on_replaced)

    def find_program(self, name: str, sha256: str) -> str | None:
        """See ``Transport.find_program``."""
        return self._programs().find(Program(name=name, sha256=sha256))

    def _programs(self) -> ProgramFolder:
        return ProgramFolder(self, self._options.answer_seconds, self._is_lost)

    def pull(self, remote: str, local: Path) -> None:
        """See ``Transport.pull``: ``cat`` on the board, a temporary name here."""
        channel = self.stream(["cat", "--", remote])
        try:
            channel.close_input()
            with beside(local) as partial:
                with partial.open("wb") as target:
                    while chunk := channel.read(_CHUNK_BYTES, self._options.answer_seconds):
                        target.write(chunk)
                if channel.wait(self._options.answer_seconds) != 0:
                    raise TransportError(f"{remote} cannot be read: {channel.error_tail()}.")
                partial.replace(local)
        except OSError as error:
            raise TransportError(f"{local} cannot be written: {error.strerror}.") from error
        finally:
            channel.close()

    def close(self) -> None:
        """End tunnels and programs; what is below them is the link's own to end."""
        with self._lock:
            forwards, self._forwards = self._forwards, []
        for forward in forwards:
            forward.close()
        for channel in list(self._channels):
            channel.close()

    def __enter__(self) -> ShellTransport:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _forwarded(self, forward: ForwardedPort) -> int:
        """Its port; it ends with the link."""
        with self._lock:
            self._forwards.append(forward)
        return forward.port

    def _open(self, argv: Sequence[str], *, keep_stderr: bool) -> CollectingChannel:
        channel = self._start(argv, keep_stderr=keep_stderr)
        self._channels.add(channel)
        return channel

    def _ask_board(self) -> _Board:
        with self._lock:
            if self._board is not None:
                return self._board
        done = self.run(["sh", "-c", _ASK_BOARD], timeout=self._options.answer_seconds)
        lines = answer_text(done).splitlines()
        answers = [line.removeprefix(_MARK).strip() for line in lines if line.startswith(_MARK)]
        if done.returncode != 0 or len(answers) != 4:
            tail = done.stderr.decode(errors="replace").strip()[-400:]
            raise TransportError(
                f"The board {self._uri} does not run shell commands (exit code "
                f"{done.returncode}): {tail or 'it said nothing'}.",
                remedy="The user needs a POSIX shell as login shell; busybox's will do.",
            )
        machine, system, home, boot_id = answers
        board = _Board(machine=machine, system=system, home=home, boot_id=boot_id)
        with self._lock:
            self._board = board
        return board
