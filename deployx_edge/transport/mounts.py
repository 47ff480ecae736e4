"""Why a board's folder does not let programs run: how it is mounted, or SELinux."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from deployx_edge.process import Completed
from deployx_edge.transport.output import answer_text

_ASK = "cat /proc/mounts; echo; echo deployx-selinux $(getenforce 2> /dev/null)"
_ESCAPED = re.compile(r"\\([0-7]{3})")


class Runner(Protocol):
    """Whoever runs a program of the board (see ``Transport.run``)."""

    def run(
        self, argv: Sequence[str], *, input: bytes = b"", timeout: float | None = 60.0
    ) -> Completed:
        """One program, to its end."""


def why_programs_do_not_run(board: Runner, folder: str) -> str:
    """A reason for people, as far as the board tells one."""
    text = answer_text(board.run(["sh", "-c", _ASK]))
    table, _, enforcing = text.partition("deployx-selinux")
    mount = mount_of(table, folder)
    if mount is not None and "noexec" in mount[1].split(","):
        return f"{mount[0]} is mounted noexec"
    if enforcing.strip() == "Enforcing":
        return "SELinux is enforcing and denies it"
    return "neither a noexec mount nor SELinux is the reason; is it of this board's architecture?"


def mount_of(table: str, path: str) -> tuple[str, str] | None:
    """The mount point that holds ``path`` and its options, by ``/proc/mounts``' text.

    Of several on one place the last counts. None where the table names none.
    """
    best: tuple[str, str] | None = None
    for line in table.splitlines():
        words = line.split(" ")
        if len(words) < 4:
            continue
        # Spaces, tabs, line ends and backslashes stand there as octal numbers.
        point = _ESCAPED.sub(lambda found: chr(int(found[1], 8)), words[1])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and (best is None or len(point) >= len(best[0])):
            best = point, words[3]
    return best
