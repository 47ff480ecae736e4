"""A program on the board, over one shell v2 stream of an adb device."""

from __future__ import annotations

import contextlib
import select
import shlex
import socket
import threading
import time
from collections.abc import Sequence

from deployx_edge.errors import LinkLostError
from deployx_edge.process import format_command
from deployx_edge.transport.adb.link import AdbLink, acknowledge_at_once
from deployx_edge.transport.adb.server import ADB_FAILURES
from deployx_edge.transport.output import GRACE_SECONDS
from deployx_edge.transport.shell_packets import HEADER, Packet
from deployx_edge.transport.shell_script import ReportedErrors, reporting_script

_PACKET_BYTES = 1 << 18
_READ_BYTES = 1 << 18
_MOST_WAITING_BYTES = 4 << 20


class AdbChannel:
    """See ``Channel``."""

    def __init__(
        self, link: AdbLink, argv: Sequence[str], *, answer_seconds: float, keep_stderr: bool
    ) -> None:
        self._link = link
        self._argv = tuple(argv)
        self._answer_seconds = answer_seconds
        self._errors = ReportedErrors(keep_all=keep_stderr)
        self._changed = threading.Condition()
        self._output = bytearray()
        self._code: int | None = None
        self._ended = False
        self._closed = False
        self._write_lock = threading.Lock()
        command = shlex.join(["sh", "-c", reporting_script(argv)])
        self._connection = link.open(f"shell,v2,raw:{command}")
        self._socket: socket.socket = self._connection.conn
        link.on_loss(self, self._hang_up)
        self._receiver = threading.Thread(target=self._receive, daemon=True)
        self._receiver.start()

    def write(self, data: bytes | memoryview) -> None:
        """See ``Channel.write``."""
        rest = memoryview(data)
        with self._write_lock:
            while rest:
                part = rest[:_PACKET_BYTES]
                self._send(HEADER.pack(Packet.STDIN, len(part)))
                self._send(part)
                rest = rest[_PACKET_BYTES:]

    def close_input(self) -> None:
        """See ``Channel.close_input``."""
        with self._write_lock:
            if self._code is None:
                self._send(HEADER.pack(Packet.CLOSE_STDIN, 0))

    def read(self, limit: int, timeout: float | None = None) -> bytes:
        """See ``Channel.read``."""
        with self._changed:
            if not self._changed.wait_for(self._readable, timeout):
                raise LinkLostError(
                    f"{format_command(self._argv)} wrote nothing for {timeout:g} seconds."
                )
            if self._closed:
                raise self._gone()
            if self._output:
                data = bytes(self._output[:limit])
                del self._output[:limit]
                self._changed.notify_all()
                return data
            if self._code is None:
                raise self._gone()
            return b""

    def wait(self, timeout: float | None = None) -> int:
        """See ``Channel.wait``."""
        with self._changed:
            ended = self._changed.wait_for(lambda: self._code is not None or self._ended, timeout)
            if self._code is not None:
                return self._code
        if not ended:
            raise LinkLostError(
                f"{format_command(self._argv)} did not end within {timeout:g} seconds."
            )
        raise self._gone()

    def error_tail(self) -> str:
        """See ``Channel.error_tail``."""
        return self._errors.tail()

    def error_bytes(self) -> bytes:
        """The whole standard error; only where ``keep_stderr`` was asked for."""
        return self._errors.everything()

    def close(self) -> None:
        """See ``Channel.close``: the end of its input first, then a kill."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
        # A writer that waits for a program which reads nothing holds the lock; the kill
        # below ends its waiting.
        if self._write_lock.acquire(timeout=GRACE_SECONDS):
            self._write_lock.release()
            with contextlib.suppress(LinkLostError):
                self.close_input()
        if not self._has_ended(GRACE_SECONDS):
            # A board that is slow to start the program has not told its id yet.
            pid = self._errors.pid(self._answer_seconds)
            if pid and not self._has_ended(0):
                self._kill(pid)
        self._hang_up()
        self._receiver.join()
        self._link.forget(self)
        self._socket.close()

    def _has_ended(self, timeout: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._ended, timeout)

    def _kill(self, pid: int) -> None:
        """By a second command; the end of the stream alone would only reach the shell."""
        with contextlib.suppress(LinkLostError):
            killer = AdbChannel(
                self._link,
                ["kill", "-9", str(pid)],
                answer_seconds=self._answer_seconds,
                keep_stderr=False,
            )
            killer.wait(self._answer_seconds)
            killer.close()
            self._has_ended(self._answer_seconds)

    def _readable(self) -> bool:
        return bool(self._output) or self._ended or self._closed

    def _send(self, data: bytes | memoryview) -> None:
        """All of ``data``; whoever reads on the socket is not disturbed by our timeout."""
        rest = memoryview(data)
        deadline = time.monotonic() + self._answer_seconds
        poll = select.poll()
        while rest:
            if self._ended or self._code is not None:
                raise self._gone()
            try:
                rest = rest[self._socket.send(rest, socket.MSG_DONTWAIT) :]
                deadline = time.monotonic() + self._answer_seconds
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise LinkLostError(
                        f"{format_command(self._argv)} took no input for "
                        f"{self._answer_seconds:g} seconds."
                    ) from None
                poll.register(self._socket, select.POLLOUT)
                poll.poll(1000)
            except OSError as error:
                raise self._gone() from error

    def _receive(self) -> None:
        """Take packets apart until the stream ends. The one reader of the socket."""
        try:
            while True:
                acknowledge_at_once(self._socket)
                kind, size = HEADER.unpack(self._connection.read_exact(HEADER.size))
                while size:
                    data = self._connection.recv(min(size, _READ_BYTES))
                    if not data:
                        return
                    size -= len(data)
                    self._link.heard()
                    self._take(kind, data)
        except ADB_FAILURES:
            return
        finally:
            if self._code is None and not self._closed:
                self._link.lost()  # adbd tells an exit code even of what was killed.
            self._errors.end()
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _take(self, kind: int, data: bytes) -> None:
        if kind == Packet.STDERR:
            self._errors.add(data)
            return
        with self._changed:
            if kind == Packet.EXIT:
                self._code = data[0]
            elif kind == Packet.STDOUT:
                # What nobody reads waits here up to a size, and then on the board.
                self._changed.wait_for(
                    lambda: self._closed or len(self._output) < _MOST_WAITING_BYTES
                )
                if not self._closed:
                    self._output += data
            self._changed.notify_all()

    def _hang_up(self) -> None:
        """Wakes everybody who waits on the socket."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        with self._changed:
            self._changed.notify_all()

    def _gone(self) -> LinkLostError:
        command = format_command(self._argv)
        if self._code is None and not self._closed:
            self._has_ended(GRACE_SECONDS)
            if self._code is None:
                return self._link.lost()
        state = "was closed" if self._code is None else f"ended with exit code {self._code}"
        tail = self.error_tail()
        return LinkLostError(f"{command} {state}" + (f": {tail}" if tail else "."))
