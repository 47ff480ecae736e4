"""A static busybox of a board's architecture: Debian's own, or made of Debian's source by zig.

Debian 12 has no packages for riscv64, so there it is compiled (a quarter of a minute, once).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from deployx_edge.crossbuild.fetching import fetch_archive
from deployx_edge.crossbuild.toolchain import find_zig
from deployx_edge.resources import cache_folder
from deployx_edge.workflows.locking import locked
from tests.integration.board import MissingPartError

APPLETS = (
    "sh", "cat", "mkdir", "mv", "chmod", "wc", "uname", "rm", "printf", "sleep", "df", "ls",
    "head", "dd", "true", "false", "echo", "kill", "env", "ln", "touch",
)  # fmt: skip
"""What a small board has."""

_SOURCE = "busybox_1.35.0.orig.tar.bz2"
_SOURCE_SHA256 = "faeeb244c35a348a334f4a59e44626ee870fb07b6884d68c10ae8bc19f83a694"
_SOURCE_URL = "pkg:deb/debian/busybox@1.35.0?arch=source"
_OPTIONS = (
    "STATIC", "LFS", "LONG_OPTS", "ASH", "ASH_ECHO", "ASH_PRINTF", "ASH_TEST", "ASH_GETOPTS",
    "ASH_CMDCMD", "FEATURE_SH_MATH", "FEATURE_FANCY_SLEEP",
    *(name.upper() for name in APPLETS if name != "sh"),
)  # fmt: skip
# zig's linker knows none of busybox's hints on the order of sections, and needs none.
_COMPILER = """#!/bin/sh
for word; do
    shift
    case $word in
    -Wl,--warn-common | -Wl,--sort-common | -Wl,--sort-section,* | -Wl,-Map,* | -Wl,--verbose) ;;
    -finline-limit=* | -falign-*) ;;
    *) set -- "$@" "$word" ;;
    esac
done
exec '{zig}' cc -target {machine}-linux-musl "$@"
"""


def board_folder() -> Path:
    """Where the tests' boards keep what is made once."""
    folder = cache_folder() / "test-board"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def busybox(machine: str) -> Path:
    """The program for what ``uname -m`` calls ``machine``, made once and kept in the cache.

    MissingPartError says why there is none.
    """
    place = board_folder() / f"busybox-{machine}"
    with locked(place.with_suffix(".lock")):
        if not place.is_file():
            with tempfile.TemporaryDirectory(dir=place.parent) as folder:
                _made(Path(folder), machine).replace(place)
    return place


def _made(folder: Path, machine: str) -> Path:
    try:
        return _arm64_package(folder) if machine == "aarch64" else _from_source(folder, machine)
    except (subprocess.CalledProcessError, FileNotFoundError, ValueError) as error:
        raise MissingPartError(f"a static busybox for {machine} ({error})") from error


def _arm64_package(folder: Path) -> Path:
    for part in ("lists/partial", "archives/partial"):
        (folder / part).mkdir(parents=True)
    # A state folder of its own: the system's list of architectures stays as it is.
    options = [
        "-oAPT::Architecture=arm64",
        "-oAPT::Architectures=arm64",
        f"-oDir::State::Lists={folder / 'lists'}",
        f"-oDir::Cache={folder}",
        "-oAPT::Sandbox::User=root",
    ]
    for command in (["update"], ["download", "busybox-static"]):
        _checked(["apt-get", "-qq", *options, *command], folder)
    (package,) = folder.glob("busybox-static_*_arm64.deb")
    _checked(["dpkg-deb", "-x", str(package), str(folder / "unpacked")], folder)
    return folder / "unpacked" / "bin" / "busybox"


def _from_source(folder: Path, machine: str) -> Path:
    archive = folder / _SOURCE
    tried = fetch_archive(_SOURCE, _SOURCE_SHA256, [_SOURCE_URL], archive, lambda event: None)
    if not archive.is_file():
        raise MissingPartError(f"{_SOURCE} ({'; '.join(one.found for one in tried)})")
    shutil.unpack_archive(archive, folder, filter="data")
    source = folder / "busybox-1.35.0"
    compiler = folder / "cc"
    zig, _ = find_zig()
    compiler.write_text(_COMPILER.format(zig=zig, machine=machine))
    compiler.chmod(0o755)
    _configure(source)
    tools = [f"CC={compiler}", f"AR={zig} ar", "SKIP_STRIP=y"]
    _checked(["make", f"-j{os.cpu_count()}", *tools, "busybox"], source)
    return source / "busybox"


def _configure(source: Path) -> None:
    """Nothing but ``_OPTIONS``; some can be set only once those that they need are."""
    configuration = source / ".config"
    _checked(["make", "allnoconfig"], source)
    for _ in range(2):
        text = configuration.read_text()
        for option in _OPTIONS:
            text = text.replace(f"# CONFIG_{option} is not set\n", f"CONFIG_{option}=y\n")
        configuration.write_text(text)
        _checked(["make", "oldconfig"], source)
    lines = configuration.read_text().splitlines()
    missing = [option for option in _OPTIONS if f"CONFIG_{option}=y" not in lines]
    if missing:
        raise ValueError(f"busybox has no option {', '.join(missing)}")


def _checked(command: Sequence[str], folder: Path) -> None:
    """Questions of the configuration are answered by their defaults: an empty line each."""
    subprocess.run(command, cwd=folder, check=True, capture_output=True, input=b"\n" * 10_000)
