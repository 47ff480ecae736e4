"""``local:``: this computer as the board, through the same interface as a real one."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import select
import shutil
import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

from deployx_edge import process
from deployx_edge.device import LinkOptions
from deployx_edge.errors import DeviceStorageError, LinkLostError, MissingToolError, TransportError
from deployx_edge.process import Completed, format_command
from deployx_edge.resources import cache_folder
from deployx_edge.scratch import beside
from deployx_edge.transport.hashing import file_sha256
from deployx_edge.transport.output import GRACE_SECONDS, OutputTail, run_on_channel
from deployx_edge.transport.ownership import check_here, make_private

_READ_BYTES = 1 << 18


class ProcessChannel:
    """A program of this computer, in a process group of its own."""

    def __init__(self, argv: Sequence[str], *, answer_seconds: float, keep_stderr: bool) -> None:
        self._argv = tuple(argv)
        self._answer_seconds = answer_seconds
        self._child = process.spawn(argv)
        assert self._child.stdin and self._child.stdout and self._child.stderr
        self._stdin = self._child.stdin
        self._stdout = self._child.stdout
        self._stderr = self._child.stderr
        os.set_blocking(self._stdin.fileno(), False)
        # A byte in this pipe wakes every thread that waits in poll(), so that close()
        # need not pull a descriptor from under a reader.
        self._wake_read, self._wake_write = os.pipe()
        self._closing = False
        self._close_lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._errors = OutputTail(keep_all=keep_stderr)
        self._drain = threading.Thread(target=self._drain_errors, daemon=True)
        self._drain.start()

    def write(self, data: bytes | memoryview) -> None:
        """See ``Channel.write``."""
        rest = memoryview(data)
        with self._write_lock:
            while rest:
                self._await(self._stdin, select.POLLOUT, self._answer_seconds, "took no input")
                try:
                    rest = rest[os.write(self._stdin.fileno(), rest) :]
                except BlockingIOError:
                    continue
                except OSError as error:
                    raise self._gone() from error

    def close_input(self) -> None:
        """See ``Channel.close_input``."""
        with self._write_lock:
            if not self._stdin.closed:
                self._stdin.close()

    def read(self, limit: int, timeout: float | None = None) -> bytes:
        """See ``Channel.read``."""
        with self._read_lock:
            self._await(self._stdout, select.POLLIN, timeout, "wrote nothing")
            return os.read(self._stdout.fileno(), limit)

    def wait(self, timeout: float | None = None) -> int:
        """See ``Channel.wait``."""
        code = process.wait_for(self._child, timeout)
        if code is None:
            raise LinkLostError(
                f"{format_command(self._argv)} did not end within {timeout:g} seconds."
            )
        # What it wrote last is part of what error_tail() promises after the end.
        self._drain.join(GRACE_SECONDS)
        return code

    def error_tail(self) -> str:
        """See ``Channel.error_tail``."""
        return self._errors.tail()

    def error_bytes(self) -> bytes:
        """The whole standard error; only where ``keep_stderr`` was asked for."""
        return self._errors.everything()

    def close(self) -> None:
        """See ``Channel.close``: the end of its input first, then a kill for its group."""
        with self._close_lock:
            if self._closing:
                return
            self._closing = True
        self._end_program()
        os.write(self._wake_write, b"x")
        self._drain.join()
        with self._write_lock, self._read_lock:
            for stream in (self._stdin, self._stdout, self._stderr):
                stream.close()
            os.close(self._wake_read)
            os.close(self._wake_write)

    def _end_program(self) -> None:
        """The end of its input first, so that it can tidy up; then a kill for its group."""
        if self._child.poll() is not None:
            return
        # Wakes a writer, which holds the lock while it waits.
        os.write(self._wake_write, b"x")
        self.close_input()
        if process.wait_for(self._child, GRACE_SECONDS) is None:
            process.kill_group(self._child)

    def _await(self, stream: IO[bytes], event: int, timeout: float | None, complaint: str) -> None:
        """Return when ``stream`` is ready; LinkLostError after ``timeout`` or ``close``."""
        if self._closing or stream.closed:
            raise self._gone()
        poll = select.poll()
        poll.register(stream.fileno(), event)
        poll.register(self._wake_read, select.POLLIN)
        ready = poll.poll(None if timeout is None else timeout * 1000)
        if self._closing:
            raise self._gone()
        if not ready:
            raise LinkLostError(
                f"{format_command(self._argv)} {complaint} for {timeout:g} seconds."
            )

    def _gone(self) -> LinkLostError:
        if self._closing:
            code = self._child.poll()
        else:  # Its last words may still be on their way.
            code = process.wait_for(self._child, GRACE_SECONDS)
            self._drain.join(GRACE_SECONDS)
        tail = self.error_tail()
        state = "was closed" if code is None else f"ended with exit code {code}"
        return LinkLostError(
            f"{format_command(self._argv)} {state}" + (f": {tail}" if tail else ".")
        )

    def _drain_errors(self) -> None:
        try:
            while True:
                self._await(self._stderr, select.POLLIN, None, "")
                chunk = os.read(self._stderr.fileno(), _READ_BYTES)
                if not chunk:
                    return
                self._errors.add(chunk)
        except LinkLostError:
            return


class LocalTransport:
    """Programs, files and ports of this computer; the base of ``virtual:`` too."""

    def __init__(
        self,
        uri: str,
        *,
        work_folder: Path,
        machine: str | None = None,
        launcher: Sequence[str] = (),
        emulated: bool = False,
        options: LinkOptions | None = None,
    ) -> None:
        self._uri = uri
        self._work_folder = work_folder
        self._machine = machine or platform.machine()
        self._launcher = tuple(launcher)
        self._emulated = emulated
        self._options = options or LinkOptions()
        self._channels: weakref.WeakSet[ProcessChannel] = weakref.WeakSet()
        self._closed = False

    @property
    def uri(self) -> str:
        """As it was opened."""
        return self._uri

    @property
    def emulated(self) -> bool:
        """True for ``virtual:``."""
        return self._emulated

    @property
    def launcher(self) -> tuple[str, ...]:
        """The emulator and its options for ``virtual:``, else empty."""
        return self._launcher

    @property
    def work_folder(self) -> str:
        """An absolute path on this computer."""
        return str(self._work_folder)

    @property
    def lease_folder(self) -> str:
        """Of the work folder: a computer may hold many virtual boards."""
        return self._options.lease_folder or f"{self._work_folder}/lease"

    def boot_id(self) -> str:
        """This computer's; empty where it is not a Linux."""
        with contextlib.suppress(OSError):
            return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return ""

    def machine(self) -> str:
        """This computer's machine, or the emulated one."""
        return self._machine

    def system(self) -> str:
        """Linux, here and under qemu-user."""
        return "linux"

    def run(
        self, argv: Sequence[str], *, input: bytes = b"", timeout: float | None = 60.0
    ) -> Completed:
        """Run a program of this computer (see ``Transport.run``).

        ``virtual:`` has no foreign userland: there, too, ``argv`` is a program of this
        computer, and a target's own binary needs ``launcher`` before it.
        """
        try:
            channel = self._open(argv, keep_stderr=True)
        except (MissingToolError, OSError) as error:
            # A shell on a board says the same by these exit codes.
            code = 127 if isinstance(error, MissingToolError) else 126
            text = str(error).encode()
            return Completed(argv=tuple(argv), returncode=code, stdout=b"", stderr=text)
        return run_on_channel(channel, argv, input, timeout)

    def stream(self, argv: Sequence[str]) -> ProcessChannel:
        """Start a program of this computer; ``argv`` as for ``run``."""
        try:
            return self._open(argv, keep_stderr=False)
        except OSError as error:
            raise TransportError(
                f"{format_command(argv)} cannot be started: {error.strerror}."
            ) from error

    def put_program(
        self,
        local: Path,
        name: str,
        *,
        fresh: bool = False,
        on_replaced: Callable[[], None] = lambda: None,
    ) -> str:
        """See ``Transport.put_program``: copied into the work folder, which is private."""
        place = self._work_folder / "bin" / name
        if self.find_program(name, file_sha256(local)) and not fresh:
            return str(place)
        if os.path.lexists(place):
            on_replaced()
        self._copy_program(local, place)
        return str(place)

    def find_program(self, name: str, sha256: str) -> str | None:
        """See ``Transport.find_program``."""
        place = self._work_folder / "bin" / name
        check_here(place, str(self._work_folder), self._uri)
        with contextlib.suppress(OSError):
            if file_sha256(place) == sha256:
                return str(place)
        return None

    def _copy_program(self, local: Path, place: Path) -> None:
        """Under a temporary name, flushed, renamed."""
        try:
            make_private(place.parent)
            with beside(place) as temporary:
                with local.open("rb") as source, temporary.open("wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
                    target.flush()
                    os.fsync(target.fileno())
                temporary.chmod(0o755)
                if not self._launcher and not os.access(temporary, os.X_OK):
                    raise OSError(errno.EACCES, "the file system is mounted noexec")
                if place.is_dir() and not place.is_symlink():
                    shutil.rmtree(place)
                temporary.replace(place)
        except OSError as error:
            raise DeviceStorageError(
                f"The work folder {self._work_folder} cannot hold programs: {error.strerror}.",
                remedy=self._other_folder(),
            ) from error

    def _other_folder(self) -> str:
        if self._work_folder.is_relative_to(cache_folder()):
            return "Name a folder that can be written: DEPLOYX_EDGE_CACHE=FOLDER."
        return 'Name another with work_folder = "…".'

    def pull(self, remote: str, local: Path) -> None:
        """Copy a file of this computer."""
        try:
            with beside(local) as partial:
                shutil.copyfile(remote, partial)
                partial.replace(local)
        except OSError as error:
            raise TransportError(f"{remote} cannot be copied: {error.strerror}.") from error

    def forward(self, remote_port: int) -> int:
        """The port itself: the board's loopback is this computer's."""
        return remote_port

    def close(self) -> None:
        """End every program that this link started."""
        self._closed = True
        for channel in list(self._channels):
            channel.close()

    def __enter__(self) -> LocalTransport:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self, argv: Sequence[str], *, keep_stderr: bool) -> ProcessChannel:
        if self._closed:
            raise TransportError(f"The link {self._uri} is closed.")
        channel = ProcessChannel(
            argv, answer_seconds=self._options.answer_seconds, keep_stderr=keep_stderr
        )
        self._channels.add(channel)
        return channel
