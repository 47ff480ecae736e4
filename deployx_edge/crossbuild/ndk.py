"""An Android NDK on this computer: where it is, and whether it can build what is asked.

Its files, as releases r25 and newer have them: ``source.properties`` (``Pkg.Revision``),
``meta/platforms.json`` (the API levels), ``toolchains/llvm/prebuilt/HOST`` with
``AndroidVersion.txt`` (clang's version), ``build/cmake/android.toolchain.cmake``.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from deployx_edge.config import load_config
from deployx_edge.errors import MissingToolError
from deployx_edge.resources import expanded

OLDEST_RELEASE = 25
_VARIABLE = "ANDROID_NDK_HOME"
_KEY = "toolchains.android.ndk in deployx.toml"


@dataclass(frozen=True, kw_only=True)
class Ndk:
    """An NDK that was looked at. ``origin`` says who named it; ``revision`` is its
    ``Pkg.Revision`` (``25.2.9519653``); ``clang`` its compiler's version (``14.0.7``);
    ``api`` the level that is built for."""

    folder: Path
    origin: str
    revision: str
    clang: str
    api: int

    @property
    def cmake_file(self) -> Path:
        """The NDK's own toolchain file."""
        return _cmake_file(self.folder)


def configured_ndk() -> tuple[Path, str] | None:
    """The folder that is to be used and who says so; None where nobody does.

    The environment counts before ``deployx.toml``. Nothing is looked at.
    """
    if named := os.environ.get(_VARIABLE):
        return expanded(named), _VARIABLE
    configured = load_config().android.ndk
    return (configured, _KEY) if configured is not None else None


def find_ndk() -> Ndk:
    """The configured NDK, for the configured API level.

    MissingToolError where none is configured, it is none, too old, for another kind of
    computer, or does not know the level.
    """
    found = configured_ndk()
    if found is None:
        raise MissingToolError(
            "No NDK is configured.",
            remedy=f"Set {_VARIABLE} to its folder, or {_KEY}; or build with --toolchain zig.",
        )
    folder, origin = found
    return read_ndk(folder, origin, load_config().android.api)


def read_ndk(folder: Path, origin: str, api: int) -> Ndk:
    """Look at an NDK folder; MissingToolError says what was expected of it and what is there."""
    revision = _revision(folder, origin)
    clang = _clang(folder, revision)
    if not _cmake_file(folder).is_file():
        raise _broken(folder, f"{_cmake_file(folder).relative_to(folder)} is missing")
    _check_level(folder, revision, api)
    return Ndk(folder=folder, origin=origin, revision=revision, clang=clang, api=api)


def host_tag() -> str:
    """The NDK's word for this kind of computer; Apple's processors run its x86 programs."""
    return "darwin-x86_64" if sys.platform == "darwin" else f"linux-{platform.machine()}"


def _revision(folder: Path, origin: str) -> str:
    try:
        text = (folder / "source.properties").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MissingToolError(
            f"{origin} names {folder}, which is not an NDK: it has no source.properties.",
            remedy="Name the folder of one release, such as …/ndk/27.2.12479018.",
        ) from error
    found = re.search(r"^Pkg\.Revision\s*=\s*((\d+)\.\S+)\s*$", text, re.MULTILINE)
    if found is None:
        raise _broken(folder, "source.properties has no Pkg.Revision")
    if int(found[2]) < OLDEST_RELEASE:
        raise MissingToolError(
            f"{origin} names NDK {found[1]}; r{OLDEST_RELEASE} or newer is wanted.",
            remedy=f"Name a newer one, or unset {origin} to build static with zig.",
        )
    return found[1]


def _clang(folder: Path, revision: str) -> str:
    prebuilt = folder / "toolchains" / "llvm" / "prebuilt"
    here = prebuilt / host_tag()
    if not (here / "bin" / "clang++").exists():
        others = sorted(path.name for path in prebuilt.glob("*")) if prebuilt.is_dir() else []
        raise MissingToolError(
            f"NDK {revision} in {folder} has no compiler for this computer ({host_tag()}); "
            f"it has {', '.join(others) or 'none'}.",
            remedy="Get the NDK's archive for this computer's system.",
        )
    try:
        text = (here / "AndroidVersion.txt").read_text(encoding="utf-8")
    except OSError as error:
        raise _broken(folder, f"{here.name}/AndroidVersion.txt is missing") from error
    if not re.match(r"\d+\.\d+", text):
        raise _broken(folder, f"{here.name}/AndroidVersion.txt names no version")
    return text.split()[0]


def _check_level(folder: Path, revision: str, api: int) -> None:
    path = folder / "meta" / "platforms.json"
    try:
        levels = json.loads(path.read_text(encoding="utf-8"))
        lowest, highest = int(levels["min"]), int(levels["max"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _broken(folder, f"meta/platforms.json cannot be read ({error})") from error
    if not lowest <= api <= highest:
        raise MissingToolError(
            f"NDK {revision} builds for API levels {lowest} to {highest}, not for {api}.",
            remedy="Set api under [toolchains.android] in deployx.toml.",
        )


def _cmake_file(folder: Path) -> Path:
    return folder / "build" / "cmake" / "android.toolchain.cmake"


def _broken(folder: Path, reason: str) -> MissingToolError:
    return MissingToolError(
        f"{folder} should be an NDK, but {reason}.", remedy="Unpack the NDK's archive again."
    )
