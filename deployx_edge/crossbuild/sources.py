"""The source archives that the recipes name, each pinned by its sha256.

They lie by their hash in Conan's own source cache (``core.sources:download_cache``), so
that the recipes' ordinary ``get(url, sha256)`` finds them without a network.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployx_edge.crossbuild.events import OnEvent, StepStarted, silent
from deployx_edge.crossbuild.finished import hash_file
from deployx_edge.crossbuild.workers import package_names
from deployx_edge.errors import SourceError
from deployx_edge.resources import cache_folder, data_folder
from deployx_edge.target import Target
from deployx_edge.worker_facts import worker_facts, worker_names

if TYPE_CHECKING:
    from deployx_edge.crossbuild.fetching import Attempt


@dataclass(frozen=True, kw_only=True)
class Archive:
    """One archive. ``urls`` are upstream addresses (``https:``) and package URLs
    (``pkg:pypi/…``, ``pkg:deb/…``), which name a registry but no address; ``packages``
    are the recipes that unpack it. ``machine`` is the one that what is inside was compiled for
    (as ``uname -m`` says it), "" for sources."""

    filename: str
    sha256: str
    urls: tuple[str, ...]
    packages: tuple[str, ...]
    machine: str = ""

    @property
    def path(self) -> Path:
        """Where Conan looks for it."""
        return source_cache() / "s" / self.sha256

    @property
    def present(self) -> bool:
        """Whether it is there. Only whole files of the right hash are ever put there."""
        return self.path.is_file()


def source_cache() -> Path:
    """The folder for ``core.sources:download_cache``."""
    return cache_folder() / "sources"


def archives(recipes: Path | None = None) -> tuple[Archive, ...]:
    """Every archive that a recipe names, by file name."""
    import yaml

    found: dict[str, Archive] = {}
    for path in sorted((recipes or data_folder("recipes")).glob("*/all/conandata.yml")):
        package = path.parents[1].name
        versions = yaml.safe_load(path.read_text(encoding="utf-8"))["sources"]
        for row in (row for version in versions.values() for row in _rows(version)):
            urls = (row["url"],) if isinstance(row["url"], str) else tuple(row["url"])
            known = found.get(row["sha256"])
            found[row["sha256"]] = Archive(
                filename=row["filename"],
                sha256=row["sha256"],
                urls=urls,
                packages=(*(known.packages if known else ()), package),
                machine=row.get("machine", ""),
            )
    return tuple(sorted(found.values(), key=lambda archive: archive.filename))


def needed_archives(target: Target) -> tuple[Archive, ...]:
    """Those that a build of the target unpacks: not what is compiled for other machines, nor
    what only workers that it does not have are made of."""
    packed = [n for n in target.runtimes if not worker_facts(n).archives_for(target.id)]
    own = {package for name in packed for package in package_names(name)}
    absent = {package for name in worker_names() for package in package_names(name)} - own
    return tuple(
        archive
        for archive in archives()
        if archive.machine in ("", *target.machines) and not absent.issuperset(archive.packages)
    )


def _rows(version: dict[str, Any]) -> list[dict[str, Any]]:
    """The archives of one version: one, or several by name."""
    return [version] if "sha256" in version else list(version.values())


def ensure_archives(needed: Iterable[Archive], on_event: OnEvent = silent) -> tuple[Archive, ...]:
    """Fetch what is missing; returns what was fetched.

    Raises SourceError naming the archive, its sha256 and the way to add it by hand.
    """
    missing = [archive for archive in needed if not archive.present]
    for archive in missing:
        on_event(StepStarted(text=f"Fetching {archive.filename}"))
        _fetch(archive, on_event)
    return tuple(missing)


def add_archive(file: Path, known: Iterable[Archive] | None = None) -> Archive:
    """Put a file that was brought by hand where it belongs, by its hash; any name will do.

    SourceError where no recipe asks for that content.
    """
    if not file.is_file():
        raise SourceError(f"There is no file {file}.", remedy="Name an archive on this disk.")
    digest = hash_file(file)
    candidates = tuple(archives() if known is None else known)
    for archive in candidates:
        if archive.sha256 == digest:
            _put(file, archive)
            return archive
    same_name = next((a for a in candidates if a.filename == file.name), None)
    if same_name:
        raise SourceError(
            f"{file.name} should have the sha256 {same_name.sha256}, but has {digest}.",
            remedy="It is another file of that name; get the one with that hash.",
        )
    raise SourceError(
        f"No recipe asks for {file.name} (sha256 {digest}).",
        remedy="'deployx-edge sources list' shows what is needed.",
    )


def _fetch(archive: Archive, on_event: OnEvent) -> None:
    # It imports what speaks HTTP, which a build that is there needs not.
    from deployx_edge.crossbuild.fetching import fetch_archive

    archive.path.parent.mkdir(parents=True, exist_ok=True)
    part = archive.path.with_name(f"{archive.sha256}.{os.getpid()}.part")
    try:
        attempts = fetch_archive(
            archive.filename,
            archive.sha256,
            archive.urls,
            part,
            on_event,
        )
        if not part.is_file():
            raise SourceError(_lacking(archive, attempts), remedy=_remedy(archive))
        part.replace(archive.path)
    finally:
        part.unlink(missing_ok=True)


def _put(file: Path, archive: Archive) -> None:
    archive.path.parent.mkdir(parents=True, exist_ok=True)
    part = archive.path.with_name(f"{archive.sha256}.{os.getpid()}.part")
    shutil.copyfile(file, part)
    part.replace(archive.path)


def _lacking(archive: Archive, attempts: tuple[Attempt, ...]) -> str:
    tried = "; ".join(f"{attempt.where}: {attempt.found}" for attempt in attempts)
    return (
        f"The source {archive.filename} (sha256 {archive.sha256}, for "
        f"{', '.join(archive.packages)}) is not available ({tried})."
    )


def _remedy(archive: Archive) -> str:
    return (
        "Bring the file from a computer that has it and run "
        f"'deployx-edge sources add {archive.filename}'."
    )
