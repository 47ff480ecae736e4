"""Runtimes that are the board's own: whether a sysroot has what their workers are compiled with.

It knows a worker's facts, a JetPack's versions and a sysroot's files, and no runtime by name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from deployx_edge.crossbuild.jetpack import JetPack
from deployx_edge.crossbuild.sysroot import Sysroot, find_header, find_libraries
from deployx_edge.errors import UsageError
from deployx_edge.target import Target
from deployx_edge.versions import numbers
from deployx_edge.worker_facts import BoardFacts, worker_facts

_DEFINE = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)[ \t]+(\w+)", re.MULTILINE)
_INDIRECTIONS = 4
_MOST_BYTES = 1 << 20
_INSTALL_HERE = (
    "Install it on this computer with its headers, or name a folder that has them in include/ and "
    "the libraries in lib/ (--sysroot DIR), or what 'sysroot pull' copied from such a board."
)
_PULL = "Run 'deployx-edge sysroot pull --device NAME -o DIR', then build with --sysroot DIR."


def board_runtimes(
    target: Target,
    sysroot: Sysroot | None,
    jetpack: JetPack | None,
    asked: tuple[str, ...],
    brought: tuple[str, ...] = (),
) -> tuple[str, ...]:
    """The target's runtimes whose workers can be built, in its order.

    ``brought`` are those that can of what users bring. Those that need a board's own files are
    left out where no sysroot has all of them; UsageError where one of these was asked for, and
    wherever a sysroot's files do not fit each other, the JetPack release or what the worker is
    written for, with both sides named.
    """
    unknown = [name for name in asked if name not in target.runtimes]
    if unknown:
        raise UsageError(
            f"Builds of {target.id} have no worker for '{unknown[0]}'.",
            remedy=f"They have {', '.join(target.runtimes)}.",
        )
    built = []
    for runtime in target.runtimes:
        facts = worker_facts(runtime)
        board = facts.board
        if board is None:
            has_all = not facts.is_brought_for(target.id) or runtime in brought
            built += [runtime] if has_all else []
        elif sysroot is not None and not (absent := _absent(sysroot, board)):
            _check(runtime, board, sysroot, jetpack)
            built.append(runtime)
        elif runtime in asked:
            raise _missing(runtime, sysroot, board, absent if sysroot is not None else ())
    return tuple(built)


def board_version(sysroot: Sysroot, board: BoardFacts) -> str:
    """The runtime's version by its header, "8.5"; "" where that does not say it."""
    header = find_header(sysroot, board.version_header)
    if header is None:
        return ""
    with header.open(encoding="utf-8", errors="replace") as file:
        known = dict(_DEFINE.findall(file.read(_MOST_BYTES)))
    words = []
    for name in board.version_macros:
        word = known.get(name, "")
        # Newer headers name a macro of another name there.
        for _ in range(_INDIRECTIONS):
            word = known.get(word, word)
        words.append(word)
    return ".".join(words) if all(word.isdecimal() for word in words) else ""


def _again(sysroot: Sysroot) -> str:
    return _INSTALL_HERE if sysroot.is_own else "Pull the sysroot again."


def _absent(sysroot: Sysroot, board: BoardFacts) -> tuple[str, ...]:
    """What of the board's headers and libraries the sysroot lacks."""
    headers = [name for name in board.headers if find_header(sysroot, name) is None]
    return (*headers, *(name for name in board.libraries if not find_libraries(sysroot, name)))


def _check(runtime: str, board: BoardFacts, sysroot: Sysroot, jetpack: JetPack | None) -> None:
    version = board_version(sysroot, board)
    if not version:
        raise UsageError(
            f"{sysroot.text} has a {board.version_header} that does not say which version "
            f"of {runtime} it is.",
            remedy=_again(sysroot),
        )
    _check_version(runtime, board, sysroot, version)
    known = jetpack.runtimes.get(runtime, ()) if jetpack else ()
    if known and version not in known and jetpack is not None:
        raise UsageError(
            f"{sysroot.text} has {runtime} {version}; JetPack {jetpack.id} has "
            f"{' or '.join(known)}.",
            remedy="Name the board's own with --jetpack, or pull the sysroot of a board with that "
            "JetPack.",
        )


def _check_version(runtime: str, board: BoardFacts, sysroot: Sysroot, version: str) -> None:
    if numbers(version) < numbers(board.oldest):
        raise UsageError(
            f"{sysroot.text} has {runtime} {version}; its worker is written for "
            f"{board.oldest} and later.",
            remedy=_INSTALL_HERE
            if sysroot.is_own
            else "Bring a newer JetPack onto the board, and pull the sysroot again.",
        )
    first, major = board.libraries[0], version.partition(".")[0]
    found = {number for path in find_libraries(sysroot, first) if (number := _major(path, first))}
    if found and major not in found:
        raise UsageError(
            f"{sysroot.text} does not fit together: its headers are of {runtime} "
            f"{version}, its library is {first}.{', '.join(sorted(found))}.",
            remedy="Remove one of the two."
            if sysroot.is_own
            else f"Remove one of the two on the board ({sysroot.uri}) and pull again.",
        )


def _missing(
    runtime: str, sysroot: Sysroot | None, board: BoardFacts, absent: Sequence[str]
) -> UsageError:
    if sysroot is None:
        return UsageError(
            f"The worker for {runtime} is compiled with a board's own headers, and no sysroot "
            "was named.",
            remedy=_PULL,
        )
    if board.headers[0] not in absent:
        return UsageError(
            f"{sysroot.text} has a part of {runtime} only: {', '.join(absent)} is missing.",
            remedy=_INSTALL_HERE
            if sysroot.is_own
            else f"Install it whole on the board ({sysroot.uri}) and pull the sysroot again.",
        )
    if sysroot.is_own:
        return UsageError(
            f"{sysroot.text} has no {board.headers[0]} to compile the worker for {runtime} with.",
            remedy=_INSTALL_HERE,
        )
    return UsageError(
        f"{sysroot.text} has no {board.headers[0]}: the board ({sysroot.uri}) had "
        f"no {runtime} to compile with.",
        remedy=f"Install it there with its headers, then pull again. {_PULL}",
    )


def _major(path: Path, name: str) -> str:
    """8 of libx.so.8.5.2; "" without a version."""
    return path.name.removeprefix(name).lstrip(".").partition(".")[0]
