"""The packages of a target: what Conan is asked for, and what it said it made."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployx_edge.crossbuild import conan_home
from deployx_edge.crossbuild.commands import Command
from deployx_edge.crossbuild.elf import check_archive
from deployx_edge.crossbuild.generators import GRPC_VERSION, PROTOBUF_VERSION
from deployx_edge.crossbuild.toolchain import Toolchain
from deployx_edge.crossbuild.workers import all_parts
from deployx_edge.errors import BuildError
from deployx_edge.resources import data_folder


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package that Conan has in its cache."""

    name: str
    version: str
    folder: Path


def lockfile() -> Path:
    """The file that pins the whole graph."""
    return data_folder("device_agent") / "conan.lock"


def install_command(
    toolchain: Toolchain,
    *,
    output: Path,
    parts: tuple[str, ...],
    jobs: int,
    rebuild: bool,
    settings: tuple[str, ...] = (),
) -> Command:
    """Compile what is missing (with ``rebuild`` all); CMake's files go to ``output``.

    ``settings`` are options of packages, as Conan writes them: ``ncnn/*:dispatch=False``.
    """
    argv = (
        *_conan(toolchain, "install", jobs),
        "--build=*" if rebuild else "--build=missing",
        f"--output-folder={output}",
        *_options(parts),
        *(f"--options:host={setting}" for setting in settings),
        "--format=json",
        f"--out-file={output / 'graph.json'}",
        str(data_folder("device_agent")),
    )
    return Command(title="Packages", argv=argv, environment=_environment(toolchain))


def inquiry_command(toolchain: Toolchain, *, output: Path, parts: tuple[str, ...]) -> Command:
    """Ask Conan which packages it has; ``missing_packages`` reads the answer in ``output``."""
    argv = (
        *_conan(toolchain, "graph info", jobs=1),
        *_options(parts),
        "--format=json",
        f"--out-file={output / 'graph.json'}",
        str(data_folder("device_agent")),
    )
    return Command(title="Packages", argv=argv, environment=_environment(toolchain))


def missing_packages(output: Path) -> tuple[str, ...]:
    """The names of those that would have to be compiled, after ``inquiry_command``."""
    nodes = _graph(output)
    return tuple(
        sorted(node["name"] for node in nodes if node["binary"] not in (None, "Cache", "Skip"))
    )


def generators_command(build_machine: Toolchain, *, output: Path, jobs: int) -> Command:
    """Compile protoc and grpc_cpp_plugin for this computer and lay them below ``output``."""
    argv = (
        *_conan(build_machine, "install", jobs),
        "--build=missing",
        f"--requires=protobuf/{PROTOBUF_VERSION}",
        f"--requires=grpc/{GRPC_VERSION}",
        "--options:host=protobuf/*:protoc=True",
        "--options:host=grpc/*:product=plugin",
        f"--output-folder={output}",
        "--deployer=direct_deploy",
        f"--deployer-folder={output}",
    )
    return Command(
        title="Code generators for this computer",
        argv=argv,
        environment=_environment(build_machine),
    )


def test_command(toolchain: Toolchain, *, reference: str, test_package: Path) -> Command:
    """Compile a recipe's ``test_package`` against the package, and run it where it can be."""
    shared = _conan(toolchain, "test", jobs=1)
    argv = (*shared, "--lockfile-partial", str(test_package), reference)
    return Command(title=f"Testing {reference}", argv=argv, environment=_environment(toolchain))


def installed_packages(output: Path) -> tuple[Package, ...]:
    """What the last ``install_command`` made; BuildError where some of it is gone."""
    packages = [
        Package(name=node["name"], version=node["version"], folder=Path(node["package_folder"]))
        for node in _graph(output)
        if node["package_folder"]
    ]
    for package in packages:
        if not package.folder.is_dir():
            raise BuildError(f"The package {package.name} is no longer in {package.folder}.")
    return tuple(sorted(packages, key=lambda package: package.name))


def check_archives(folders: list[Path], *, machine: str) -> int:
    """Check every object of every static library below the folders; how many there were."""
    archives = [path for folder in folders for path in sorted(folder.rglob("*.a"))]
    return sum(check_archive(path, machine=machine) for path in archives)


def lock_command(toolchain: Toolchain, *, output: Path) -> Command:
    """Write the lockfile of the recipes as they are now to ``output``."""
    argv = (
        str(conan_home.conan_program()),
        "lock",
        "create",
        "--lockfile=",
        f"--remote={conan_home.remote_name()}",
        "--update",
        f"--profile:host={toolchain.profile}",
        f"--profile:build={toolchain.profile.parent / 'build'}",
        f"--lockfile-out={output}",
        str(data_folder("device_agent")),
    )
    return Command(title="Lockfile", argv=argv, environment=_environment(toolchain))


def without_times(text: str) -> str:
    """A lockfile's text without the moment each recipe was exported, which says nothing."""
    return re.sub(r"(#[0-9a-f]+)%[0-9.]+", r"\1", text)


def _graph(output: Path) -> list[dict[str, Any]]:
    try:
        document = json.loads((output / "graph.json").read_text(encoding="utf-8"))
        return list(document["graph"]["nodes"].values())
    except (OSError, ValueError, KeyError) as error:
        raise BuildError(f"Conan's answer in {output} cannot be read ({error}).") from error


def _options(parts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"--options:host=&:{part}={part in parts}" for part in all_parts())


def _conan(toolchain: Toolchain, verb: str, jobs: int) -> tuple[str, ...]:
    profiles = data_folder("toolchains") / "profiles"
    return (
        str(conan_home.conan_program()),
        *verb.split(),
        *conan_home.core_options(),
        f"--lockfile={lockfile()}",
        f"--remote={conan_home.remote_name()}",
        f"--profile:host={toolchain.profile}",
        f"--profile:build={profiles / 'build'}",
        # Packages made by another compiler or with other flags must not be taken for these.
        f"--conf:host=user.deployx:toolchain={toolchain.fingerprint[:16]}",
        f"--conf:all=tools.build:jobs={jobs}",
    )


def _environment(toolchain: Toolchain) -> tuple[tuple[str, str], ...]:
    return (*conan_home.environment().items(), *toolchain.environment)
