"""A sysroot: what was copied from a board for linking, and the list of it, ``sysroot.json``."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from deployx_edge.crossbuild.jetpack import JetPack, jetpack_of_glibc
from deployx_edge.errors import UsageError
from deployx_edge.files import LARGE, read_json
from deployx_edge.target import Target, target_of_machine
from deployx_edge.versions import numbers

SCHEMA = 1
SYSROOT_FILE = "sysroot.json"
# Where this computer's own files lie: what is a sysroot of the boards that are like it.
OWN_ROOT = Path("/")
_HERE = "this computer"


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

    @property
    def is_own(self) -> bool:
        """Whether it was not copied from a board: this computer's files, or a vendor's folder."""
        return self.uri == _HERE

    @property
    def text(self) -> str:
        """As a sentence begins with it."""
        if not self.is_own:
            return f"The sysroot {self.folder}"
        return "This computer" if self.folder == OWN_ROOT else f"The folder {self.folder}"


def own_sysroot(folder: Path, target: Target, headers: Sequence[str]) -> Sysroot:
    """A folder of this computer as a sysroot: ``OWN_ROOT``, one that is laid out like it, or one
    with ``include`` and ``lib``.

    ``headers`` are those whose content tells one such folder from another.
    UsageError where this computer's processor is not the target's, or the folder is neither.
    """
    if platform.machine() not in target.machines:
        raise UsageError(
            f"This computer is a {platform.machine()}, and boards of {target.id} are "
            f"{' or '.join(target.machines)}.",
            remedy="Pull the sysroot of such a board.",
        )
    if not any((folder / place).is_dir() for place in ("include", "usr/include")):
        raise UsageError(
            f"{folder} is not a sysroot: it has neither {SYSROOT_FILE} nor a folder include.",
            remedy="Name what 'deployx-edge sysroot pull' made, or a folder with the headers in "
            "include/ and the libraries in lib/.",
        )
    sysroot = Sysroot(
        folder=folder,
        uri=_HERE,
        machine=target.machines[0],
        glibc="",
        jetpack="",
        patterns=(),
        absent=(),
        files=(),
        links=(),
    )
    found = (find_header(sysroot, name) for name in headers)
    return replace(sysroot, files=tuple(_as_file(path) for path in found if path is not None))


def _as_file(path: Path) -> SysrootFile:
    stat, digest = path.stat(), hashlib.sha256(path.read_bytes())
    return SysrootFile(
        path=str(path), size=stat.st_size, modified=int(stat.st_mtime), sha256=digest.hexdigest()
    )


def find_header(sysroot: Sysroot, name: str) -> Path | None:
    """A header where compilers look, or among CUDA's."""
    folders = _include_folders(sysroot)
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def find_libraries(sysroot: Sysroot, name: str) -> list[Path]:
    """A shared library with all its names, whatever version stands after them."""
    root = sysroot.folder
    folders = [root / f"usr/lib/{sysroot.machine}-linux-gnu", root / "usr/lib"]
    if sysroot.is_own:
        folders += [root / "lib", *sorted(root.glob("targets/*/lib"))]
    for place in _cuda_places(sysroot):
        folders += [place / "lib", place / "lib64"]
    return [path for folder in folders for path in sorted(folder.glob(f"{name}*"))]


def _include_folders(sysroot: Sysroot) -> list[Path]:
    root = sysroot.folder
    folders = [root / f"usr/include/{sysroot.machine}-linux-gnu", root / "usr/include"]
    if sysroot.is_own:
        folders.append(root / "include")
    return [*folders, *(place / "include" for place in _cuda_places(sysroot))]


def _cuda_places(sysroot: Sysroot) -> list[Path]:
    """Folders of CUDA; a vendor's folder of something else takes this computer's."""
    pattern = "usr/local/cuda*/targets/*"
    found = sorted(sysroot.folder.glob(pattern))
    return found or (sorted(OWN_ROOT.glob(pattern)) if sysroot.is_own else [])


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


def check_sysroot(sysroot: Sysroot, target: Target, jetpack: JetPack | None) -> None:
    """UsageError unless workers for ``target`` and that JetPack can be linked against it."""
    if sysroot.machine not in target.machines:
        fitting = target_of_machine(sysroot.machine)
        other = f" That is {fitting.id}'s." if fitting else ""
        raise UsageError(
            f"The sysroot {sysroot.folder} is of a board ({sysroot.uri}) whose uname -m says "
            f"{sysroot.machine}; the target {target.id} wants {' or '.join(target.machines)}.",
            remedy=f"Pull one from a board of {target.id}.{other}",
        )
    if jetpack and sysroot.glibc and numbers(sysroot.glibc) < numbers(jetpack.glibc):
        there = jetpack_of_glibc(sysroot.glibc)
        raise UsageError(
            f"The sysroot {sysroot.folder} is of a board with glibc {sysroot.glibc}, as JetPack "
            f"{there.id} has it; workers for JetPack {jetpack.id} take glibc {jetpack.glibc} and "
            "would not start there.",
            remedy="Leave --jetpack out, or pull the sysroot of a board with that JetPack.",
        )


def cmake_options(sysroot: Sysroot) -> tuple[str, ...]:
    """What makes CMake's find_path, find_library and find_package look there, too.

    Not CMAKE_SYSROOT: zig brings the C library's own headers, for the version that is asked for.
    """
    if sysroot.is_own:
        folders = ";".join(str(path) for path in _include_folders(sysroot) if path.is_dir())
        return (f"-DCMAKE_INCLUDE_PATH={folders}",)
    places = sorted(sysroot.folder.glob("usr/local/cuda*/targets/*"))
    prefixes = [f"/{path.relative_to(sysroot.folder).as_posix()}" for path in places]
    architecture = f"{sysroot.machine}-linux-gnu"
    return (
        f"-DCMAKE_FIND_ROOT_PATH={sysroot.folder}",
        f"-DCMAKE_LIBRARY_ARCHITECTURE={architecture}",
        f"-DCMAKE_PREFIX_PATH={';'.join(['/usr', *prefixes])}",
    )
