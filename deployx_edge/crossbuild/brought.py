"""What a build takes of what a user brings: an SDK of a runtime's maker, or archives for Android.

It knows a worker's facts, an SDK's folder and archives, and no runtime by name. What it takes stays
on this computer and on the user's own boards: a build with such files is not exported.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from deployx_edge.archive_facts import ArchiveFacts
from deployx_edge.archives import find_archive
from deployx_edge.crossbuild.unpacked import Unpacked, open_archive
from deployx_edge.errors import DeployxError, MissingToolError, UsageError
from deployx_edge.qairt import GET_IT, Sdk, configured_sdk, find_sdk
from deployx_edge.sdk_facts import SdkFacts
from deployx_edge.target import Target
from deployx_edge.versions import numbers, release
from deployx_edge.worker_facts import WorkerFacts, worker_facts


@dataclass(frozen=True, kw_only=True)
class BroughtPart:
    """What one worker takes of what a user brings.

    ``versions`` name each source of it with its version, ``options`` tell CMake where headers lie.
    ``libraries`` travel with the worker; ``others`` of them are for a processor beside the board's
    own, of the ELF machine ``other_processor``. Those of ``archives`` are there once these are
    unpacked; with archives the worker is compiled with none of our packages. ``fingerprint`` covers
    versions and files.
    """

    runtime: str
    versions: tuple[tuple[str, str], ...]
    options: tuple[str, ...]
    libraries: tuple[Path, ...]
    others: tuple[Path, ...]
    other_processor: str
    archives: tuple[Unpacked, ...]
    fingerprint: str

    @property
    def all_libraries(self) -> tuple[Path, ...]:
        """In the order in which builds list them."""
        return (*self.libraries, *self.others)

    def machine_of(self, library: str) -> str:
        """The ELF machine of a library that another processor loads, else ""."""
        return self.other_processor if library in {path.name for path in self.others} else ""


@dataclass(frozen=True, kw_only=True)
class _Taken:
    """Libraries of one source, as ``BroughtPart`` has them."""

    version: str
    libraries: tuple[Path, ...]
    others: tuple[Path, ...] = ()
    archive: Unpacked | None = None

    @property
    def all_libraries(self) -> tuple[Path, ...]:
        return (*self.libraries, *self.others)


def brought_parts(
    target: Target, *, is_bionic: bool, asked: tuple[str, ...]
) -> tuple[BroughtPart, ...]:
    """What the target's workers take; those are left out that cannot be built.

    ``is_bionic``: whether an NDK compiles, which Android's own libraries are linked by. UsageError,
    or MissingToolError where something is not there, where one of ``asked`` cannot be built.
    """
    parts = []
    for runtime in target.runtimes:
        facts = worker_facts(runtime)
        if not facts.is_brought_for(target.id):
            continue
        try:
            part = _of_archives(facts, target) if facts.archives_for(target.id) else None
            part = part or _of_sdk(facts, target)
            _check_compiler(runtime, target, is_bionic=is_bionic)
        except DeployxError:
            if runtime in asked:
                raise
        else:
            parts.append(part)
    return tuple(parts)


def _check_compiler(runtime: str, target: Target, *, is_bionic: bool) -> None:
    if target.system == "android" and not is_bionic:
        raise UsageError(
            f"The worker for {runtime} loads libraries that are made for Android's own C library, "
            "which zig does not build for.",
            remedy="Get an NDK, set ANDROID_NDK_HOME to its folder, or toolchains.android.ndk in "
            "deployx.toml, and build again.",
        )


def _of_sdk(facts: WorkerFacts, target: Target) -> BroughtPart:
    assert facts.sdk is not None
    sdk = find_sdk()
    taken = _sdk_libraries(facts.name, facts.sdk, sdk, target)
    word = f"-DDX_{facts.name.upper()}"
    return BroughtPart(
        runtime=facts.name,
        versions=((facts.name, sdk.version),),
        options=(f"{word}_INCLUDE={sdk.headers}", f"{word}_VERSION={sdk.version}"),
        libraries=taken.libraries,
        others=taken.others,
        other_processor=facts.sdk.other_processor,
        archives=(),
        fingerprint=_fingerprint([f"{sdk.folder} {sdk.version}"], taken.all_libraries),
    )


def _sdk_libraries(runtime: str, facts: SdkFacts, sdk: Sdk, target: Target) -> _Taken:
    for header in facts.headers:
        if not (sdk.headers / header).is_file():
            raise _broken(sdk, f"include/{sdk.headers.name}/{header}", runtime)
    places = facts.folders_for(target.id)
    folder = next((sdk.folder / place for place in places if (sdk.folder / place).is_dir()), None)
    if folder is None:
        raise _broken(sdk, " or ".join(places), runtime)
    libraries = [folder / name for name in facts.libraries]
    for library in libraries:
        if not library.is_file():
            raise _broken(sdk, library.relative_to(sdk.folder).as_posix(), runtime)
    more = [path for pattern in facts.more for path in sorted(folder.glob(pattern))]
    found = [
        path
        for place in facts.other_folders
        for other in sorted(sdk.folder.glob(place))
        for pattern in facts.other_more
        for path in sorted(other.glob(pattern))
    ]
    # Of several places with a library of one name the first counts.
    others = {path.name: path for path in reversed(found)}
    return _Taken(
        version=sdk.version,
        libraries=tuple(dict.fromkeys([*libraries, *more])),
        others=tuple(others[name] for name in sorted(others)),
    )


def _broken(sdk: Sdk, missing: str, runtime: str) -> UsageError:
    return UsageError(
        f"The SDK in {sdk.folder} ({sdk.version}) lacks {missing}, which the worker for {runtime} "
        "is compiled with or loads.",
        remedy="Unpack the SDK's archive again, or name another release.",
    )


def _of_archives(facts: WorkerFacts, target: Target) -> BroughtPart:
    rows = facts.archives_for(target.id)
    taken = {row.package: _taken(facts, row, target) for row in rows}
    versions = {package: each.version for package, each in taken.items()}
    for row in rows:
        _check_wants(row, versions)
    unpacked = tuple(each.archive for each in taken.values() if each.archive is not None)
    libraries = tuple(path for each in taken.values() for path in each.libraries)
    others = tuple(path for each in taken.values() for path in each.others)
    of_sdk = [
        path for each in taken.values() if each.archive is None for path in each.all_libraries
    ]
    return BroughtPart(
        runtime=facts.name,
        versions=tuple(versions.items()),
        options=tuple(
            word
            for row in rows
            for word in _options(row, versions[row.package], taken[row.package].archive)
        ),
        libraries=libraries,
        others=others,
        other_processor=facts.sdk.other_processor if facts.sdk is not None else "",
        archives=unpacked,
        fingerprint=_fingerprint([f"{versions}", *(each.key for each in unpacked)], of_sdk),
    )


def _taken(facts: WorkerFacts, row: ArchiveFacts, target: Target) -> _Taken:
    sdk_facts = facts.sdk if row.or_sdk else None
    try:
        archive = find_archive(row)
    except MissingToolError as error:
        if sdk_facts is None:
            raise
        if configured_sdk() is None:
            raise MissingToolError(
                f"{error.message} The SDK, which has the same libraries, is not configured either.",
                remedy=f"{error.remedy} Or: {GET_IT}.",
            ) from error
        return _sdk_libraries(facts.name, sdk_facts, find_sdk(), target)
    unpacked = open_archive(archive, sdk_facts)
    return _Taken(
        version=archive.version,
        libraries=unpacked.libraries,
        others=unpacked.others,
        archive=unpacked,
    )


def _check_wants(row: ArchiveFacts, versions: dict[str, str]) -> None:
    """UsageError where another archive is older than this one was made with."""
    own = versions[row.package]
    for package, releases in row.wants:
        oldest = dict(releases).get(release(own), "")
        if not oldest:
            raise UsageError(
                f"Which {package} {row.artifact} {own} goes with is not known here.",
                remedy=f"Take one of {', '.join(mine for mine, _ in releases)}.",
            )
        if numbers(release(versions[package])) < numbers(oldest):
            raise UsageError(
                f"{row.artifact} {own} wants {package} {oldest} or later, found "
                f"{versions[package]}.",
                remedy=f"Bring a newer {package}, or an older {row.artifact}.",
            )


def _options(row: ArchiveFacts, version: str, archive: Unpacked | None) -> tuple[str, ...]:
    word = f"-DDX_{row.package.upper().replace('-', '_')}"
    compiled: tuple[str, ...] = ()
    if row.headers and archive is not None:
        compiled = (f"{word}_INCLUDE={archive.headers}", f"{word}_FILE={row.libraries[0]}")
    return (f"{word}_VERSION={version}", *compiled)


def _fingerprint(words: Iterable[str], paths: Iterable[Path]) -> str:
    digest = hashlib.sha256("".join(words).encode())
    for path in paths:
        stat = path.stat()
        digest.update(f"{path} {stat.st_size} {stat.st_mtime_ns}\0".encode())
    return digest.hexdigest()
