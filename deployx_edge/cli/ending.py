"""How a command ends that nobody waits for any more: its output's reader went, or a signal came.

Both end it as Ctrl-C does: the blocks that it is in are left one by one, so that boards, programs
and temporary folders are given back.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

READER_GONE = 128 + signal.SIGPIPE
"""The exit code where nobody reads the output any more, as a shell tells it of other programs."""

# A terminal that was closed answers EIO.
_GONE = (errno.EPIPE, errno.ECONNRESET, errno.EIO)
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ending_well() -> Iterator[None]:
    """Inside, SIGTERM, SIGHUP and an output that breaks raise SystemExit in the main thread.

    A signal that was ignored before (``nohup``) stays so.
    """
    ending = _Ending()
    earlier = {number: signal.signal(number, ending.take) for number in _SIGNALS}
    ending.ignored = {number for number, had in earlier.items() if had is signal.SIG_IGN}
    streams = sys.stdout, sys.stderr
    sys.stdout = _watched(sys.stdout, ending)
    sys.stderr = _watched(sys.stderr, ending)
    try:
        yield
    finally:
        _flush()
        sys.stdout, sys.stderr = streams
        for number, had in earlier.items():
            signal.signal(number, had)


class _Ending:
    """Brings the main thread to its end, once: what cleans up is not interrupted again."""

    def __init__(self) -> None:
        self.ignored: set[int] = set()
        self._code = 0
        self._begun = False

    def take(self, number: int, frame: object) -> None:
        """The handler of signals; Python runs it in the main thread."""
        if self._begun or (number in self.ignored and not self._code):
            return
        self._begun = True
        raise SystemExit(self._code or 128 + number)

    def end(self, code: int) -> SystemExit:
        """End the command with ``code``; for the caller to raise, in whatever thread it is."""
        main = threading.main_thread()
        if threading.current_thread() is main:
            self._begun = True
        elif not self._begun and main.ident is not None:
            self._code = code
            signal.pthread_kill(main.ident, signal.SIGTERM)
        return SystemExit(code)


class _Output(io.TextIOWrapper):
    """A standard stream. When it fails the command ends, and what is still said goes nowhere.

    SystemExit is what is raised: no ``except OSError`` on the way takes it for its own.
    """

    def __init__(self, stream: io.TextIOWrapper, ending: _Ending) -> None:
        self._ending = ending
        super().__init__(
            io.BufferedWriter(io.FileIO(stream.fileno(), "wb", closefd=False)),
            encoding=stream.encoding,
            errors=stream.errors,
            # Unbuffered ones (``python -u``) are as good as that by lines.
            line_buffering=stream.line_buffering or stream.write_through,
        )

    def write(self, text: str, /) -> int:
        """As every text stream's."""
        try:
            return super().write(text)
        except OSError as error:
            raise self._failed(error) from None

    def flush(self) -> None:
        """As every stream's."""
        try:
            super().flush()
        except OSError as error:
            raise self._failed(error) from None

    def _failed(self, error: OSError) -> SystemExit:
        os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), self.fileno())
        if error.errno in _GONE:
            return self._ending.end(READER_GONE)
        with suppress(OSError):
            os.write(2, f"error: The output cannot be written: {error.strerror}.\n".encode())
        return self._ending.end(1)


def _watched(stream: TextIO | None, ending: _Ending) -> TextIO:
    """``stream`` as it was, but for a failure; one that was closed is written nowhere."""
    if stream is None:
        return Path(os.devnull).open("w", encoding="utf-8")
    if not isinstance(stream, io.TextIOWrapper):
        return stream  # somebody else's, e.g. one that collects
    with suppress(OSError):
        stream.flush()
    return _Output(stream, ending)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(ValueError):  # closed
            stream.flush()
