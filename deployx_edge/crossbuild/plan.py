"""What a build will do, decided before anything is done: ``--explain`` prints it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deployx_edge import __version__, process
from deployx_edge.crossbuild import conan_home, packages
from deployx_edge.crossbuild.commands import Command
from deployx_edge.crossbuild.device_code import assemblers
from deployx_edge.crossbuild.fingerprint import build_fingerprint, packages_fingerprint
from deployx_edge.crossbuild.generators import (
    Generators,
    deployed_generators,
    system_generators,
)
from deployx_edge.crossbuild.options import BuildOptions
from deployx_edge.crossbuild.selection import Selection, select
from deployx_edge.crossbuild.sources import Archive, needed_archives
from deployx_edge.crossbuild.sysroot import cmake_options
from deployx_edge.crossbuild.toolchain import Toolchain, library_commands, zig_toolchain
from deployx_edge.crossbuild.workers import AGENT, all_parts, worker_part
from deployx_edge.operator_facts import all_operators, operator_folders
from deployx_edge.operator_runtimes import device_runtimes
from deployx_edge.resources import cache_folder, data_folder
from deployx_edge.target import Target


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one compiler makes of a build: packages for some ``parts``, then these parts.

    ``packages`` are skipped where their results still stand.
    """

    toolchain: Toolchain
    parts: tuple[str, ...]
    folder: Path
    packages: tuple[Command, ...]
    compile: tuple[Command, ...]
    packages_fingerprint: str

    @property
    def packages_folder(self) -> Path:
        """Where Conan writes CMake's files."""
        return self.folder / "packages"

    @property
    def build_folder(self) -> Path:
        """CMake's build folder."""
        return self.folder / "cmake"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One build; a share for each compiler it takes."""

    target: Target
    selection: Selection
    folder: Path
    archives: tuple[Archive, ...]
    prepare: tuple[Command, ...]
    shares: tuple[Share, ...]
    fingerprint: str

    @property
    def log(self) -> Path:
        """All output of the last build."""
        return self.folder / "build.log"

    @property
    def executables(self) -> Path:
        """Where those of all shares are laid for ``dist/``."""
        return self.folder / "executables"

    def share_of(self, part: str) -> Share:
        """The share that makes that part."""
        return next(share for share in self.shares if part in share.parts)

    def commands(self) -> tuple[Command, ...]:
        """All of them, in their order."""
        shares = [command for one in self.shares for command in (*one.packages, *one.compile)]
        return (*self.prepare, *shares)


def plan_build(target: Target, options: BuildOptions) -> Plan:
    """Find compiler, tools and code generators, and decide on every command.

    Raises MissingToolError where something is not installed, UsageError for a toolchain
    that does not exist, BuildError for a broken ``op.toml``.
    """
    all_operators()  # a broken one is named before a compiler meets it
    selection = select(target, options)
    folder = build_folder(target, selection.agent)
    generators, compile_generators = _generators(options.jobs)
    shares = []
    for toolchain, parts in selection.shares():
        agent = AGENT in parts
        own = folder if agent else folder / toolchain.cmake_file.stem
        install = packages.install_command(
            toolchain,
            output=own / "packages",
            parts=selection.with_packages(parts),
            jobs=options.jobs,
            rebuild=options.clean,
        )
        share = Share(
            toolchain=toolchain,
            parts=parts,
            folder=own,
            packages=(install, *compile_generators) if agent else (install,),
            compile=_compile_commands(target, selection, own, parts, generators, options.jobs),
            packages_fingerprint=packages_fingerprint(toolchain, selection.with_packages(parts)),
        )
        shares.append(share)
    installs = [command for share in shares for command in share.packages]
    return Plan(
        target=target,
        selection=selection,
        folder=folder,
        archives=needed_archives(target),
        prepare=preparation(installs),
        shares=tuple(shares),
        fingerprint=build_fingerprint(target, selection),
    )


def preparation(installs: Sequence[Command]) -> tuple[Command, ...]:
    """What has to be there before packages are compiled; nothing where all of it is."""
    return (*conan_home.setup_commands(), *library_commands(installs))


def build_folder(target: Target, toolchain: Toolchain) -> Path:
    """Where a target is compiled. Copies of the project do not share it."""
    key = conan_home.folder_key(data_folder("device_agent"))
    return cache_folder() / "build" / f"{target.id}-{toolchain.kind}-{key}"


def _generators(jobs: int) -> tuple[Generators, tuple[Command, ...]]:
    found = system_generators()
    if found is not None:
        return found, ()
    build_machine = zig_toolchain("build", objects="build")
    output = cache_folder() / "build" / f"generators-{build_machine.fingerprint[:16]}"
    deployed = deployed_generators(output)
    if deployed.protoc.is_file() and deployed.grpc_cpp_plugin.is_file():
        return deployed, ()
    return deployed, (packages.generators_command(build_machine, output=output, jobs=jobs),)


def _compile_commands(
    target: Target,
    selection: Selection,
    folder: Path,
    parts: tuple[str, ...],
    generators: Generators,
    jobs: int,
) -> tuple[Command, ...]:
    cmake = str(process.require_program("cmake", remedy="Run 'pip install cmake'."))
    ninja = process.require_program("ninja", remedy="Run 'pip install ninja'.")
    build = str(folder / "cmake")
    agent_sources, (operators, *users) = data_folder("device_agent"), operator_folders()
    agent = AGENT in parts
    generating = (
        f"-DDX_PROTOC={generators.protoc}",
        f"-DDX_GRPC_CPP_PLUGIN={generators.grpc_cpp_plugin}",
    )
    configure = (
        cmake,
        *("-S", str(folder / agent_sources.name), "-B", build, "-G", "Ninja"),
        f"-DCMAKE_MAKE_PROGRAM={ninja}",
        f"-DCMAKE_TOOLCHAIN_FILE={folder / 'packages' / 'conan_toolchain.cmake'}",
        "-DCMAKE_BUILD_TYPE=Release",
        f"-DDX_VERSION={__version__}",
        f"-DDX_TARGET_ID={target.id}",
        f"-DPython3_EXECUTABLE={sys.executable}",
        f"-DDX_OPERATORS={';'.join(map(str, (folder / operators.name, *users)))}",
        *(generating if agent else ()),
        *_device_options(parts),
        *(f"-DDX_BUILD_{part.upper()}={_switch(part in parts)}" for part in all_parts()),
        "-DDX_BUILD_TESTS=OFF",
        "-DDX_SANITIZE=",
        *(cmake_options(selection.sysroot) if selection.sysroot and not agent else ()),
        *_brought_options(selection, parts),
    )
    # For ccache a file is what its path from the build folder says. Through links beside that
    # folder it is the same in every copy of the project: what one compiled the next one has too.
    link = ("ln", "-sfn", str(agent_sources), str(operators), str(folder))
    compile = (cmake, "--build", build, "--parallel", str(jobs))
    what = "the agent" if agent else f"the workers ({_names(parts)})"
    environment = dict(selection.compilers)[parts[0]].environment
    return (
        Command(title="Linking to the sources", argv=link, environment=()),
        Command(title=f"Configuring {what}", argv=configure, environment=environment),
        Command(title=f"Compiling {what}", argv=compile, environment=environment),
    )


def _device_options(parts: tuple[str, ...]) -> tuple[str, ...]:
    """What assembles kernels for GPUs, where a worker has some."""
    if not {worker_part(runtime) for runtime in device_runtimes()}.intersection(parts):
        return ()
    return (f"-DDX_PTXAS={';'.join(str(each.path) for each in assemblers())}",)


def _brought_options(selection: Selection, parts: tuple[str, ...]) -> tuple[str, ...]:
    """Where headers of what the user brings lie, and its versions; workers may share some."""
    brought = [part for part in selection.brought if worker_part(part.runtime) in parts]
    return tuple(dict.fromkeys(option for part in brought for option in part.options))


def _names(parts: tuple[str, ...]) -> str:
    return ", ".join(part.removeprefix(worker_part("")) for part in parts)


def _switch(on: bool) -> str:
    return "ON" if on else "OFF"
