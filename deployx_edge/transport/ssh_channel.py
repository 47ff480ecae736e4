"""A program on the board, over one exec channel of an SSH connection."""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Sequence

import paramiko

from deployx_edge.errors import LinkLostError
from deployx_edge.process import format_command
from deployx_edge.transport.output import OutputTail
from deployx_edge.transport.ssh_link import SshLink

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
        self._errors = OutputTail(keep_all=keep_stderr)
        # The inner shell outlives the program and tells a signal by its exit code; by
        # itself the protocol's "exit-signal" never reaches paramiko's caller.
        script = f"{shlex.join(argv)}; exit $?"
        try:
            self._channel.exec_command(shlex.join(["sh", "-c", script]))
        except (paramiko.SSHException, EOFError, OSError) as error:
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
            except (paramiko.SSHException, EOFError, OSError) as error:
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
            except OSError as error:
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
        self._drain.join(1.0)
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
        """See ``Channel.close``."""
        if self._closed:
            return
        self._closed = True
        try:
            if not self._channel.status_event.is_set():
                self._send_kill()
            self._channel.close()
        except (paramiko.SSHException, EOFError, OSError):
            return  # The link is gone, and sshd ends what it started.

    def _send_kill(self) -> None:
        """RFC 4254, 6.9: the server kills the program; paramiko has no method for it."""
        message = paramiko.Message()
        message.add_byte(paramiko.common.cMSG_CHANNEL_REQUEST)
        message.add_int(self._channel.remote_chanid)
        message.add_string("signal")
        message.add_boolean(False)
        message.add_string("KILL")
        self._channel.transport._send_user_message(message)  # type: ignore[union-attr]

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
            except (paramiko.SSHException, EOFError, OSError) as error:
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
        code = self._channel.exit_status
        state = "was closed" if code == -1 else f"ended with exit code {code}"
        tail = self.error_tail()
        return LinkLostError(f"{command} {state}" + (f": {tail}" if tail else "."))

    def _drain_errors(self) -> None:
        while True:
            try:
                chunk = self._channel.recv_stderr(_READ_BYTES)
            except TimeoutError:
                continue
            except OSError:
                return
            if not chunk:
                return
            self._errors.add(chunk)
