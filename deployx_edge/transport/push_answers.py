"""What the receiver of a push says while the bytes go out (docs/architecture.md)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from deployx_edge.errors import DeployxError, TransportError
from deployx_edge.transport.output import LineBudget, LineReader, read_number


class Answers:
    """Reads ``have``, ``ok``, ``done`` and ``error`` while the bytes go out."""

    def __init__(self, lines: LineReader, expected: Sequence[str], total: int) -> None:
        """``expected`` are the hashes of the contents, in the order in which they are sent, and
        ``total`` all their bytes."""
        self._lines = lines
        self._total = total
        self._expected = expected
        self._arrived = 0
        self._told = -1
        self._repeats = LineBudget(at_once=10, a_second=2.0)
        self._confirmed = 0
        self.done = False
        self.error = ""
        self.broken: DeployxError | None = None
        self.ended = False
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def awaited(self) -> str | None:
        """The hash of the content that the next answer is about."""
        at_end = self._confirmed == len(self._expected)
        return None if at_end else self._expected[self._confirmed]

    def wait_for_arrival(self, count: int, timeout: float) -> bool:
        """Until the board has ``count`` bytes of this push or ended; False when it is silent."""
        return self._wait(lambda: self.ended or self._arrived >= count, timeout)

    def wait_for_end(self, timeout: float) -> bool:
        """Until the last answer; False when none comes for ``timeout`` seconds."""
        return self._wait(lambda: self.ended, timeout)

    def _wait(self, is_reached: Callable[[], bool], timeout: float) -> bool:
        """Every answer starts the clock anew, unlike ``Condition.wait_for``."""
        with self._changed:
            while not is_reached():
                if not self._changed.wait(timeout):
                    return False
        return True

    def _read(self) -> None:
        try:
            while not (self.done or self.error) and (line := self._lines.next()) is not None:
                with self._changed:
                    self._take(line)
                    self._changed.notify_all()
        except DeployxError as error:
            self.broken = error
        finally:
            with self._changed:
                self.ended = True
                self._changed.notify_all()

    def _take(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        awaited = self.awaited()
        arrived = read_number(rest) if word == "have" else None
        # Said again while a large file is hashed from the disk; not in a flood, nor falling back.
        is_new = arrived is not None and (arrived != self._told or self._repeats.take())
        if arrived is not None and is_new and self._told <= arrived <= self._total:
            self._arrived = self._told = arrived
        elif awaited is not None and line == f"ok {awaited}":
            self._confirmed += 1
        elif word == "done" and awaited is None:
            self.done = True
        elif word == "error":
            self.error = line
        else:
            raise TransportError(f"The receiver gave an unexpected answer: {line[:200]!r}.")
