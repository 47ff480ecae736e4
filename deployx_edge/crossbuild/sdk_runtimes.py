"""Runtimes of an SDK that each user gets from its maker: what a build takes from there.

It knows a worker's facts and an SDK's folder, and no runtime by name. What it takes stays on this
computer and on the user's own boards: a build with such files is not exported.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from deployx_edge.errors import DeployxError, UsageError
from deployx_edge.qairt import Sdk, find_sdk
from deployx_edge.sdk_facts import SdkFacts
from deployx_edge.target import Target
from deployx_edge.worker_facts import worker_facts


@dataclass(frozen=True, kw_only=True)
class SdkPart:
    """What one worker takes of an SDK: the libraries that travel with it, those for a processor
    beside the board's own among them (``others``, of the ELF machine ``other_processor``)."""

    runtime: str
    sdk: Sdk
    libraries: tuple[Path, ...]
    others: tuple[Path, ...]
    other_processor: str

    @property
    def all_libraries(self) -> tuple[Path, ...]:
        """In the order in which builds list them."""
        return (*self.libraries, *self.others)

    def machine_of(self, library: str) -> str:
        """The ELF machine of a library that another processor loads, else ""."""
        return self.other_processor if library in {path.name for path in self.others} else ""

    @property
    def fingerprint(self) -> str:
        """Of the SDK's version and of the files that are taken."""
        digest = hashlib.sha256(f"{self.sdk.folder} {self.sdk.version}".encode())
        for path in self.all_libraries:
            stat = path.stat()
            digest.update(f"{path} {stat.st_size} {stat.st_mtime_ns}\0".encode())
        return digest.hexdigest()


def sdk_parts(target: Target, *, is_bionic: bool, asked: tuple[str, ...]) -> tuple[SdkPart, ...]:
    """What the target's workers take from an SDK; those are left out that cannot be built.

    ``is_bionic``: whether an NDK compiles, which Android's own libraries are linked by. UsageError,
    or MissingToolError without an SDK, where one of ``asked`` cannot be built.
    """
    parts = []
    for runtime in target.runtimes:
        facts = worker_facts(runtime).sdk
        if facts is None:
            continue
        try:
            parts.append(_part(runtime, facts, target, is_bionic=is_bionic))
        except DeployxError:
            if runtime in asked:
                raise
    return tuple(parts)


def _part(runtime: str, facts: SdkFacts, target: Target, *, is_bionic: bool) -> SdkPart:
    sdk = find_sdk()
    if target.system == "android" and not is_bionic:
        raise UsageError(
            f"The worker for {runtime} loads libraries that are made for Android's own C library, "
            "which zig does not build for.",
            remedy="Get an NDK, set ANDROID_NDK_HOME to its folder, or toolchains.android.ndk in "
            "deployx.toml, and build again.",
        )
    for header in facts.headers:
        if not (sdk.headers / header).is_file():
            raise _broken(sdk, f"include/{sdk.headers.name}/{header}", runtime)
    places = dict(facts.folders).get(target.id, ())
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
    return SdkPart(
        runtime=runtime,
        sdk=sdk,
        libraries=tuple(dict.fromkeys([*libraries, *more])),
        others=tuple(others[name] for name in sorted(others)),
        other_processor=facts.other_processor,
    )


def _broken(sdk: Sdk, missing: str, runtime: str) -> UsageError:
    return UsageError(
        f"The SDK in {sdk.folder} ({sdk.version}) lacks {missing}, which the worker for {runtime} "
        "is compiled with or loads.",
        remedy="Unpack the SDK's archive again, or name another release.",
    )
