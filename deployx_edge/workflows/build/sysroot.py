"""Copy from a board what linking for it needs, so that the copy stands alone."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from deployx_edge.crossbuild.finished import hash_file
from deployx_edge.crossbuild.jetpack import JetPack, find_jetpack, jetpacks
from deployx_edge.crossbuild.sysroot import (
    SYSROOT_FILE,
    Sysroot,
    SysrootFile,
    SysrootLink,
    read_sysroot,
    write_sysroot,
)
from deployx_edge.device import Device
from deployx_edge.errors import TransportError, UsageError
from deployx_edge.progress import Progress, Stage, Transfer, silent
from deployx_edge.transport import open_device
from deployx_edge.transport.output import answer_text
from deployx_edge.transport.protocol import Transport
from deployx_edge.transport.tree import BoardFile, Tree, hash_files, list_tree, read_files
from deployx_edge.units import size
from deployx_edge.workflows.locking import locked

_INCOMING = ".incoming"
_BLOCK_BYTES = 1 << 20
_SHOWN = 3

# A Jetson tells its release in a file, glibc its version in itself.
_ASK = r"""
LC_ALL=C; export LC_ALL
[ ! -r /etc/nv_tegra_release ] || echo "tegra $(head -n 1 /etc/nv_tegra_release)"
for file in /lib/libc.so.6 /lib64/libc.so.6 /lib/*-linux-gnu*/libc.so.6; do
  [ -r "$file" ] || continue
  words='stable release version [0-9.]*[0-9]'
  { grep -a -o "$words" "$file" || grep -o "$words" "$file"; } 2> /dev/null | head -n 1
  break
done
"""


@dataclass(frozen=True, kw_only=True)
class SysrootPull:
    """What one pull did. ``moved`` files came over the link, ``kept`` were here already,
    ``removed`` are gone from the board; ``compared`` says whether the board's own sha256 of
    what came was compared; ``broken`` are links on the board that lead nowhere."""

    sysroot: Sysroot
    moved: int
    moved_bytes: int
    kept: int
    removed: int
    compared: bool
    broken: tuple[str, ...]
    seconds: float


def pull_sysroot(
    device: Device,
    folder: Path,
    *,
    jetpack: str = "",
    paths: Sequence[str] = (),
    progress: Progress = silent,
) -> SysrootPull:
    """Bring ``folder`` up to date with the board: a JetPack's list of paths, and ``paths``.

    Only what is missing or has changed is moved; a pull that was interrupted goes on where
    it ended. Each file is there whole or not at all, and ``sysroot.json`` is written last.
    """
    started = time.monotonic()
    _check_paths(paths)
    progress(Stage(text=f"Connecting to {device.name}"))
    with open_device(device) as transport:
        board = _ask(transport)
        release = find_jetpack(jetpack) if jetpack else board.jetpack
        patterns = _patterns(device, release, paths)
        progress(Stage(text="Listing what is there"))
        tree = _checked(list_tree(transport, patterns), device, patterns)
        with _prepared(folder):
            old = _present_sysroot(folder, board.machine)
            state = _compare(folder, tree, old)
            _move(transport, folder, state, progress)
            progress(Stage(text="Comparing hashes"))
            compared = _compare_with_board(transport, folder, state)
            sysroot = Sysroot(
                folder=folder,
                uri=transport.uri,
                machine=board.machine,
                glibc=board.glibc,
                jetpack=release.id if release else "",
                patterns=tuple(patterns),
                absent=tree.absent,
                files=state.described(tree),
                links=_link(folder, tree),
            )
            removed = _remove_stale(sysroot, old)
            write_sysroot(sysroot)
    return SysrootPull(
        sysroot=sysroot,
        moved=len(state.needed),
        moved_bytes=sum(file.size for file in state.needed),
        kept=len(tree.files) - len(state.needed),
        removed=removed,
        compared=compared,
        broken=tree.broken,
        seconds=time.monotonic() - started,
    )


@dataclass(frozen=True, kw_only=True)
class _Board:
    machine: str
    glibc: str
    jetpack: JetPack | None


@dataclass(kw_only=True)
class _State:
    """Which files have to come; the sha256 of those that are here, by path; and of which of
    them it is not known yet that the board has the same."""

    needed: list[BoardFile]
    hashes: dict[str, str]
    unsure: list[str]

    def described(self, tree: Tree) -> tuple[SysrootFile, ...]:
        return tuple(
            SysrootFile(
                path=file.path[1:],
                size=file.size,
                modified=file.modified,
                sha256=self.hashes[file.path],
            )
            for file in tree.files
        )


def _check_paths(paths: Sequence[str]) -> None:
    for path in paths:
        if not path.startswith("/") or ".." in PurePosixPath(path).parts:
            raise UsageError(f"--path {path} must be an absolute path on the board, without '..'.")


def _ask(transport: Transport) -> _Board:
    lines = answer_text(transport.run(["sh", "-c", _ASK])).splitlines()
    tegra = next(
        (re.search(r"# R([0-9]{1,4})\b", line) for line in lines if line[:6] == "tegra "), None
    )
    versions = [line.split()[-1] for line in lines if line.startswith("stable release version")]
    # Jetson Linux 35 is JetPack 5, and so on since 32 was JetPack 4.
    release = jetpacks().get(str(int(tegra[1]) - 30)) if tegra else None
    return _Board(
        machine=transport.machine(), glibc=versions[0] if versions else "", jetpack=release
    )


def _patterns(device: Device, release: JetPack | None, paths: Sequence[str]) -> list[str]:
    patterns = [*(release.paths if release else ()), *(path.rstrip("/") or "/" for path in paths)]
    if patterns:
        return patterns
    raise UsageError(
        f"{device.name} does not say that it is a Jetson (/etc/nv_tegra_release), so there is no "
        "list of what to copy.",
        remedy="Name the release (--jetpack 5), or what to copy (--path /usr/include).",
    )


def _checked(tree: Tree, device: Device, patterns: Sequence[str]) -> Tree:
    """The tree, unless it is empty or would not stay in its folder."""
    if not tree.files:
        raise UsageError(
            f"{device.name} has none of {', '.join(patterns[:_SHOWN])}"
            f"{', …' if len(patterns) > _SHOWN else ''}.",
            remedy="Install the packages there, or name other places with --path.",
        )
    for path in (*(file.path for file in tree.files), *(p for pair in tree.links for p in pair)):
        if not path.startswith("/") or ".." in PurePosixPath(path).parts:
            raise TransportError(f"{device.name} lists {path!r}, which is not a path of a file.")
    return tree


@contextmanager
def _prepared(folder: Path) -> Iterator[None]:
    """The folder is there, is ours alone, and what goes wrong with it is told."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / ".lock"):
            shutil.rmtree(folder / _INCOMING, ignore_errors=True)
            (folder / _INCOMING).mkdir()
            yield
            (folder / _INCOMING).rmdir()
    except OSError as error:
        raise UsageError(
            f"{error.filename or folder} cannot be written ({error.strerror}).",
            remedy="Name another folder with -o.",
        ) from error


def _present_sysroot(folder: Path, machine: str) -> Sysroot | None:
    """What an earlier pull left, if it ended; UsageError where it is of another kind of board."""
    if not (folder / SYSROOT_FILE).exists():
        return None
    old = read_sysroot(folder)
    if old.machine != machine:
        raise UsageError(
            f"{folder} holds a sysroot of {old.uri} ({old.machine}); this board is {machine}.",
            remedy="Name another folder with -o.",
        )
    return old


def _compare(folder: Path, tree: Tree, old: Sysroot | None) -> _State:
    """Hold what is in the folder against what the board lists."""
    known = {f"/{file.path}": file for file in old.files} if old else {}
    state = _State(needed=[], hashes={}, unsure=[])
    for file in tree.files:
        place = folder / file.path[1:]
        if not _is_like(place, file):
            state.needed.append(file)
            continue
        sha256 = hash_file(place)
        before = known.get(file.path)
        listed = before is not None and (before.size, before.modified) == (file.size, file.modified)
        if listed and before is not None and before.sha256 != sha256:
            state.needed.append(file)  # Changed here, behind the list's back.
            continue
        state.hashes[file.path] = sha256
        if not listed:
            state.unsure.append(file.path)
    return state


def _is_like(place: Path, file: BoardFile) -> bool:
    try:
        facts = place.lstat()
    except OSError:
        return False
    same = (facts.st_size, int(facts.st_mtime)) == (file.size, file.modified)
    return stat.S_ISREG(facts.st_mode) and same


def _move(transport: Transport, folder: Path, state: _State, progress: Progress) -> None:
    """Bring what is needed; each file appears when all of it is here."""
    total = sum(file.size for file in state.needed)
    free = shutil.disk_usage(folder).free
    if total > free:
        raise UsageError(
            f"{folder} has {size(free)} free; the files take {size(total)}.",
            remedy="Make room, or name another folder with -o.",
        )
    if not state.needed:
        return
    progress(Stage(text="Copying"))
    started, sent = time.monotonic(), 0
    wanted = {file.path: file for file in state.needed}
    for path, content in read_files(transport, list(wanted)):
        file = wanted.get(path)
        if file is None or (isinstance(content, str) and content not in state.hashes):
            raise TransportError(f"{transport.uri} sends {path!r}, which was not asked for.")
        if isinstance(content, str):
            with (folder / content[1:]).open("rb") as same:
                state.hashes[path] = _store(folder, file, same)
        else:
            state.hashes[path] = _store(folder, file, content)
        state.unsure.append(path)
        sent += file.size
        seconds = time.monotonic() - started
        progress(Transfer(sent_bytes=sent, total_bytes=total, seconds=seconds))
    missing = [path for path in wanted if path not in state.hashes]
    if missing:
        raise TransportError(
            f"{len(missing)} files on {transport.uri} cannot be read, such as {missing[0]}.",
            remedy="Give the user the right to read them, or copy them as another one.",
        )


def _store(folder: Path, file: BoardFile, content: IO[bytes]) -> str:
    """Write one file beside and put it in its place; its sha256."""
    part = folder / _INCOMING / "file"
    digest, count = hashlib.sha256(), 0
    with part.open("wb") as out:
        while block := content.read(_BLOCK_BYTES):
            digest.update(block)
            count += out.write(block)
    if count != file.size:
        raise TransportError(
            f"{file.path} was listed with {file.size} bytes, and {count} came: it has changed.",
            remedy="Pull again when nothing is being installed on the board.",
        )
    os.utime(part, (file.modified, file.modified))
    place = _cleared(folder, file.path)
    part.replace(place)
    return digest.hexdigest()


def _cleared(folder: Path, path: str) -> Path:
    """Where a path of the board lies here; folders above it are made, links among them go."""
    place = folder / path[1:]
    for parent in reversed(place.relative_to(folder).parents[:-1]):
        here = folder / parent
        if here.is_symlink() or here.is_file():
            here.unlink()
        here.mkdir(exist_ok=True)
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    return place


def _compare_with_board(transport: Transport, folder: Path, state: _State) -> bool:
    """Hold what came against the board's own sha256; whether it could say them."""
    said = hash_files(transport, state.unsure)
    if said is None:
        return False
    different = [path for path in state.unsure if said.get(path) != state.hashes[path]]
    for path in different:
        (folder / path[1:]).unlink(missing_ok=True)
    if different:
        raise TransportError(
            f"{len(different)} files are not what the board has, such as {different[0]}.",
            remedy="Pull again: they are copied anew, all others stay.",
        )
    return True


def _link(folder: Path, tree: Tree) -> tuple[SysrootLink, ...]:
    """Make the board's links, each leading within the folder to where it ends on the board."""
    known = {path for path, _ in tree.links}
    made = []
    for path, target in tree.links:
        if not known.isdisjoint(str(parent) for parent in PurePosixPath(path).parents):
            continue  # Reached through a link above it.
        leads_to = os.path.relpath(target, PurePosixPath(path).parent)
        place = _cleared(folder, path)
        part = folder / _INCOMING / "link"
        part.symlink_to(leads_to)
        part.replace(place)
        made.append(SysrootLink(path=path[1:], leads_to=leads_to))
    return tuple(made)


def _remove_stale(sysroot: Sysroot, old: Sysroot | None) -> int:
    """Remove what an earlier list holds and the new one does not; how many."""
    if old is None:
        return 0
    paths = {entry.path for entry in old.files} | {entry.path for entry in old.links}
    paths -= {entry.path for entry in sysroot.files}
    paths -= {entry.path for entry in sysroot.links}
    gone = sorted(paths)
    for path in gone:
        (sysroot.folder / path).unlink(missing_ok=True)
    return len(gone)
