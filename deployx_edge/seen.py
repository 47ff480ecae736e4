"""What of each runtime was seen to work where, read from ``toolchains/seen.toml``, and of the
operators of our own in it, from ``ops/seen.toml``.

One list each for ``runtimes list`` and ``op list``, the tables of the documents and the tests that
hold them together.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache

from deployx_edge.resources import data_folder

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# From the most to the least that can be said.
HOWS = ("run", "emulated", "compiled", "not tried")
# Where models are converted and compared: the tool's own computer.
HERE = "here"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """How far a runtime was tried in one place.

    ``place`` is a target's id, or ``HERE`` for this computer's own. ``how`` is one of ``HOWS``:
    "run" on such hardware, "emulated" by an emulator or a simulator, "compiled" only, or "not
    tried". ``what`` says in a few words what ran, or what is missing; ``test`` is the file of the
    tests that do it, "" where none can.
    """

    runtime: str
    place: str
    how: str
    what: str
    test: str


def all_seen() -> tuple[Seen, ...]:
    """Every row of the runtimes, in the file's order."""
    return _rows("toolchains")


def operators_seen() -> tuple[Seen, ...]:
    """Every row of the operators of our own: how far those of a runtime were tried in a place."""
    return _rows("ops")


@cache
def _rows(folder: str) -> tuple[Seen, ...]:
    text = (data_folder(folder) / "seen.toml").read_text(encoding="utf-8")
    return tuple(
        Seen(runtime=runtime, place=place, **{"test": "", **row})
        for runtime, places in tomllib.loads(text).items()
        for place, row in places.items()
    )


def seen_of(runtime: str) -> tuple[Seen, ...]:
    """The rows of one runtime."""
    return tuple(row for row in all_seen() if row.runtime == runtime)
