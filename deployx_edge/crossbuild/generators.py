"""The code generators ``protoc`` and ``grpc_cpp_plugin``; they must match the libraries exactly."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from deployx_edge import process
from deployx_edge.errors import DeployxError

PROTOBUF_VERSION = "3.21.12"
GRPC_VERSION = "1.51.1"
_PLUGIN_LIBRARY = "libgrpc_plugin_support.so"


@dataclass(frozen=True, kw_only=True)
class Generators:
    """The two programs."""

    protoc: Path
    grpc_cpp_plugin: Path


def system_generators() -> Generators | None:
    """This computer's own, where both are of exactly the right version."""
    protoc = process.find_program("protoc")
    plugin = process.find_program("grpc_cpp_plugin")
    if protoc is None or plugin is None:
        return None
    if _protoc_version(protoc) != PROTOBUF_VERSION or plugin_version(plugin) != GRPC_VERSION:
        return None
    return Generators(protoc=protoc, grpc_cpp_plugin=plugin)


def deployed_generators(folder: Path) -> Generators:
    """Where ``packages.generators_command`` lays those that it compiled."""
    deployed = folder / "direct_deploy"
    return Generators(
        protoc=deployed / "protobuf" / "bin" / "protoc",
        grpc_cpp_plugin=deployed / "grpc" / "bin" / "grpc_cpp_plugin",
    )


def _protoc_version(protoc: Path) -> str:
    try:
        words = process.run([protoc, "--version"]).stdout.decode(errors="replace").split()
    except (DeployxError, OSError):
        return ""
    return words[-1] if words else ""


def plugin_version(plugin: Path) -> str:
    """The version of a grpc_cpp_plugin, which has no option to tell it; "" where unknown.

    Read from the name of the library that it loads (``libgrpc_plugin_support.so.1.51.1``).
    """
    from deployx_edge.crossbuild.elf import inspect_executable

    try:
        needed = inspect_executable(plugin).needed
    except DeployxError:
        return ""
    library = next((name for name in needed if name.startswith(_PLUGIN_LIBRARY)), None)
    if library is None:
        return ""
    root = plugin.resolve().parents[1] / "lib"
    for path in (*root.glob(library), *root.glob(f"*/{library}")):
        found = re.search(r"\.so\.([\d.]+)$", path.resolve().name)
        if found:
            return found[1]
    return ""
