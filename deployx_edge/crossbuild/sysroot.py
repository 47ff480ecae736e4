"""A sysroot: what was copied from a board for linking, and the list of it, ``sysroot.json``."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deployx_edge.crossbuild.jetpack import numbers
from deployx_edge.errors import UsageError
from deployx_edge.files import LARGE, read_json
from deployx_edge.target import Target, target_of_machine

SCHEMA = 1
SYSROOT_FILE = "sysroot.json"


@dataclass(frozen=True, kw_only=True)
class SysrootFile:
    """One copied file. ``path`` is the board's, without the leading slash; ``modified`` its
    time of change there, in seconds since 1970 by the board's clock."""

    path: str
    size: int
    modified: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class SysrootLink:
    """One symbolic link; ``leads_to`` is relative to its folder and stays in the sysroot."""

    path: str
    leads_to: str


@dataclass(frozen=True, kw_only=True)
class Sysroot:
    """``sysroot.json``. ``machine`` is the board's ``uname -m``; ``glibc`` its version ("" where
    it has none); ``jetpack`` the list that was copied by ("" without one); ``patterns`` all
    that was asked for, ``absent`` what of it the board does not have."""

    folder: Path
    uri: str
    machine: str
    glibc: str
    jetpack: str
    patterns: tuple[str, ...]
    absent: tuple[str, ...]
    files: tuple[SysrootFile, ...]
    links: tuple[SysrootLink, ...]


def write_sysroot(sysroot: Sysroot) -> None:
    """Write ``sysroot.json`` by renaming."""
    path = sysroot.folder / SYSROOT_FILE
    part = path.with_name(f".{SYSROOT_FILE}.{os.getpid()}.part")
    part.write_text(json.dumps(to_document(sysroot), indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def to_document(sysroot: Sysroot) -> dict[str, Any]:
    """``sysroot.json``'s content."""
    document = asdict(sysroot)
    del document["folder"]
    return {"schema": SCHEMA, **document}


def read_sysroot(folder: Path) -> Sysroot:
    """Read ``sysroot.json``; UsageError where the folder has none that can be read."""
    path = folder / SYSROOT_FILE
    remedy = "Make it with 'deployx-edge sysroot pull --device NAME'."
    try:
        document = read_json(path, most=LARGE)
        if document.pop("schema") != SCHEMA:
            raise UsageError(f"{path} is of another schema than {SCHEMA}.", remedy=remedy)
        return Sysroot(
            folder=folder,
            files=tuple(SysrootFile(**row) for row in document.pop("files")),
            links=tuple(SysrootLink(**row) for row in document.pop("links")),
            patterns=tuple(document.pop("patterns")),
            absent=tuple(document.pop("absent")),
            **document,
        )
    except FileNotFoundError as error:
        raise UsageError(
            f"{folder} is not a sysroot: it has no {SYSROOT_FILE}.", remedy=remedy
        ) from (error)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"{path} cannot be read ({error}).", remedy=remedy) from error


def check_sysroot(sysroot: Sysroot, target: Target, glibc: str) -> None:
    """UsageError unless workers for ``target`` and that glibc can be linked against it."""
    if sysroot.machine not in target.machines:
        fitting = target_of_machine(sysroot.machine)
        other = f" That is {fitting.id}'s." if fitting else ""
        raise UsageError(
            f"The sysroot {sysroot.folder} is of a board ({sysroot.uri}) whose uname -m says "
            f"{sysroot.machine}; the target {target.id} wants {' or '.join(target.machines)}.",
            remedy=f"Pull one from a board of {target.id}.{other}",
        )
    if sysroot.glibc and glibc and numbers(sysroot.glibc) < numbers(glibc):
        raise UsageError(
            f"The sysroot {sysroot.folder} is of a board with glibc {sysroot.glibc}; workers for "
            f"glibc {glibc} would not start there.",
            remedy="Leave --jetpack out, or pull the sysroot of the newer board.",
        )


def cmake_options(sysroot: Sysroot) -> tuple[str, ...]:
    """What makes CMake's find_path, find_library and find_package look there, too.

    Not CMAKE_SYSROOT: zig brings the C library's own headers, for the version that is asked for.
    """
    places = sorted(sysroot.folder.glob("usr/local/cuda*/targets/*"))
    prefixes = [f"/{path.relative_to(sysroot.folder).as_posix()}" for path in places]
    architecture = f"{sysroot.machine}-linux-gnu"
    return (
        f"-DCMAKE_FIND_ROOT_PATH={sysroot.folder}",
        f"-DCMAKE_LIBRARY_ARCHITECTURE={architecture}",
        f"-DCMAKE_PREFIX_PATH={';'.join(['/usr', *prefixes])}",
    )
