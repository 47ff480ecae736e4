"""A program on the board, over one exec channel of an SSH connection."""

from __future__ import annotations

import contextlib
import shlex
import threading
import time
from collections.abc import Sequence

from deployx_edge.errors import LinkLostError, TransportError
from deployx_edge.process import format_command
from deployx_edge.transport.output import GRACE_SECONDS
from deployx_edge.transport.shell_script import ReportedErrors, reporting_script
from deployx_edge.transport.ssh.link import LINK_FAILURES, SshLink

# paramiko has one timeout for all uses of a channel, so that every wait is made of
# short ones and counts by itself.
_TICK_SECONDS = 1.0
_PACKET_BYTES = 32768 - 64
_READ_BYTES = 1 << 18


class SshChannel:
    """See ``Channel``."""

    def __init__(
        self, link: SshLink, argv: Sequence[str], *, answer_seconds: float, keep_stderr: bool
    ) -> None:
        self._link = link
        self._argv = tuple(argv)
        self._answer_seconds = answer_seconds
        self._channel = link.open_session()
        self._channel.settimeout(_TICK_SECONDS)
        self._closed = False
        self._write_lock = threading.Lock()
        self._errors = ReportedErrors(keep_all=keep_stderr)
        try:
            self._channel.exec_command(shlex.join(["sh", "-c", reporting_script(argv)]))
        except LINK_FAILURES as error:
            with contextlib.suppress(*LINK_FAILURES):
                self._channel.close()
            raise link.lost(f"it did not start {format_command(argv)} ({error})") from error
        self._drain = threading.Thread(target=self._drain_errors, daemon=True)
        self._drain.start()

    def write(self, data: bytes | memoryview) -> None:
        """See ``Channel.write``."""
        rest = memoryview(data)
        with self._write_lock:
            while rest:
                rest = rest[self._send(bytes(rest[:_PACKET_BYTES])) :]

    def close_input(self) -> None:
        """See ``Channel.close_input``."""
        with self._write_lock:
            try:
                self._channel.shutdown_write()
            except LINK_FAILURES as error:
                raise self._gone() from error

    def read(self, limit: int, timeout: float | None = None) -> bytes:
        """See ``Channel.read``."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            try:
                data = self._channel.recv(limit)
            except TimeoutError:
                if deadline is not None and time.monotonic() >= deadline:
                    raise LinkLostError(
                        f"{format_command(self._argv)} wrote nothing for {timeout:g} seconds."
                    ) from None
                continue
            except LINK_FAILURES as error:
                raise self._gone() from error
            if not data:
                self._require_real_end()
            return data

    def wait(self, timeout: float | None = None) -> int:
        """See ``Channel.wait``."""
        if not self._channel.status_event.wait(timeout):
            raise LinkLostError(
                f"{format_command(self._argv)} did not end within {timeout:g} seconds."
            )
        self._drain.join(GRACE_SECONDS)
        if self._channel.exit_status == -1:
            if self._closed or self._link.is_lost():
                raise self._gone()
            return 255  # As ssh says where the server tells no exit code.
        return self._channel.exit_status

    def error_tail(self) -> str:
        """See ``Channel.error_tail``."""
        return self._errors.tail()

    def error_bytes(self) -> bytes:
        """The whole standard error; only where ``keep_stderr`` was asked for."""
        return self._errors.everything()

    def close(self) -> None:
        """See ``Channel.close``: the end of its input first, then a kill."""
        if self._closed:
            return
        self._closed = True
        ended = self._channel.status_event
        try:
            if not ended.is_set():
                self._channel.shutdown_write()
            if not ended.wait(GRACE_SECONDS):
                # A board that is slow to start the program has not told its id yet.
                pid = self._errors.pid(self._answer_seconds)
                if pid and not ended.is_set():
                    self._kill(pid)
            self._channel.close()
        except (TransportError, *LINK_FAILURES):
            return  # The link is gone; the program sees the end of its input.

    def _kill(self, pid: int) -> None:
        """By a second command: sshd passes no signals on to the programs of root."""
        killer = self._link.open_session()
        killer.exec_command(f"kill -9 {pid}")
        killer.status_event.wait(self._answer_seconds)
        killer.close()

    def _send(self, data: bytes) -> int:
        deadline = time.monotonic() + self._answer_seconds
        while True:
            try:
                sent = self._channel.send(data)
            except TimeoutError:
                if time.monotonic() >= deadline:
                    raise LinkLostError(
                        f"{format_command(self._argv)} took no input for "
                        f"{self._answer_seconds:g} seconds."
                    ) from None
                continue
            except LINK_FAILURES as error:
                raise self._gone() from error
            if sent == 0:
                raise self._gone()
            return sent

    def _require_real_end(self) -> None:
        """paramiko shows the end of the output and the end of the link in the same way."""
        told = self._channel.eof_received or self._channel.exit_status != -1
        if self._closed or not (told or not self._link.is_lost()):
            raise self._gone()

    def _gone(self) -> LinkLostError:
        command = format_command(self._argv)
        if not self._closed and self._link.is_lost():
            return self._link.lost()
        if not self._closed:
            # Its last words may still be on their way.
            self._channel.status_event.wait(GRACE_SECONDS)
            self._drain.join(GRACE_SECONDS)
        code = self._channel.exit_status
        state = "was closed" if code == -1 else f"ended with exit code {code}"
        tail = self.error_tail()
        return LinkLostError(f"{command} {state}" + (f": {tail}" if tail else "."))

    def _drain_errors(self) -> None:
        while chunk := self._next_error_chunk():
            self._errors.add(chunk)
        self._errors.end()

    def _next_error_chunk(self) -> bytes:
        """Some standard error; empty at its end."""
        while True:
            try:
                return self._channel.recv_stderr(_READ_BYTES)
            except TimeoutError:
                continue
            except LINK_FAILURES:
                return b""
