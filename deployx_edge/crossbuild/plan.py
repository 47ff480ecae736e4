"""What a build will do, decided before anything is done: ``--explain`` prints it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from deployx_edge import __version__, process
from deployx_edge.crossbuild import conan_home, packages
from deployx_edge.crossbuild.commands import Command
from deployx_edge.crossbuild.fingerprint import build_fingerprint, packages_fingerprint
from deployx_edge.crossbuild.generators import (
    Generators,
    deployed_generators,
    system_generators,
)
from deployx_edge.crossbuild.sources import Archive, archives
from deployx_edge.crossbuild.toolchain import Toolchain, find_toolchain, zig_toolchain
from deployx_edge.resources import cache_folder, data_folder
from deployx_edge.target import Target


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """``toolchain`` is ``zig`` or ``gnu``; ``jobs`` compiles at once; ``clean`` forgets what
    was built before and compiles the packages again."""

    toolchain: str = "zig"
    jobs: int = field(default_factory=lambda: os.cpu_count() or 1)
    clean: bool = False


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One build. ``prepare`` and ``packages`` are skipped where their results still stand."""

    target: Target
    toolchain: Toolchain
    folder: Path
    packages_folder: Path
    build_folder: Path
    archives: tuple[Archive, ...]
    prepare: tuple[Command, ...]
    packages: tuple[Command, ...]
    compile: tuple[Command, ...]
    packages_fingerprint: str
    fingerprint: str

    @property
    def log(self) -> Path:
        """All output of the last build."""
        return self.folder / "build.log"

    def commands(self) -> tuple[Command, ...]:
        """All of them, in their order."""
        return (*self.prepare, *self.packages, *self.compile)


def plan_build(target: Target, options: BuildOptions) -> Plan:
    """Find compiler, tools and code generators, and decide on every command.

    Raises MissingToolError where something is not installed, UsageError for a toolchain
    that does not exist.
    """
    toolchain = find_toolchain(target, options.toolchain)
    folder = build_folder(target, toolchain)
    parts = packages.PARTS
    generators, compile_generators = _generators(options.jobs)
    install = packages.install_command(
        toolchain,
        output=folder / "packages",
        parts=parts,
        jobs=options.jobs,
        rebuild=options.clean,
    )
    return Plan(
        target=target,
        toolchain=toolchain,
        folder=folder,
        packages_folder=folder / "packages",
        build_folder=folder / "agent",
        archives=archives(),
        prepare=tuple(conan_home.setup_commands()),
        packages=(install, *compile_generators),
        compile=_compile_commands(target, toolchain, folder, generators, options.jobs),
        packages_fingerprint=packages_fingerprint(toolchain, parts),
        fingerprint=build_fingerprint(target, toolchain, parts),
    )


def build_folder(target: Target, toolchain: Toolchain) -> Path:
    """Where a target is compiled. Copies of the project do not share it."""
    key = conan_home.folder_key(data_folder("device_agent"))
    return cache_folder() / "build" / f"{target.id}-{toolchain.kind}-{key}"


def _generators(jobs: int) -> tuple[Generators, tuple[Command, ...]]:
    found = system_generators()
    if found is not None:
        return found, ()
    build_machine = zig_toolchain("build", "build")
    output = cache_folder() / "build" / f"generators-{build_machine.fingerprint[:16]}"
    deployed = deployed_generators(output)
    if deployed.protoc.is_file() and deployed.grpc_cpp_plugin.is_file():
        return deployed, ()
    return deployed, (packages.generators_command(build_machine, output=output, jobs=jobs),)


def _compile_commands(
    target: Target, toolchain: Toolchain, folder: Path, generators: Generators, jobs: int
) -> tuple[Command, ...]:
    cmake = str(process.require_program("cmake", remedy="Run 'pip install cmake'."))
    ninja = process.require_program("ninja", remedy="Run 'pip install ninja'.")
    build = str(folder / "agent")
    configure = (
        cmake,
        *("-S", str(data_folder("device_agent")), "-B", build, "-G", "Ninja"),
        f"-DCMAKE_MAKE_PROGRAM={ninja}",
        f"-DCMAKE_TOOLCHAIN_FILE={folder / 'packages' / 'conan_toolchain.cmake'}",
        "-DCMAKE_BUILD_TYPE=Release",
        f"-DDX_VERSION={__version__}",
        f"-DDX_TARGET_ID={target.id}",
        f"-DDX_PROTOC={generators.protoc}",
        f"-DDX_GRPC_CPP_PLUGIN={generators.grpc_cpp_plugin}",
        "-DDX_BUILD_AGENT=ON",
        "-DDX_BUILD_WORKER_NCNN=ON",
        "-DDX_BUILD_TESTS=OFF",
        "-DDX_SANITIZE=",
    )
    compile = (cmake, "--build", build, "--parallel", str(jobs))
    return (
        Command(title="Configuring the agent", argv=configure, environment=toolchain.environment),
        Command(title="Compiling the agent", argv=compile, environment=toolchain.environment),
    )
