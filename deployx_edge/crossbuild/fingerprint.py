"""What a build was made from, as a hash: two builds with the same one are the same build."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from deployx_edge import __version__
from deployx_edge.crossbuild.device_code import PROGRAM, assemblers
from deployx_edge.crossbuild.selection import Selection
from deployx_edge.crossbuild.sysroot import SYSROOT_FILE, to_document
from deployx_edge.crossbuild.toolchain import Toolchain
from deployx_edge.operator_facts import operators_folder, users_operators
from deployx_edge.operator_runtimes import device_runtimes
from deployx_edge.resources import data_folder
from deployx_edge.target import Target

# Of an operator's folder all else is read by Python.
_OPERATOR_SUFFIXES = (".cpp", ".cu", ".h", ".toml")
# Folders of device_agent/ and recipes/ that end in no executable.
_NOT_BUILT = ("tests", "test_package", "__pycache__")


def packages_fingerprint(toolchain: Toolchain, parts: tuple[str, ...]) -> str:
    """Covers the compiler, the recipes, the lockfile and what is asked of them."""
    agent = data_folder("device_agent")
    facts = sorted(agent.glob("workers/*/worker.json"))
    asked = (agent / "conan.lock", agent / "conanfile.py", *facts)
    tree = hash_tree(data_folder("recipes"), *asked)
    return hashlib.sha256(f"{toolchain.fingerprint} {parts} {tree}".encode()).hexdigest()


def build_fingerprint(target: Target, selection: Selection) -> str:
    """Covers the packages, the sources of agent and operators, the target's row, the sysroot, what
    the user brings, and our version."""
    packages = " ".join(
        packages_fingerprint(toolchain, selection.with_packages(parts))
        for toolchain, parts in selection.shares()
    )
    if selection.sysroot is not None:
        sysroot = selection.sysroot
        packages += (
            f" {to_document(sysroot)}"
            if sysroot.is_own
            else " " + hash_tree(sysroot.folder / SYSROOT_FILE)
        )
    packages += "".join(f" {part.fingerprint}" for part in selection.brought)
    tree = hash_tree(data_folder("device_agent"))
    users = [*(each.folder for each in users_operators().values()), *_shared_headers()]
    operators = hash_tree(operators_folder(), *users, suffixes=_OPERATOR_SUFFIXES)
    if set(selection.runtimes).intersection(device_runtimes()):
        operators += "".join(f" {PROGRAM} {each.version}" for each in assemblers())
    words = f"{__version__} {target} {packages} {tree} {operators}"
    return hashlib.sha256(words.encode()).hexdigest()


def _shared_headers() -> list[Path]:
    """What kernels of a user's may include beside their own folders' files."""
    folders = dict.fromkeys(each.folder.parent for each in users_operators().values())
    return [path for folder in folders for path in sorted(folder.glob("*.h"))]


def hash_tree(*roots: Path, suffixes: tuple[str, ...] = ()) -> str:
    """Covers names and contents of all files below the roots but tests and hidden ones.

    Of files with one of the ``suffixes`` alone, where some are given.
    """
    digest = hashlib.sha256()
    for root in roots:
        for path in _files(root):
            if suffixes and path.suffix not in suffixes:
                continue
            name = path.relative_to(root.parent).as_posix()
            digest.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _files(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
    elif root.is_dir():
        for path in sorted(root.iterdir()):
            if path.name not in _NOT_BUILT and not path.name.startswith("."):
                yield from _files(path)
