"""A program behind a remote shell: how it is started so that it can be ended again."""

from __future__ import annotations

import re
import shlex
import threading
from collections.abc import Sequence

from deployx_edge.transport.output import OutputTail

# The shell outlives the program and tells a signal by its exit code (SSH's own
# "exit-signal" never reaches paramiko's caller), and tells the process id for close().
_SCRIPT = """exec 3<&0
{program} <&3 3<&- &
echo "deployx-pid $!" >&2
exec 3<&- < /dev/null
wait $!
exit $?"""
_PID_LINE = re.compile(rb"deployx-pid (\d{1,10})\n")
# What a login script says before it; a board that says more has no process id to tell.
_MOST_BEFORE_BYTES = 1 << 16


def reporting_script(argv: Sequence[str]) -> str:
    """What ``sh -c`` runs: the program, after its process id as first line of standard error."""
    return _SCRIPT.format(program=shlex.join(argv))


class ReportedErrors:
    """Standard error of a ``reporting_script``: the process id taken out, the rest kept."""

    def __init__(self, *, keep_all: bool) -> None:
        self._kept = OutputTail(keep_all=keep_all)
        self._before = b""
        self._told = threading.Event()
        self._pid = 0

    def add(self, chunk: bytes) -> None:
        """The next bytes, from the one thread that receives them."""
        if self._pid:
            self._kept.add(chunk)
            return
        self._before += chunk
        found = _PID_LINE.search(self._before)
        if found is not None:
            self._pid = int(found[1])
            self._kept.add(self._before[: found.start()] + self._before[found.end() :])
            self._before = b""
            self._told.set()
        elif len(self._before) > _MOST_BEFORE_BYTES:
            kept = len(self._before) - _MOST_BEFORE_BYTES
            self._kept.add(self._before[:kept])
            self._before = self._before[kept:]

    def end(self) -> None:
        """No more bytes come."""
        if not self._pid:
            self._kept.add(self._before)
            self._before = b""
        self._told.set()

    def pid(self, timeout: float) -> int:
        """The program's process id; 0 where the board has not told it within ``timeout``."""
        self._told.wait(timeout)
        return self._pid

    def everything(self) -> bytes:
        """All that is kept."""
        return self._kept.everything()

    def tail(self) -> str:
        """The last lines as text."""
        return self._kept.tail()
