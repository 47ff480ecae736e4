"""Carries out a plan: sources, packages, agent, checks, ``dist/<target>/``."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from deployx_edge import __version__
from deployx_edge.crossbuild import conan_home
from deployx_edge.crossbuild.commands import Command, run_command
from deployx_edge.crossbuild.distribution import publish
from deployx_edge.crossbuild.elf import check_executable
from deployx_edge.crossbuild.events import OnEvent, StepStarted
from deployx_edge.crossbuild.fingerprint import build_fingerprint
from deployx_edge.crossbuild.finished import (
    Build,
    BuiltFile,
    finished,
    hash_file,
)
from deployx_edge.crossbuild.locking import exclusive
from deployx_edge.crossbuild.options import BuildOptions
from deployx_edge.crossbuild.packages import (
    Package,
    check_archives,
    inquiry_command,
    install_command,
    installed_packages,
    missing_packages,
)
from deployx_edge.crossbuild.plan import Plan, Share, build_folder, preparation
from deployx_edge.crossbuild.selection import Selection
from deployx_edge.crossbuild.sources import Archive, ensure_archives, needed_archives
from deployx_edge.crossbuild.toolchain import Toolchain, zig_objects
from deployx_edge.crossbuild.workers import (
    AGENT,
    BuiltName,
    built_names,
    other_processor,
    package_names,
    worker_part,
)
from deployx_edge.errors import BuildError
from deployx_edge.operator_facts import all_operators, kernels_digest
from deployx_edge.operator_file import OperatorFacts
from deployx_edge.operator_runtimes import device_runtimes
from deployx_edge.resources import cache_folder, dist_folder
from deployx_edge.target import Target
from deployx_edge.worker_facts import worker_facts

_FAILED = re.compile(r"^\s*FAILED: |\berror: ")


@dataclass(frozen=True, kw_only=True)
class _State:
    """What of the last build in a folder still stands."""

    packages: str
    configured: tuple[str, ...]


def execute(plan: Plan, options: BuildOptions, on_event: OnEvent) -> Build:
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
        on_event(StepStarted(text=plan.selection.text()))
        for archive in (each for part in plan.selection.brought for each in part.archives):
            on_event(StepStarted(text=f"Unpacking {archive.archive.path.name}"))
            archive.unpack()
        packages: list[Package] = []
        for share in plan.shares:
            packages += _packages(plan, share, on_event)
            _compile(plan, share, on_event)
        on_event(StepStarted(text="Checking what was built"))
        for share in plan.shares:
            check_archives([share.build_folder], machine=plan.target.elf_machine)
        _refuse_changed(plan)
        build = publish(_runtime(plan, tuple(packages)), dist_folder(plan.target.id))
        shutil.rmtree(zig_objects(plan.target.id), ignore_errors=True)
        return build


def _refuse_changed(plan: Plan) -> None:
    """BuildError where sources are no longer what they were when the build was planned: nobody
    could say of which of them the compiler read what."""
    if build_fingerprint(plan.target, plan.selection) != plan.fingerprint:
        raise BuildError(
            f"The sources of this build of {plan.target.id} (agent, workers, operators, recipes) "
            "were changed while they were compiled; what was built before is as it was.",
            remedy="Run the same command again: it compiles what was changed.",
        )


def _packages(plan: Plan, share: Share, on_event: OnEvent) -> tuple[Package, ...]:
    """What is linked in; Conan is only started where something it reads has changed."""
    # A second command compiles code generators, which are missing then.
    if len(share.packages) == 1 and _read_state(share).packages == share.packages_fingerprint:
        try:
            return installed_packages(share.packages_folder)
        except BuildError:
            pass  # Cleaned away since; make them again.
    _write_state(share, _State(packages="", configured=()))
    # CMake keeps flags of an earlier toolchain in its cache.
    for folder in (share.packages_folder, share.build_folder):
        shutil.rmtree(folder, ignore_errors=True)
    share.packages_folder.mkdir(parents=True)
    _install(plan.log, plan.archives, share.packages, on_event)
    packages = installed_packages(share.packages_folder)
    check_archives([package.folder for package in packages], machine=plan.target.elf_machine)
    _write_state(share, _State(packages=share.packages_fingerprint, configured=()))
    return packages


def _compile(plan: Plan, share: Share, on_event: OnEvent) -> None:
    link, configure, compile = share.compile
    state = _read_state(share)
    # A changed CMakeLists.txt makes ninja configure again by itself; other options do not.
    if state.configured != configure.argv:
        run_command(link, plan.log, on_event)
        run_command(configure, plan.log, on_event)
        _write_state(share, _State(packages=state.packages, configured=configure.argv))
    try:
        run_command(compile, plan.log, on_event)
    except BuildError as error:
        raise _named(error) from error


def _named(error: BuildError) -> BuildError:
    """With the operator whose kernel did not compile, where it was one."""
    # Other lines are of what compiled beside it.
    told = "\n".join(line for line in error.message.splitlines() if _FAILED.search(line))
    for facts in all_operators().values():
        place = re.escape(f"/{facts.folder.parent.name}/{facts.name}/")
        if re.search(rf"{place}|\b{facts.name}_(facts|device)\.h\b", told):
            return BuildError(
                f"The operator {facts.name} ({facts.folder}) does not compile. {error.message}",
                remedy=error.remedy,
            )
    return error


def _runtime(plan: Plan, packages: tuple[Package, ...]) -> Build:
    first = plan.shares[0]
    compilers = dict.fromkeys(share.toolchain.compiler for share in plan.shares)
    sysroot = plan.selection.sysroot
    return Build(
        folder=plan.executables,
        target_id=plan.target.id,
        toolchain=plan.selection.kind,
        reason=plan.selection.reason,
        jetpack=plan.selection.jetpack,
        sysroot=str(sysroot.folder) if sysroot else "",
        version=__version__,
        compiler=f"{_compiler(first.build_folder)} ({'; workers: '.join(compilers)})",
        flags=_flags(first.build_folder / "CMakeCache.txt"),
        fingerprint=plan.fingerprint,
        imported=False,
        packages=_versions(plan, packages),
        files=tuple(
            _built_file(plan, name, packages)
            for name in built_names(plan.target, plan.selection.runtimes, plan.selection.brought)
        ),
    )


def _versions(plan: Plan, packages: tuple[Package, ...]) -> tuple[tuple[str, str], ...]:
    """What is linked in and what the user brought, by name; workers may share some."""
    brought = {name: said for part in plan.selection.brought for name, said in part.versions}
    return tuple({**{one.name: one.version for one in packages}, **brought}.items())


def _built_file(plan: Plan, name: BuiltName, packages: tuple[Package, ...]) -> BuiltFile:
    """Check one executable or library and lay it where those of all shares lie."""
    share = plan.share_of(worker_part(name.runtime) if name.runtime else AGENT)
    made = _brought(plan, name) or _made(share, name, packages)
    if not made.is_file():
        raise BuildError(f"The build ended without {name.name}.", remedy=f"See {plan.log}.")
    plan.executables.mkdir(exist_ok=True)
    path = Path(shutil.copyfile(made, plan.executables / name.name))
    other = other_processor(name) or _other_of_brought(plan, name)
    found = check_executable(
        path,
        machine=other or plan.target.elf_machine,
        static=share.toolchain.static and not other,
        glibc="" if other else _newest_glibc(plan, share, name),
    )
    return BuiltFile(
        name=name.name,
        role=name.role,
        runtime=name.runtime,
        sha256=hash_file(path),
        size_bytes=path.stat().st_size,
        machine=found.machine,
        libc=found.libc,
        libstdcxx=found.libstdcxx,
        needed=found.needed,
        options=_options(name),
        operators=tuple(facts.name for facts in _operators(name)),
        kernels=tuple(kernels_digest(facts) for facts in _operators(name)),
    )


def _brought(plan: Plan, name: BuiltName) -> Path | None:
    """Where a library lies in what the user brings; None for all others."""
    parts = (part for part in plan.selection.brought if part.runtime == name.runtime)
    places = (path for part in parts for path in part.all_libraries)
    return next(
        (path for path in places if name.role == "library" and path.name == name.name), None
    )


def _other_of_brought(plan: Plan, name: BuiltName) -> str:
    machines = (part.machine_of(name.name) for part in plan.selection.brought)
    return next(filter(None, machines), "")


def _newest_glibc(plan: Plan, share: Share, name: BuiltName) -> str:
    """The newest glibc that the file may need: a library may ask for more than what loads it."""
    loads = bool(name.runtime) and bool(share.toolchain.glibc) and not plan.target.dynamic_workers
    return worker_facts(name.runtime).glibc if loads else share.toolchain.glibc


def _options(name: BuiltName) -> tuple[str, ...]:
    if name.role != "worker":
        return ()
    return tuple(option.name for option in worker_facts(name.runtime).options)


def _operators(name: BuiltName) -> tuple[OperatorFacts, ...]:
    if name.role != "worker":
        return ()
    runtimes = {name.runtime}
    # The library of operators holds kernels for GPUs, too, for tests on the processor.
    if worker_facts(name.runtime).operator_library:
        runtimes.update(device_runtimes())
    return tuple(f for f in all_operators().values() if runtimes.intersection(f.runtimes))


def _made(share: Share, name: BuiltName, packages: tuple[Package, ...]) -> Path:
    """Where the build left it: a library in a package of its worker's, or made with the worker."""
    if name.role != "library" or name.name == worker_facts(name.runtime).operator_library:
        return share.build_folder / "bin" / name.name
    own = package_names(name.runtime)
    places = [one.folder / "lib" / name.name for one in packages if one.name in own]
    return next((path for path in places if path.is_file()), places[0])


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


def _state_file(share: Share) -> Path:
    return share.folder / "state.json"


def _read_state(share: Share) -> _State:
    try:
        document = json.loads(_state_file(share).read_text(encoding="utf-8"))
        return _State(packages=document["packages"], configured=tuple(document["configured"]))
    except (OSError, ValueError, KeyError, TypeError):
        return _State(packages="", configured=())


def _write_state(share: Share, state: _State) -> None:
    text = json.dumps({"packages": state.packages, "configured": state.configured})
    share.folder.mkdir(parents=True, exist_ok=True)
    _state_file(share).write_text(text, encoding="utf-8")


def packages_to_compile(selection: Selection, on_event: OnEvent) -> tuple[str, ...]:
    """The names of packages that a build would have to compile first."""
    missing: set[str] = set()
    with (
        tempfile.TemporaryDirectory(prefix="deployx-packages-") as folder,
        exclusive(cache_folder() / "conan-home.lock", on_event),
    ):
        output = Path(folder)
        commands = [
            inquiry_command(toolchain, output=output, parts=selection.with_packages(parts))
            for toolchain, parts in selection.shares()
        ]
        for setup in conan_home.setup_commands():
            run_command(setup, output / "log", on_event)
        for command in commands:
            run_command(command, output / "log", on_event)
            missing.update(missing_packages(output))
    return tuple(sorted(missing))


def build_package(
    target: Target,
    toolchain: Toolchain,
    runtime: str,
    options: BuildOptions,
    on_event: OnEvent,
    settings: tuple[str, ...] = (),
) -> Path:
    """Compile what one runtime's worker needs; the folder of its own package, the last it names.

    ``settings`` as for ``install_command``.
    """
    output = build_folder(target, toolchain) / f"packages-{worker_part(runtime)}"
    with exclusive(output.with_suffix(".lock"), on_event):
        install = install_command(
            toolchain,
            output=output,
            parts=(worker_part(runtime),),
            jobs=options.jobs,
            rebuild=options.clean,
            settings=settings,
        )
        output.mkdir(parents=True, exist_ok=True)
        log = output / "build.log"
        log.write_text("", encoding="utf-8")
        names = package_names(runtime)
        needed = tuple(a for a in needed_archives(target) if not {*names}.isdisjoint(a.packages))
        _install(log, needed, (install,), on_event)
        found = {package.name: package.folder for package in installed_packages(output)}
    check_archives(list(found.values()), machine=target.elf_machine)
    return found[names[-1]]


def _install(
    log: Path, needed: tuple[Archive, ...], commands: tuple[Command, ...], on_event: OnEvent
) -> None:
    ensure_archives(needed, on_event)
    # Conan's home is one for all targets, and Conan does not lock it.
    with exclusive(cache_folder() / "conan-home.lock", on_event):
        for command in (*preparation(commands), *commands):
            run_command(command, log, on_event)
