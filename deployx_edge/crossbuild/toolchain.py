"""The compilers a target can be built by, found on this computer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from deployx_edge import process
from deployx_edge.crossbuild.commands import Command
from deployx_edge.crossbuild.ndk import Ndk
from deployx_edge.distributions import installed_version
from deployx_edge.errors import MissingToolError, UsageError
from deployx_edge.resources import cache_folder, data_folder
from deployx_edge.target import Target

# The folder appears whole, as what is there is taken for whole.
_COPY = 'mkdir -p "${2%/*}" && rm -rf "$2.part" && cp -R "$1" "$2.part" && mv "$2.part" "$2"'


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    """A compiler for one target.

    ``compiler`` says where it comes from; ``profile`` and ``cmake_file`` are its files in
    ``toolchains/``; ``environment`` is what every command of a build gets; ``fingerprint``
    changes with the compiler's version and with anything in ``toolchains/`` it uses;
    ``static`` whether its executables must need no shared library; ``glibc`` the newest
    glibc that others may need ("" for any).
    """

    kind: str
    compiler: str
    profile: Path
    cmake_file: Path
    environment: tuple[tuple[str, str], ...]
    fingerprint: str
    static: bool
    glibc: str = ""


def zig_toolchain(name: str, *, objects: str, glibc: str = "") -> Toolchain:
    """zig's clang by the toolchain file ``name``; ``objects`` is for ``zig_objects``.

    With ``glibc`` executables are for boards that have at least that version of it.
    """
    zig, version = find_zig()
    folder = data_folder("toolchains")
    # The shared wrappers and, where a target has some, its own.
    wrappers = sorted([*(folder / "bin").glob("zig-*"), *(folder / "bin").glob(f"{name}-*")])
    files = [folder / f"{name}.cmake", folder / "zig.cmake", folder / "profiles" / name]
    fingerprint = _fingerprint(f"zig {version} {glibc}".rstrip(), [*files, *wrappers])
    zig_cache = cache_folder() / "zig"
    environment = {
        "DX_ZIG": str(zig),
        "ZIG_LIB_DIR": str(_zig_library(version)),
        "ZIG_GLOBAL_CACHE_DIR": str(zig_cache),
        "ZIG_LOCAL_CACHE_DIR": str(zig_objects(objects)),
        # zig compiles its C++ library once for stripped executables, as ours are, and once for
        # others, as CMake's probes would be: minutes for nothing. Objects stay the same.
        "CFLAGS": "-s",
        "CXXFLAGS": "-s",
        **({"DX_GLIBC": glibc} if glibc else {}),
        **_ccache_environment(f"zig-{version}-{_fingerprint('', wrappers)[:16]}"),
    }
    return Toolchain(
        kind="zig",
        compiler=f"ziglang {version}" + (f", glibc {glibc}" if glibc else ""),
        profile=folder / "profiles" / name,
        cmake_file=folder / f"{name}.cmake",
        environment=tuple(environment.items()),
        fingerprint=fingerprint,
        static=not glibc,
        glibc=glibc,
    )


def find_zig() -> tuple[Path, str]:
    """zig's executable and version; MissingToolError where the wheel is not installed."""
    spec = find_spec("ziglang")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(folder) / "zig").is_file():
            return Path(folder) / "zig", installed_version("ziglang")
    raise MissingToolError(
        "No compiler: the Python package ziglang is not installed.",
        remedy="Run 'pip install ziglang==0.17.0'.",
    )


def _zig_library(version: str) -> Path:
    """The sources of zig's C and C++ libraries, one folder for all installations of a version.

    zig compiles them for a target (a minute and more) whenever they are other files, however
    alike: once for every virtual environment, did each use its own.
    """
    return cache_folder() / "zig" / f"lib-{version}"


def library_commands(commands: Sequence[Command]) -> tuple[Command, ...]:
    """What makes the folder of zig's libraries that ``commands`` name; nothing where it is."""
    named = {dict(command.environment).get("ZIG_LIB_DIR") for command in commands}
    missing = sorted(folder for folder in named if folder and not Path(folder).is_dir())
    if not missing:
        return ()
    source = str(find_zig()[0].parent / "lib")
    return tuple(
        Command(
            title="zig's libraries",
            argv=("sh", "-c", _COPY, "sh", source, folder),
            environment=(),
        )
        for folder in missing
    )


def zig_objects(name: str) -> Path:
    """Where zig keeps a copy of every object it compiles for a target of this copy of the
    project. ccache does that better, so a finished build removes it."""
    folder = data_folder("toolchains")
    key = hashlib.sha256(f"{name} {folder}".encode()).hexdigest()[:8]
    return cache_folder() / "zig" / f"objects-{key}"


def ndk_toolchain(ndk: Ndk) -> Toolchain:
    """An NDK's clang for 64-bit Arm, against Bionic, with libc++ in the executables.

    Conan writes the toolchain file that calls the NDK's own.
    """
    profile = data_folder("toolchains") / "profiles" / "android-arm64-ndk"
    environment = {
        "DX_ANDROID_NDK": str(ndk.folder),
        "DX_ANDROID_API": str(ndk.api),
        "DX_ANDROID_CLANG": ndk.clang.partition(".")[0],
        **_ccache_environment(""),
    }
    compiler = f"NDK {ndk.revision}, API level {ndk.api}"
    return Toolchain(
        kind="ndk",
        compiler=compiler,
        profile=profile,
        cmake_file=ndk.cmake_file,
        environment=tuple(environment.items()),
        fingerprint=_fingerprint(compiler, [profile]),
        static=False,
    )


def gnu_toolchain(target: Target) -> Toolchain:
    """Debian's cross GCC; MissingToolError where it is not installed."""
    folder = data_folder("toolchains")
    name = f"{target.id}-gnu"
    cmake_file = folder / f"{name}.cmake"
    if not cmake_file.is_file():
        raise UsageError(f"{target.id} has no gnu toolchain.", remedy="Build it with zig.")
    triple = gnu_triple(target)
    missing = [p for p in (f"{triple}-gcc", f"{triple}-g++") if process.find_program(p) is None]
    if missing:
        raise MissingToolError(
            f"No compiler: {' and '.join(missing)} not found.",
            remedy=f"Run 'apt-get install g++-{triple.replace('_', '-')}', or build with zig.",
        )
    compiler = process.run([f"{triple}-g++", "--version"]).stdout.decode().splitlines()[0]
    files = [cmake_file, folder / "gnu.cmake", folder / "profiles" / name]
    return Toolchain(
        kind="gnu",
        compiler=compiler,
        profile=folder / "profiles" / name,
        cmake_file=cmake_file,
        environment=tuple(_ccache_environment("").items()),
        fingerprint=_fingerprint(compiler, files),
        static=False,
    )


def gnu_triple(target: Target) -> str:
    """Debian's name for that target's compilers, e.g. ``aarch64-linux-gnu``."""
    return f"{target.machines[0]}-linux-gnu"


def _ccache_environment(compiler: str) -> dict[str, str]:
    """ccache in front of the compiler where it is installed.

    ``compiler`` names a compiler that ccache cannot tell by its file: zig hides behind a
    script that does not change with it.
    """
    ccache = process.find_program("ccache")
    if ccache is None:
        return {}
    environment = {
        "CMAKE_C_COMPILER_LAUNCHER": str(ccache),
        "CMAKE_CXX_COMPILER_LAUNCHER": str(ccache),
        # Conan gives each build another folder; its name must not count.
        "CCACHE_BASEDIR": str(cache_folder()),
        "CCACHE_NOHASHDIR": "1",
        # Headers are found by the compile itself instead of by a second run before it.
        "CCACHE_DEPEND": "1",
    }
    if compiler:
        environment["CCACHE_COMPILERTYPE"] = "clang"
        environment["CCACHE_COMPILERCHECK"] = f"string:{compiler}"
        # A copy of the project has a zig in a place of its own; what it is stands above.
        environment["CCACHE_IGNOREOPTIONS"] = "--zig=*"
    return environment


def _fingerprint(compiler: str, files: list[Path]) -> str:
    digest = hashlib.sha256(compiler.encode())
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()
