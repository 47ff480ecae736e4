"""``dist/<target>/``: put there whole, carried to another computer as one file."""

from __future__ import annotations

import gzip
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Set
from dataclasses import replace
from pathlib import Path

from deployx_edge import __version__
from deployx_edge.crossbuild.elf import check_executable
from deployx_edge.crossbuild.finished import (
    BUILD_FILE,
    Build,
    read_build,
    verify_files,
    write_build,
)
from deployx_edge.crossbuild.workers import BuiltName, built_names, other_processor
from deployx_edge.errors import BuildError, UsageError
from deployx_edge.scratch import beside, put_in_place
from deployx_edge.target import Target, targets
from deployx_edge.worker_facts import worker_facts

# No build comes near it; a broken or hostile file could.
_LARGEST_BYTES = 256 << 20


def publish(build: Build, folder: Path) -> Build:
    """Copy the runtime's files beside ``folder``, then put them in its place at once."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with beside(folder) as fresh:
        fresh.mkdir()
        fresh.chmod(0o755)
        for file in build.files:
            shutil.copyfile(build.folder / file.name, fresh / file.name)
            (fresh / file.name).chmod(0o755)
        write_build(replace(build, folder=fresh))
        put_in_place(fresh, folder)
    return replace(build, folder=folder)


def export_build(build: Build, file: Path) -> None:
    """Write a finished build to one file (``.tar.gz``), which ``import_build`` takes.

    UsageError where it holds libraries that a user brought, of an SDK or archives: these are for
    whoever got them.
    """
    for name in dict.fromkeys(built.runtime for built in build.files if built.runtime):
        if worker_facts(name).is_brought_for(build.target_id):
            raise UsageError(
                f"This build of {build.target_id} holds libraries for {name} that you brought, "
                "which are not handed on.",
                remedy="Build without them: unset what names the SDK or the archives, and build "
                "again.",
            )
    verify_files(build)
    try:
        with beside(file) as part:
            with tarfile.open(part, "w:gz", compresslevel=6) as archive:
                # Workers may share a library.
                for name in dict.fromkeys((BUILD_FILE, *(built.name for built in build.files))):
                    archive.add(build.folder / name, arcname=name, filter=_anonymous)
            part.replace(file)
    except OSError as error:
        raise BuildError(f"{file} cannot be written ({error.strerror}).") from error


def import_build(file: Path, target: Target, folder: Path) -> Build:
    """Take a build that ``export_build`` wrote; ``folder`` is untouched unless all is right.

    BuildError where the file is broken, altered, of another version of deployx-edge, or holds
    what its own hashes and the target do not allow; UsageError where it is of another target.
    """
    with tempfile.TemporaryDirectory(prefix="deployx-import-") as name:
        staged = Path(name)
        # One of another target is told as that, below.
        known = {n.name for each in targets().values() for n in built_names(each, each.runtimes)}
        _unpack(file, staged, {BUILD_FILE, *known})
        build = read_build(staged)
        if build.target_id != target.id:
            raise UsageError(
                f"{file} holds a build of {build.target_id}, not of {target.id}.",
                remedy=f"Use --target {build.target_id}.",
            )
        if build.version != __version__:
            raise BuildError(
                f"{file} is of deployx-edge {build.version}, this is {__version__}.",
                remedy="Export it with the same version.",
            )
        found = tuple(
            BuiltName(name=built.name, role=built.role, runtime=built.runtime)
            for built in build.files
        )
        # A worker that needs a board's own files is there or not.
        having = {one.runtime for one in found}
        optional = {
            name for name in target.runtimes if worker_facts(name).is_optional_for(target.id)
        }
        runtimes = [name for name in target.runtimes if name in having or name not in optional]
        if found != built_names(target, runtimes):
            raise BuildError(
                f"{file} holds other files than a build of {target.id} has: "
                f"{', '.join(one.name for one in found)}."
            )
        verify_files(build)
        for one in found:
            _check(staged / one.name, one, target, by_zig=build.toolchain == "zig")
        return publish(replace(build, imported=True), folder)


def _check(path: Path, name: BuiltName, target: Target, *, by_zig: bool) -> None:
    dynamic = bool(name.runtime) and (
        target.dynamic_workers or bool(worker_facts(name.runtime).glibc)
    )
    machine = other_processor(name) or target.elf_machine
    check_executable(path, machine=machine, static=by_zig and not dynamic)


def _unpack(file: Path, folder: Path, expected: Set[str]) -> None:
    """Plain files of the expected names only."""
    try:
        with gzip.open(file) as unpacked, tarfile.open(fileobj=unpacked) as archive:
            for member in archive:
                if member.name not in expected or not member.isfile():
                    raise BuildError(f"{file} holds {member.name}, which no build has.")
                if member.size > _LARGEST_BYTES:
                    raise BuildError(f"{file}: {member.name} is too large for a build.")
                content = archive.extractfile(member)
                assert content is not None
                with (folder / member.name).open("wb") as out:
                    shutil.copyfileobj(content, out)
            # gzip compares its checksum at the very end only, behind tar's own end.
            while unpacked.read(1 << 20):
                pass
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise BuildError(
            f"{file} cannot be read as an exported build ({error}).",
            remedy="Make it with 'deployx-edge build --export FILE'.",
        ) from error


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Names and times of whoever exported are nobody's business."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    return member
