"""What programs write: tails, lines, and running one to its end. The same for every link."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from deployx_edge.errors import LinkLostError, TransportError
from deployx_edge.process import Completed, format_command
from deployx_edge.transport.protocol import Channel

_TAIL_BYTES = 1 << 14
_TAIL_LINES = 20
_READ_BYTES = 1 << 18
_WRITE_BYTES = 1 << 18
_LINE_LIMIT = 1 << 16

GRACE_SECONDS = 1.0
"""How long a program may take to end by itself once its input is closed."""


class OutputTail:
    """Collects standard error from one thread while others ask for its end."""

    def __init__(self, *, keep_all: bool) -> None:
        self._keep_all = keep_all
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._lock = threading.Lock()

    def add(self, chunk: bytes) -> None:
        """Append; what lies before the tail is dropped unless all is kept."""
        with self._lock:
            self._chunks.append(chunk)
            self._size += len(chunk)
            while not self._keep_all and self._size - len(self._chunks[0]) >= _TAIL_BYTES:
                self._size -= len(self._chunks.popleft())

    def everything(self) -> bytes:
        """All that is kept."""
        with self._lock:
            return b"".join(self._chunks)

    def tail(self) -> str:
        """The last lines as text."""
        text = self.everything()[-_TAIL_BYTES:].decode(errors="replace")
        return "\n".join(text.strip().splitlines()[-_TAIL_LINES:])


class LineReader:
    """Text lines from a channel's output; the rest of the output stays readable in lines."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._buffer = b""

    def next(self, timeout: float | None = None) -> str | None:
        """The next line without its end; None at the end of the output.

        ``timeout`` bounds each wait for more bytes. An unfinished last line counts as
        none: its program was cut off. TransportError for a line beyond all reason.
        """
        while b"\n" not in self._buffer:
            if len(self._buffer) > _LINE_LIMIT:
                raise TransportError(
                    f"A text line was expected from the board, found {_LINE_LIMIT} bytes "
                    f"without a line end, beginning with {self._buffer[:40]!r}."
                )
            chunk = self._channel.read(_READ_BYTES, timeout)
            if not chunk:
                return None
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.rstrip(b"\r").decode(errors="replace")


class CollectingChannel(Channel, Protocol):
    """A channel that keeps its whole standard error."""

    def error_bytes(self) -> bytes:
        """Everything the program wrote to its standard error so far."""


def run_on_channel(
    channel: CollectingChannel, argv: Sequence[str], input: bytes, timeout: float | None
) -> Completed:
    """Feed ``input``, collect the output, wait for the end (see ``Transport.run``)."""
    deadline = None if timeout is None else time.monotonic() + timeout

    def remaining() -> float | None:
        return None if deadline is None else max(deadline - time.monotonic(), 0.001)

    feeder = threading.Thread(target=_feed, args=(channel, input), daemon=True)
    feeder.start()
    collected: list[bytes] = []
    try:
        while chunk := channel.read(_READ_BYTES, remaining()):
            collected.append(chunk)
        code = channel.wait(remaining())
    except LinkLostError as error:
        if deadline is not None and time.monotonic() >= deadline:
            raise LinkLostError(
                f"{format_command(argv)} did not end within {timeout:g} seconds and was ended."
            ) from error
        raise
    finally:
        channel.close()
        feeder.join()
    return Completed(
        argv=tuple(argv),
        returncode=code,
        stdout=b"".join(collected),
        stderr=channel.error_bytes(),
    )


def _feed(channel: Channel, input: bytes) -> None:
    """Write slice by slice; a program that does not want its input is no error."""
    rest = memoryview(input)
    with contextlib.suppress(LinkLostError):
        while rest:
            channel.write(rest[:_WRITE_BYTES])
            rest = rest[_WRITE_BYTES:]
        channel.close_input()
