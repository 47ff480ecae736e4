"""Carries out a plan: sources, packages, agent, checks, ``dist/<target>/``."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from deployx_edge import __version__
from deployx_edge.crossbuild import conan_home
from deployx_edge.crossbuild.commands import Command, run_command
from deployx_edge.crossbuild.distribution import BUILT_FILES, publish
from deployx_edge.crossbuild.elf import check_executable
from deployx_edge.crossbuild.events import OnEvent, StepStarted
from deployx_edge.crossbuild.locking import exclusive
from deployx_edge.crossbuild.packages import (
    Package,
    check_archives,
    install_command,
    installed_packages,
)
from deployx_edge.crossbuild.plan import BuildOptions, Plan, build_folder
from deployx_edge.crossbuild.runtime import (
    BuiltFile,
    Runtime,
    hash_file,
    read_runtime,
    verify_files,
)
from deployx_edge.crossbuild.sources import Archive, archives, ensure_archives
from deployx_edge.crossbuild.toolchain import Toolchain, zig_objects
from deployx_edge.errors import BuildError
from deployx_edge.resources import cache_folder, dist_folder
from deployx_edge.target import Target


@dataclass(frozen=True, kw_only=True)
class _State:
    """What of the last build in a folder still stands."""

    packages: str
    configured: tuple[str, ...]


def finished(target_id: str, fingerprint: str) -> Runtime | None:
    """The build of that fingerprint, if it lies whole in ``dist/``."""
    try:
        runtime = read_runtime(dist_folder(target_id))
        if runtime.fingerprint != fingerprint:
            return None
        verify_files(runtime)
    except BuildError:
        return None
    return runtime


def execute(plan: Plan, options: BuildOptions, on_event: OnEvent) -> Runtime:
    """Do what is not done yet. Raises SourceError or BuildError; ``dist/`` is then as before."""
    with exclusive(plan.folder.with_suffix(".lock"), on_event):
        # Another build may have finished while this one waited.
        done = finished(plan.target.id, plan.fingerprint)
        if done is not None and not options.clean:
            return done
        if options.clean and plan.folder.exists():
            shutil.rmtree(plan.folder)
        plan.folder.mkdir(parents=True, exist_ok=True)
        plan.log.write_text("", encoding="utf-8")
        packages = _packages(plan, on_event)
        _compile(plan, on_event)
        on_event(StepStarted(text="Checking what was built"))
        check_archives([plan.build_folder], machine=plan.target.elf_machine)
        runtime = publish(_runtime(plan, packages), dist_folder(plan.target.id))
        shutil.rmtree(zig_objects(plan.target.id), ignore_errors=True)
        return runtime


def _packages(plan: Plan, on_event: OnEvent) -> tuple[Package, ...]:
    """What is linked in; Conan is only started where something it reads has changed."""
    # A second command compiles code generators, which are missing then.
    if len(plan.packages) == 1 and _read_state(plan).packages == plan.packages_fingerprint:
        try:
            return installed_packages(plan.packages_folder)
        except BuildError:
            pass  # Cleaned away since; make them again.
    _write_state(plan, _State(packages="", configured=()))
    # CMake keeps flags of an earlier toolchain in its cache.
    for folder in (plan.packages_folder, plan.build_folder):
        shutil.rmtree(folder, ignore_errors=True)
    plan.packages_folder.mkdir(parents=True)
    _install(plan.log, plan.archives, plan.packages, on_event)
    packages = installed_packages(plan.packages_folder)
    check_archives([package.folder for package in packages], machine=plan.target.elf_machine)
    _write_state(plan, _State(packages=plan.packages_fingerprint, configured=()))
    return packages


def _compile(plan: Plan, on_event: OnEvent) -> None:
    configure, compile = plan.compile
    state = _read_state(plan)
    # A changed CMakeLists.txt makes ninja configure again by itself; other options do not.
    if state.configured != configure.argv:
        run_command(configure, plan.log, on_event)
        _write_state(plan, _State(packages=state.packages, configured=configure.argv))
    run_command(compile, plan.log, on_event)


def _runtime(plan: Plan, packages: tuple[Package, ...]) -> Runtime:
    return Runtime(
        folder=plan.build_folder / "bin",
        target_id=plan.target.id,
        toolchain=plan.toolchain.kind,
        version=__version__,
        compiler=f"{_compiler(plan.build_folder)} ({plan.toolchain.compiler})",
        flags=_flags(plan.build_folder / "CMakeCache.txt"),
        fingerprint=plan.fingerprint,
        imported=False,
        packages=tuple((package.name, package.version) for package in packages),
        files=tuple(_built_file(plan, name, role, runtime) for name, role, runtime in BUILT_FILES),
    )


def _built_file(plan: Plan, name: str, role: str, runtime: str) -> BuiltFile:
    path = plan.build_folder / "bin" / name
    if not path.is_file():
        raise BuildError(f"The build ended without {name}.", remedy=f"See {plan.log}.")
    found = check_executable(path, machine=plan.target.elf_machine, static=plan.toolchain.static)
    return BuiltFile(
        name=name,
        role=role,
        runtime=runtime,
        sha256=hash_file(path),
        size_bytes=path.stat().st_size,
        machine=found.machine,
        libc=found.libc,
        needed=found.needed,
    )


def _compiler(build: Path) -> str:
    """The C++ compiler as CMake knows it, e.g. ``Clang 22.1.8``."""
    for path in build.glob("CMakeFiles/*/CMakeCXXCompiler.cmake"):
        text = path.read_text(encoding="utf-8")
        found = [
            re.search(rf'^set\(CMAKE_CXX_COMPILER_{fact} "(.*?)"\)', text, re.MULTILINE)
            for fact in ("ID", "VERSION")
        ]
        return " ".join(one[1] for one in found if one)
    return "unknown"


def _flags(cache: Path) -> str:
    """The C++ flags that CMake settled on."""
    values: dict[str, str] = {}
    for line in cache.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        values[name] = value.partition("=")[2]
    words = f"{values.get('CMAKE_CXX_FLAGS', '')} {values.get('CMAKE_CXX_FLAGS_RELEASE', '')}"
    return " ".join(words.split())


def _state_file(plan: Plan) -> Path:
    return plan.folder / "state.json"


def _read_state(plan: Plan) -> _State:
    try:
        document = json.loads(_state_file(plan).read_text(encoding="utf-8"))
        return _State(packages=document["packages"], configured=tuple(document["configured"]))
    except (OSError, ValueError, KeyError, TypeError):
        return _State(packages="", configured=())


def _write_state(plan: Plan, state: _State) -> None:
    text = json.dumps({"packages": state.packages, "configured": state.configured})
    _state_file(plan).write_text(text, encoding="utf-8")


def build_package(
    target: Target,
    toolchain: Toolchain,
    name: str,
    part: str,
    options: BuildOptions,
    on_event: OnEvent,
) -> Path:
    """Compile what one part of the agent's tree needs; the folder of the package ``name``."""
    output = build_folder(target, toolchain) / f"packages-{part}"
    with exclusive(output.with_suffix(".lock"), on_event):
        install = install_command(
            toolchain, output=output, parts=(part,), jobs=options.jobs, rebuild=options.clean
        )
        output.mkdir(parents=True, exist_ok=True)
        log = output / "build.log"
        log.write_text("", encoding="utf-8")
        needed = tuple(archive for archive in archives() if name in archive.packages)
        _install(log, needed, (install,), on_event)
        found = {package.name: package.folder for package in installed_packages(output)}
    check_archives(list(found.values()), machine=target.elf_machine)
    return found[name]


def _install(
    log: Path, needed: tuple[Archive, ...], commands: tuple[Command, ...], on_event: OnEvent
) -> None:
    ensure_archives(needed, on_event)
    # Conan's home is one for all targets, and Conan does not lock it.
    with exclusive(cache_folder() / "conan-home.lock", on_event):
        for command in (*conan_home.setup_commands(), *commands):
            run_command(command, log, on_event)
