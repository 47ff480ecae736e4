"""Who may change what lies in a work folder: its own user and root, and nobody else."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from deployx_edge.errors import DeviceStorageError

# Android's own: `system` owns /data, `shell` the folder that a shell user may write to.
_ANDROID_USERS = frozenset({1000, 2000})
# More links on the way to a file no kernel follows.
_MOST_WAYS = 40


@dataclass(frozen=True, kw_only=True)
class Place:
    """A file, folder or link by its path, as ``ls -ldn`` shows it; ``mode`` is text like
    ``drwxr-xr-x``."""

    path: str
    mode: str
    uid: int
    gid: int


def parse_place(path: str, listed: str) -> Place | None:
    """What ``ls -ldn`` printed of ``path``; None where that is not its form."""
    words = listed.split()
    if len(words) < 4 or len(words[0]) < 10:
        return None
    if not all(word.isascii() and word.isdigit() and len(word) < 11 for word in words[2:4]):
        return None
    return Place(path=path, mode=words[0][:10], uid=int(words[2]), gid=int(words[3]))


def places_here(path: Path) -> Iterator[Place]:
    """``path`` of this computer and all above it, as it is written, on its way through links, and
    where it really lies."""
    ways, seen = [path, Path(os.path.realpath(path))], set[Path]()
    for way in ways:
        for place in (way, *way.parents):
            if place in seen:
                continue
            seen.add(place)
            try:
                state = place.lstat()
                if stat.S_ISLNK(state.st_mode) and len(ways) < _MOST_WAYS:
                    ways.append(place.parent / place.readlink())
            except OSError:
                continue  # What is not there yet is made by us.
            mode = stat.filemode(state.st_mode)
            yield Place(path=str(place), mode=mode, uid=state.st_uid, gid=state.st_gid)


def check_places(
    places: Iterable[Place], own: int | None, folder: str, where: str, *, android: bool = False
) -> None:
    """DeviceStorageError, by name, for the first of ``places`` that another user could change.

    ``folder`` is the work folder, ``own`` the user that programs run as there, None where the
    board does not say. The folder, and those above it, may be open to all where they are sticky:
    what lies in them can be removed by its owner only, and is judged by itself.
    """
    users = {0, *(() if own is None else (own,)), *(_ANDROID_USERS if android else ())}
    for place in places:
        reason = _distrust(place, None if own is None else users, users, folder)
        if reason:
            raise untrusted(folder, where, f"{place.path} {reason}")


def untrusted(folder: str, where: str, reason: str) -> DeviceStorageError:
    """The refusal of a work folder; ``reason`` begins with the path that it is about."""
    return DeviceStorageError(
        f"The work folder {folder} on {where} cannot be trusted: {reason}.",
        remedy="Make it yours alone (chown, chmod go-w), or name another folder with "
        'work_folder = "/…".',
    )


def check_here(path: Path, folder: str, where: str) -> None:
    """``check_places`` for a path of this computer."""
    check_places(places_here(path), os.geteuid(), folder, where)


def make_private(folder: Path) -> None:
    """The folder, and what is missing above it, for this user alone; what is there stays."""
    for place in reversed((folder, *folder.parents)):
        if not place.is_dir():
            place.mkdir(mode=0o700, exist_ok=True)


def _distrust(place: Place, owners: set[int] | None, groups: set[int], folder: str) -> str | None:
    """Why others could change it; None where only we and root can. A user's own group has the
    user's number on most systems, and nobody else in it."""
    if owners is not None and place.uid not in owners:
        return f"belongs to the user {place.uid}"
    sticky = place.mode[9] in "tT" and not place.path.startswith(f"{folder}/")
    if place.mode[0] == "l" or sticky:
        return None
    if place.mode[8] == "w":
        return "may be written by every user"
    if place.mode[5] == "w" and place.gid not in groups:
        return f"may be written by the group {place.gid}"
    return None


def listed_places(lines: Sequence[tuple[str, str]]) -> tuple[list[Place], int | None]:
    """Of what a board's script printed, as pairs of a word and the rest: the places
    (``path PATH``, ``is LISTED``), and the user's number (``own NUMBER``)."""
    places: list[Place] = []
    own: int | None = None
    path = ""
    for word, rest in lines:
        if word == "own" and rest.isascii() and rest.isdigit():
            own = int(rest)
        elif word == "path":
            path = rest
        elif word == "is" and (place := parse_place(path, rest)):
            places.append(place)
    return places, own
