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
_PIECE_BYTES = 1 << 10
_MOST_DIGITS = 20
_MOST_ANSWER_BYTES = 1 << 20

MOST_OUTPUT_BYTES = 8 << 20
"""What a program that is run for its answer may write, on each of its two streams."""

GRACE_SECONDS = 1.0
"""How long a program may take to end by itself once its input is closed."""


class OutputTail:
    """Collects standard error from one thread while others ask for its end.

    ``keep_all`` keeps as much as any answer may have, the end of what is more.
    """

    def __init__(self, *, keep_all: bool) -> None:
        self._most = MOST_OUTPUT_BYTES if keep_all else _TAIL_BYTES
        self._chunks: deque[bytearray] = deque()
        self._size = 0
        self._lock = threading.Lock()

    def add(self, chunk: bytes) -> None:
        """Append; what lies before the tail is dropped."""
        if not chunk:
            return
        with self._lock:
            # Many small pieces would take more memory than their bytes.
            if self._chunks and len(self._chunks[-1]) + len(chunk) <= _PIECE_BYTES:
                self._chunks[-1] += chunk
            else:
                self._chunks.append(bytearray(chunk))
            self._size += len(chunk)
            while self._size - len(self._chunks[0]) >= self._most:
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
        self._at = 0

    def next(self, timeout: float | None = None) -> str | None:
        """The next line without its end; None at the end of the output.

        ``timeout`` bounds each wait for more bytes. An unfinished last line counts as
        none: its program was cut off. TransportError for a line beyond all reason.
        """
        while (end := self._buffer.find(b"\n", self._at)) < 0:
            self._buffer, self._at = self._buffer[self._at :], 0
            self._check(len(self._buffer))
            chunk = self._channel.read(_READ_BYTES, timeout)
            if not chunk:
                return None
            self._buffer += chunk
        self._check(end - self._at)
        line, self._at = self._buffer[self._at : end], end + 1
        return line.rstrip(b"\r").decode(errors="replace")

    def _check(self, length: int) -> None:
        if length > _LINE_LIMIT:
            raise TransportError(
                f"A text line was expected from the board, found {length} bytes "
                f"without a line end, beginning with {self._buffer[self._at : self._at + 40]!r}."
            )


class LineBudget:
    """How many lines a program may write that only say that it lives: some at once, and then
    some each second."""

    def __init__(self, at_once: int = 1000, a_second: float = 10.0) -> None:
        self._left = float(at_once)
        self._a_second = a_second
        self._since = time.monotonic()

    def take(self) -> bool:
        """One more line; whether there may be that many."""
        self._left -= 1
        return self._left + self._a_second * (time.monotonic() - self._since) >= 0


def read_number(text: str, *, signed: bool = False) -> int | None:
    """A whole number as programs write it: ASCII digits, and no more than any of ours has.

    None for everything else that Python takes for a number or for a digit (``²``, ``١``,
    ``1_0``, ``+1``).
    """
    digits = text[1:] if signed and text.startswith("-") else text
    if not (digits.isascii() and digits.isdigit()) or len(digits) > _MOST_DIGITS:
        return None
    return int(text)


class CollectingChannel(Channel, Protocol):
    """A channel that keeps its whole standard error."""

    def error_bytes(self) -> bytes:
        """Everything the program wrote to its standard error so far."""


def run_on_channel(
    channel: CollectingChannel, argv: Sequence[str], input: bytes, timeout: float | None
) -> Completed:
    """Feed ``input``, collect the output, wait for the end (see ``Transport.run``).

    TransportError for an output beyond all reason.
    """
    deadline = None if timeout is None else time.monotonic() + timeout

    def remaining() -> float | None:
        return None if deadline is None else max(deadline - time.monotonic(), 0.001)

    feeder = threading.Thread(target=_feed, args=(channel, input), daemon=True)
    feeder.start()
    collected = bytearray()
    try:
        while chunk := channel.read(_READ_BYTES, remaining()):
            collected += chunk
            _check_output(argv, len(collected))
            if deadline is not None and time.monotonic() >= deadline:
                raise LinkLostError("It writes on and on.")
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
        stdout=bytes(collected),
        stderr=channel.error_bytes(),
    )


def answer_text(done: Completed) -> str:
    """What a program said, for whoever takes it apart; TransportError for a flood."""
    _check_output(done.argv, len(done.stdout), _MOST_ANSWER_BYTES)
    return done.stdout.decode(errors="replace")


def _check_output(argv: Sequence[str], count: int, most: int = MOST_OUTPUT_BYTES) -> None:
    if count > most:
        raise TransportError(
            f"An answer of at most {most} bytes was expected of {format_command(argv)}, "
            "which writes on.",
            remedy="Look at what the board prints by itself when it runs a command.",
        )


def _feed(channel: Channel, input: bytes) -> None:
    """Write slice by slice; a program that does not want its input is not an error."""
    rest = memoryview(input)
    with contextlib.suppress(LinkLostError):
        while rest:
            channel.write(rest[:_WRITE_BYTES])
            rest = rest[_WRITE_BYTES:]
        channel.close_input()
