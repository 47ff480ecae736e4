"""The finished build of a target: ``dist/<target>/`` with its ``build.json``."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deployx_edge.errors import BuildError, UsageError
from deployx_edge.files import SMALL, read_json
from deployx_edge.resources import dist_folder
from deployx_edge.scratch import beside

SCHEMA = 3
BUILD_FILE = "build.json"
_HASHED_FILE = ".hashed.json"  # each file's hash and its stat at that time
_LISTS = ("needed", "options", "operators", "kernels")
_SETTLED_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class BuiltFile:
    """One executable of a build, or a shared library that travels with a worker.

    ``role`` is ``agent``, ``worker`` or ``library``; ``runtime`` the worker's runtime ("" for
    the agent). ``libc``, ``libstdcxx`` and ``needed`` are as ``elf.Executable`` has them;
    ``options`` are a worker's, of its runtime's own (``--option``), ``operators`` those of ours
    that it has, ``kernels`` for each of these a word for what it was compiled from.
    """

    name: str
    role: str
    runtime: str
    sha256: str
    size_bytes: int
    machine: str
    libc: str
    libstdcxx: str
    needed: tuple[str, ...]
    options: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    kernels: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Build:
    """What ``build.json`` says. ``folder`` is where it and the executables lie.

    ``toolchain`` is the kind of compiler and ``reason`` why that one was taken; ``jetpack``
    and ``sysroot`` are what a Jetson's workers were linked for and with, "" elsewhere.
    ``fingerprint`` covers everything the build was made from; ``imported`` is true where
    the build came from a file instead of this computer's compiler; ``packages`` are the
    libraries' names and versions.
    """

    folder: Path
    target_id: str
    toolchain: str
    reason: str
    jetpack: str
    sysroot: str
    version: str
    compiler: str
    flags: str
    fingerprint: str
    imported: bool
    packages: tuple[tuple[str, str], ...]
    files: tuple[BuiltFile, ...]

    @property
    def agent(self) -> Path:
        """The agent's executable."""
        return self.folder / self._find("agent", "").name

    @property
    def agent_sha256(self) -> str:
        """The agent's content."""
        return self._find("agent", "").sha256

    @property
    def runtimes(self) -> tuple[str, ...]:
        """Those whose workers it has."""
        return tuple(file.runtime for file in self.files if file.role == "worker")

    def worker(self, runtime: str) -> Path:
        """The worker executable of that runtime; UsageError where none was built."""
        return self.folder / self._find("worker", runtime).name

    def worker_sha256(self, runtime: str) -> str:
        """The content of that runtime's worker."""
        return self._find("worker", runtime).sha256

    def libraries(self, runtime: str) -> tuple[BuiltFile, ...]:
        """The shared libraries that travel with that runtime's worker."""
        return tuple(f for f in self.files if f.role == "library" and f.runtime == runtime)

    def of_worker(self, runtime: str) -> tuple[BuiltFile, ...]:
        """That runtime's worker and its libraries; UsageError where none was built."""
        return self._find("worker", runtime), *self.libraries(runtime)

    def operators(self, runtime: str) -> tuple[str, ...]:
        """The operators of ours that that runtime's worker has."""
        return self._find("worker", runtime).operators

    def _find(self, role: str, runtime: str) -> BuiltFile:
        for file in self.files:
            if file.role == role and file.runtime == runtime:
                return file
        built = ", ".join(file.name for file in self.files)
        raise UsageError(
            f"The build of {self.target_id} has no {role} for '{runtime}'; it has {built}.",
            remedy="Convert the model for a runtime that was built (--runtime).",
        )


def write_build(build: Build) -> None:
    """Write ``build.json`` into the runtime's folder."""
    text = json.dumps(to_document(build), indent=1) + "\n"
    (build.folder / BUILD_FILE).write_text(text, encoding="utf-8")


def to_document(build: Build) -> dict[str, Any]:
    """``build.json``'s content."""
    document = asdict(build)
    del document["folder"]
    document["packages"] = dict(build.packages)
    return {"schema": SCHEMA, **document}


def read_build(folder: Path) -> Build:
    """Read ``build.json``; BuildError where it is missing, broken or of another schema.

    The executables are not looked at, see ``verify_files``.
    """
    path = folder / BUILD_FILE
    try:
        document = read_json(path, most=SMALL)
        if document.pop("schema") != SCHEMA:
            raise BuildError(f"{path} is of another schema than {SCHEMA}.")
        files = tuple(
            BuiltFile(**{**row, **{name: tuple(row.get(name, ())) for name in _LISTS}})
            for row in document.pop("files")
        )
        packages = tuple(document.pop("packages").items())
        build = Build(folder=folder, files=files, packages=packages, **document)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BuildError(f"{path} cannot be read ({error}).") from error
    if any("/" in file.name or file.name.startswith(".") for file in build.files):
        raise BuildError(f"{path} names files outside its folder.")
    return build


def verify_files(build: Build) -> None:
    """Compare every file with its hash; BuildError names the first that differs.

    A file that was found right is read anew only once its stat differs: three runtimes' libraries
    take longer to read than all else that a warm command does.
    """
    known = _read_hashed(build.folder)
    states = {}
    for file in build.files:
        path = build.folder / file.name
        state = _state_of(path)
        if state is None or known.get(file.name) != [file.sha256, *state]:
            found = "nothing" if state is None else hash_file(path)
            if found != file.sha256:
                raise BuildError(f"{path} should have the sha256 {file.sha256}, but has {found}.")
        if state is not None and _is_settled(state):
            states[file.name] = [file.sha256, *state]
    if states != known:
        _write_hashed(build.folder, states)


def finished(target_id: str, fingerprint: str) -> Build | None:
    """The build of that fingerprint, if it lies whole in ``dist/``."""
    try:
        build = read_build(dist_folder(target_id))
        if build.fingerprint != fingerprint:
            return None
        verify_files(build)
    except BuildError:
        return None
    return build


def has_sizes(build: Build) -> bool:
    """Whether every executable is there in its size; what it holds is for ``verify_files``."""
    files = [(build.folder / file.name, file.size_bytes) for file in build.files]
    return all(path.is_file() and path.stat().st_size == size for path, size in files)


def _state_of(path: Path) -> tuple[int, ...] | None:
    """What changes when a file is written or replaced; None where there is no file."""
    if not path.is_file():
        return None
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _is_settled(state: tuple[int, ...]) -> bool:
    """The kernel's times have ticks: what was just written may change and keep them."""
    return time.time() - state[-1] / 1e9 >= _SETTLED_SECONDS


def _read_hashed(folder: Path) -> dict[str, Any]:
    try:
        known = read_json(folder / _HASHED_FILE, most=SMALL)
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _write_hashed(folder: Path, states: dict[str, Any]) -> None:
    path = folder / _HASHED_FILE
    # A build may lie where this user writes nothing; its files are then read each time.
    with suppress(OSError), beside(path) as part:
        part.write_text(json.dumps(states), encoding="utf-8")
        part.replace(path)


def hash_file(path: Path) -> str:
    """The sha256 of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
