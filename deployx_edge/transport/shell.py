"""What links to a board with a POSIX shell have in common: files, programs, answers.

On the board it needs a POSIX shell with ``cat``, ``mkdir``, ``mv``, ``chmod``, ``wc`` and
``uname`` (busybox and Android's toybox have them), neither SFTP nor ``sha256sum``.
"""

from __future__ import annotations

import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from deployx_edge.device import LinkOptions
from deployx_edge.errors import DeviceStorageError, LinkLostError, TransportError, UsageError
from deployx_edge.process import Completed
from deployx_edge.scratch import beside
from deployx_edge.transport.forwarding import ForwardedPort
from deployx_edge.transport.mounts import why_programs_do_not_run
from deployx_edge.transport.output import (
    CollectingChannel,
    LineReader,
    answer_text,
    run_on_channel,
)

_CHUNK_BYTES = 1 << 20
_NOISE_LINES = 200
_MARK = "deployx-board"

_ASK_BOARD = f"""
system=$(uname -s); ! command -v getprop > /dev/null 2>&1 || system=Android
boot=$(cat /proc/sys/kernel/random/boot_id 2> /dev/null)
printf "%s\\n" "{_MARK} $(uname -m)" "{_MARK} $system" "{_MARK} $HOME" "{_MARK} $boot"
"""

# $1 the bin folder, $2 the file's name, $3 its size, then the launcher's words. Each way
# out has its own exit code.
_PUT = f"""
LC_ALL=C; export LC_ALL
umask 022
mkdir -p "$1" || exit 81
place="$1/$2"; part="$1/.$2.$$"; size="$3"
if [ -f "$place" ] && [ "$(($(wc -c < "$place")))" -eq "$size" ]; then
  echo "{_MARK} have"; exit 0
fi
trap 'rm -f "$part"' EXIT
: > "$part" || exit 81
echo "{_MARK} send"
cat > "$part" || exit 82
[ "$(($(wc -c < "$part")))" -eq "$size" ] || exit 83
chmod 755 "$part" || exit 81
shift 3
"$@" "$part" --version > /dev/null 2>&1 < /dev/null
[ $? -ne 126 ] || exit 84
mv -f "$part" "$place" || exit 81
"""
_PUT_FAILURES = {
    81: "cannot be written",
    82: "cannot take the program",
    83: "did not get the whole program",
    84: "does not let programs run",
}
_NO_EXECUTION = 84


@dataclass(frozen=True, kw_only=True)
class _Board:
    machine: str
    system: str
    home: str
    boot_id: str


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

    def put_program(self, local: Path, name: str) -> str:
        """See ``Transport.put_program``: one shell command, its input the program."""
        folder = f"{self.work_folder}/bin"
        size = str(local.stat().st_size)
        channel = self.stream(["sh", "-c", _PUT, "sh", folder, name, size, *self.launcher])
        try:
            if self._answer(channel) == "send":
                with local.open("rb") as source:
                    while chunk := source.read(_CHUNK_BYTES):
                        channel.write(chunk)
            channel.close_input()
            code = channel.wait(self._options.answer_seconds)
        except LinkLostError:
            if self._is_lost():
                raise
            # The command ended early, and its exit code tells why.
            code = channel.wait(self._options.answer_seconds)
        finally:
            channel.close()
        if code != 0:
            reason = _PUT_FAILURES.get(code, f"gave exit code {code}")
            if code == _NO_EXECUTION:
                reason += f" ({why_programs_do_not_run(self, folder)})"
            tail = channel.error_tail()
            raise DeviceStorageError(
                f"The work folder {self.work_folder} on {self._uri} {reason}"
                + (f": {tail.splitlines()[-1]}." if tail else "."),
                remedy='Make room, or name another folder with work_folder = "/…".',
            )
        return f"{folder}/{name}"

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

    def _answer(self, channel: CollectingChannel) -> str:
        """The word after our mark; what a login script prints before it is passed over."""
        lines = LineReader(channel)
        for _ in range(_NOISE_LINES):
            line = lines.next(self._options.answer_seconds)
            if line is None:
                return ""
            if line.startswith(_MARK):
                return line.removeprefix(_MARK).strip()
        raise TransportError(f"The board {self._uri} prints without end where an answer was due.")
