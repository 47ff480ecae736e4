"""Archives for Android (AAR) that a user brings: where they lie, and which of them is meant.

Nobody fetches them here: they lie in one folder, under the names that Maven repositories give
them (``onnxruntime-android-1.29.0.aar``).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from deployx_edge.archive_facts import ArchiveFacts
from deployx_edge.config import load_config
from deployx_edge.errors import MissingToolError, UsageError
from deployx_edge.resources import expanded
from deployx_edge.versions import numbers, release

VARIABLE = "DEPLOYX_EDGE_ANDROID_ARCHIVES"
KEY = "toolchains.android.archives in deployx.toml"
_ENDING = ".aar"
_VERSION = re.compile(r"([0-9]+(?:\.[0-9]+)+)[A-Za-z0-9.-]*")
_MOST_NAMES = 6


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A file that was found; ``version`` is what its name says: "1.29.0"."""

    path: Path
    facts: ArchiveFacts
    version: str

    @property
    def release(self) -> str:
        """The first two numbers of the version: "1.29"."""
        return release(self.version)


def configured_archives() -> tuple[Path, str] | None:
    """The folder that they lie in and who says so; None where nobody does.

    The environment counts before ``deployx.toml``. Nothing is looked at.
    """
    if named := os.environ.get(VARIABLE):
        return expanded(named), VARIABLE
    configured = load_config().android.archives
    return (configured, KEY) if configured is not None else None


def find_archive(facts: ArchiveFacts) -> Archive:
    """The archive of these facts.

    MissingToolError where there is none, with its coordinates and where it is to lie; UsageError
    where there are several, or where it is of a version that is not taken.
    """
    wanted = f"{facts.name}VERSION{_ENDING}"
    found = configured_archives()
    if found is None:
        raise MissingToolError(
            f"{wanted} is wanted, and no folder with archives for Android is configured.",
            remedy=_get(facts, "into a folder", f" Set {VARIABLE} to that folder, or {KEY}."),
        )
    folder, origin = found
    if not folder.is_dir():
        raise MissingToolError(
            f"{origin} names {folder}, which is not a folder.",
            remedy=_get(facts, "into a folder", " Name that folder there."),
        )
    versions = _versions(folder, facts)
    if not versions:
        raise MissingToolError(
            f"{folder}, which {origin} names, has no {wanted}; it has {_others(folder)}.",
            remedy=_get(facts, "there"),
        )
    if len(versions) > 1:
        raise UsageError(
            f"{folder} has several of {facts.artifact}: {', '.join(sorted(versions))}.",
            remedy="Leave the one that is to be taken.",
        )
    ((version, path),) = versions.items()
    if not numbers(facts.oldest) <= numbers(version) < numbers(facts.before):
        raise UsageError(
            f"{path} is of version {version}; of {facts.artifact} versions {_range(facts)} are "
            "taken.",
            remedy=_get(facts, "in its place"),
        )
    return Archive(path=path.absolute(), facts=facts, version=version)


def _versions(folder: Path, facts: ArchiveFacts) -> dict[str, Path]:
    found = {}
    for path in folder.glob(f"{facts.name}*{_ENDING}"):
        version = _VERSION.fullmatch(path.name[len(facts.name) : -len(_ENDING)])
        if version and path.is_file():
            found[version[1]] = path
    return found


def _others(folder: Path) -> str:
    names = sorted(path.name for path in folder.glob(f"*{_ENDING}"))
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return (", ".join(names[:_MOST_NAMES]) + more) or f"no {_ENDING} file"


def _range(facts: ArchiveFacts) -> str:
    return f"from {facts.oldest} on and before {facts.before}"


def _get(facts: ArchiveFacts, place: str, more: str = "") -> str:
    return (
        f"Get the file of {facts.artifact} from a Maven repository, in a version {_range(facts)}, "
        f"and put it {place}.{more}"
    )
