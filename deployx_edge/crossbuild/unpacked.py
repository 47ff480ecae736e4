"""Archives for Android (AAR, which are ZIP files): what a worker takes of one, and unpacking it.

Which files are taken is settled when a build is planned, by the archive's own list; they are
unpacked into the cache, once for each archive, when the build runs.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import zipfile
import zlib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from deployx_edge.archives import Archive
from deployx_edge.crossbuild.elf import defined_versions, inspect_executable
from deployx_edge.errors import BuildError, UsageError
from deployx_edge.resources import cache_folder
from deployx_edge.scratch import beside, put_in_place
from deployx_edge.sdk_facts import SdkFacts

_LIBRARIES = "jni/arm64-v8a"
_MACHINE = "EM_AARCH64"
_HEADERS = "headers"
_LARGEST_BYTES = 512 << 20  # no library comes near it; a broken or hostile file could
_AGAIN = "Get the file again; a Maven repository tells its hash beside it."


@dataclass(frozen=True, kw_only=True)
class Unpacked:
    """What is taken of an archive, as it lies in ``folder`` once ``unpack`` was called.

    ``members`` are its files there by their names in the archive; ``libraries`` and ``others`` as
    ``BroughtPart`` has them; ``key`` covers the archive's place, size and time, and the members.
    """

    archive: Archive
    folder: Path
    key: str
    members: tuple[str, ...]
    libraries: tuple[Path, ...]
    others: tuple[Path, ...]
    other_processor: str

    @property
    def headers(self) -> Path:
        """Where compilers look for its headers."""
        return self.folder / _HEADERS

    def unpack(self) -> None:
        """Lay the files into the folder, unless they are there.

        UsageError where the archive is damaged, or holds what it should not.
        """
        if self.folder.is_dir():
            return
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with beside(self.folder) as fresh:
            self._unpack_into(fresh)
            self._check(fresh)
            put_in_place(fresh, self.folder)

    def _unpack_into(self, folder: Path) -> None:
        try:
            with zipfile.ZipFile(self.archive.path) as file:
                for name in self.members:
                    if file.getinfo(name).file_size > _LARGEST_BYTES:
                        raise UsageError(
                            f"{self.archive.path}: {name} is too large.", remedy=_AGAIN
                        )
                    place = folder / _place(name)
                    place.parent.mkdir(parents=True, exist_ok=True)
                    with file.open(name) as content, place.open("wb") as out:
                        shutil.copyfileobj(content, out)
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise UsageError(f"{self.archive.path} is damaged ({error}).", remedy=_AGAIN) from error

    def _check(self, folder: Path) -> None:
        others = {path.name for path in self.others}
        for name in self.members:
            if not _is_header(name):
                path = folder / _place(name)
                self._check_library(path, self.other_processor if path.name in others else "")
        self._check_api(folder)

    def _check_library(self, path: Path, other: str) -> None:
        wanted = other or _MACHINE
        try:
            found = inspect_executable(path)
            versions = defined_versions(path)
        except BuildError as error:
            raise UsageError(f"{self.archive.path}: {error.message}", remedy=_AGAIN) from error
        if found.machine != wanted:
            raise self._wrong(f"{path.name} in it is for {found.machine}, not for {wanted}")
        if found.libc.startswith("GLIBC_"):
            raise self._wrong(f"{path.name} in it is made for glibc, not for Android")
        told = {version.removeprefix("VERS_") for version in versions if version[:5] == "VERS_"}
        own = self.archive.facts.headers and path.name == self.archive.facts.libraries[0]
        if own and told and self.archive.version not in told:
            raise self._wrong(
                f"{path.name} in it is version {', '.join(sorted(told))}, its name says "
                f"{self.archive.version}"
            )

    def _check_api(self, folder: Path) -> None:
        facts = self.archive.facts
        if not facts.api:
            return
        text = (folder / _HEADERS / facts.headers[0]).read_text(encoding="utf-8", errors="replace")
        found = re.search(rf"^\s*#\s*define\s+{facts.api}\s+(\d+)\s*$", text, re.MULTILINE)
        api = found[1] if found else "not told"
        if api != self.archive.version.split(".")[1]:
            raise self._wrong(
                f"{facts.api} in {facts.headers[0]} is {api}, its name says {self.archive.version}"
            )

    def _wrong(self, what: str) -> UsageError:
        return UsageError(
            f"{self.archive.path} does not fit: {what}.",
            remedy=f"Get the file of {self.archive.facts.artifact} again, and leave its name.",
        )


def open_archive(archive: Archive, sdk: SdkFacts | None) -> Unpacked:
    """What is taken of the archive; of ``sdk`` the names of libraries, where these are an SDK's.

    UsageError where the file is not a ZIP file, or lacks one of them.
    """
    there = _names(archive.path)
    facts = archive.facts
    headers = [f"{_HEADERS}/{name}" for name in facts.headers]
    wanted = sdk.libraries if sdk is not None else facts.libraries
    libraries = [f"{_LIBRARIES}/{name}" for name in wanted]
    for name in (*headers, *libraries):
        if name not in there:
            raise UsageError(
                f"{archive.path} has no {name}, so it is not {facts.artifact} {archive.version}.",
                remedy=_AGAIN,
            )
    more = _matching(there, sdk.more) if sdk is not None else []
    others = _matching(there, sdk.other_more) if sdk is not None else []
    # Newer ones include others of the archive's.
    beside = sorted(name for name in there if _is_header(name)) if headers else []
    members = tuple(dict.fromkeys([*headers, *beside, *libraries, *more, *others]))
    stat = archive.path.stat()
    words = f"{archive.path} {stat.st_size} {stat.st_mtime_ns} {members}"
    key = hashlib.sha256(words.encode()).hexdigest()
    folder = cache_folder() / "archives" / key[:16]
    return Unpacked(
        archive=archive,
        folder=folder,
        key=key,
        members=members,
        libraries=tuple(folder / _place(name) for name in dict.fromkeys([*libraries, *more])),
        others=tuple(folder / _place(name) for name in others),
        other_processor=sdk.other_processor if sdk is not None else "",
    )


def _names(path: Path) -> frozenset[str]:
    try:
        with zipfile.ZipFile(path) as file:
            return frozenset(file.namelist())
    except (OSError, zipfile.BadZipFile) as error:
        raise UsageError(
            f"{path} cannot be read as an archive ({error}).", remedy=_AGAIN
        ) from error


def _matching(names: frozenset[str], patterns: tuple[str, ...]) -> list[str]:
    return [
        name
        for pattern in patterns
        for name in sorted(names)
        if "/" not in name.removeprefix(f"{_LIBRARIES}/")
        and fnmatchcase(name, f"{_LIBRARIES}/{pattern}")
    ]


def _is_header(name: str) -> bool:
    folder, _, file = name.rpartition("/")
    return folder == _HEADERS and bool(file)


def _place(name: str) -> str:
    """Where a member lies below the folder: headers apart, libraries at its top."""
    return name if _is_header(name) else name.rpartition("/")[2]
