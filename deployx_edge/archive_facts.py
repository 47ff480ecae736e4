"""Archives of libraries that a user brings, as a ``worker.json`` says it (see ``worker_facts``)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from deployx_edge.chip_facts import LIBRARY
from deployx_edge.json_members import check_members, read_text_member, read_texts, require

_MEMBERS = {"artifact", "package", "oldest", "before", "headers", "api", "libraries", "wants"}
_MEMBERS |= {"or_sdk"}
_ARTIFACT = re.compile(r"[a-z][a-z0-9_.-]{0,99}:[a-z][a-z0-9_.-]{0,99}")
_PACKAGE = re.compile(r"[a-z][a-z0-9-]{0,63}")
_VERSION = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}")
_RELEASE = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}")
_MACRO = re.compile(r"([A-Z][A-Z0-9_]{0,63})?")


@dataclass(frozen=True, kw_only=True)
class ArchiveFacts:
    """What a worker takes of one archive for Android (an AAR), in place of a package of ours.

    ``artifact`` are its Maven coordinates without the version, ``package`` is the name by which a
    build tells that. Versions from ``oldest`` on and ``before`` another one are taken. ``headers``
    are what the worker is compiled with; the macro ``api`` of the first ("" for none) is the
    second number of the version. ``libraries`` have to be there and travel with the worker.
    ``wants`` names another archive's ``package`` with the oldest of its releases that fits, by the
    release of this one ("2.6", "2.50"). With ``or_sdk`` the libraries are those of the worker's
    ``SdkFacts``, and such an SDK serves in the archive's place.
    """

    artifact: str
    package: str
    oldest: str
    before: str
    headers: tuple[str, ...]
    api: str
    libraries: tuple[str, ...]
    wants: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    or_sdk: bool

    @property
    def name(self) -> str:
        """The beginning of its file's name: a version and ``.aar`` follow."""
        return f"{self.artifact.partition(':')[2]}-"


def read_archives(document: dict[str, Any]) -> tuple[tuple[str, tuple[ArchiveFacts, ...]], ...]:
    """By target, from a whole file of facts; ValueError says what is wrong with it."""
    named = document.get("archives", {})
    require(isinstance(named, dict), '"archives" does not list archives by target')
    for rows in named.values():
        require(isinstance(rows, list) and bool(rows), '"archives" of a target is not a list')
    return tuple((target, tuple(_archive(row) for row in rows)) for target, rows in named.items())


def _archive(document: Any) -> ArchiveFacts:
    check_members(document, _MEMBERS, "an archive")
    or_sdk = document.get("or_sdk", False)
    require(isinstance(or_sdk, bool), '"or_sdk" is neither true nor false')
    archive = ArchiveFacts(
        artifact=read_text_member(document, "artifact", _ARTIFACT),
        package=read_text_member(document, "package", _PACKAGE),
        oldest=read_text_member(document, "oldest", _VERSION),
        before=read_text_member(document, "before", _VERSION),
        headers=read_texts(document, "headers", LIBRARY),
        api=read_text_member({"api": "", **document}, "api", _MACRO),
        libraries=read_texts(document, "libraries", LIBRARY),
        wants=_wants(document.get("wants", {})),
        or_sdk=or_sdk,
    )
    require(bool(archive.libraries) != or_sdk, "an archive has libraries of its own or an SDK's")
    require(bool(archive.headers) or not archive.api, 'an archive has "api", and no headers')
    return archive


def _wants(document: Any) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    sound = isinstance(document, dict) and all(
        _PACKAGE.fullmatch(package) and isinstance(releases, dict) and _are_releases(releases)
        for package, releases in document.items()
    )
    require(sound, '"wants" does not name releases of another package by those of this one')
    return tuple((package, tuple(releases.items())) for package, releases in document.items())


def _are_releases(releases: dict[str, Any]) -> bool:
    words = [word for pair in releases.items() for word in pair]
    return all(isinstance(word, str) and _RELEASE.fullmatch(word) for word in words)
