"""How the process with PPQ says how far it is: lines on its standard output.

``phase: TEXT`` begins a phase, ``share: DONE TOTAL`` says how much of it is done.
"""

from __future__ import annotations

import time

PHASE = "phase: "
SHARE = "share: "
_TOLD_EVERY = 1.0  # seconds


class Teller:
    """The phase at work, and how many of how many calls of the model it has made."""

    def __init__(self) -> None:
        self._done, self._total, self._told = 0, 0, 0.0
        self.text = ""

    def phase(self, text: str, total: int = 0) -> None:
        """A phase begins, of so many calls as far as that is known."""
        self._done, self._total, self._told = 0, total, time.monotonic()
        self.text = text
        print(f"{PHASE}{text}", flush=True)

    def expect(self, total: int) -> None:
        """The phase is of so many calls."""
        self._total = total

    def reach(self, done: int) -> None:
        """The phase is there now, however many calls it took."""
        self._done = done
        self._tell()

    def advance(self) -> None:
        """Another call."""
        self._done += 1
        self._tell()

    def _tell(self) -> None:
        now = time.monotonic()
        if self._total and now - self._told >= _TOLD_EVERY:
            self._told = now
            print(f"{SHARE}{min(self._done, self._total)} {self._total}", flush=True)
