"""What of tools, compilers, packages and devices is there, and how to get the rest."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec

from deployx_edge import process
from deployx_edge.device import Device
from deployx_edge.errors import DeployxError
from deployx_edge.resources import cache_folder, dist_folder
from deployx_edge.runtime import RUNTIMES, RuntimeFacts
from deployx_edge.runtimes.setup import checker_version
from deployx_edge.target import Target, find_target, targets
from deployx_edge.transport.virtual.libraries import LIBRARIES_REMEDY, missing_libraries
from deployx_edge.worker_facts import worker_facts
from deployx_edge.workflows.boards.devices import known_devices


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing looked for. ``needed`` things that are missing make the doctor fail."""

    group: str
    name: str
    present: bool
    needed: bool
    found: str
    remedy: str = ""


_PACKAGES = (
    "ziglang",
    "conan",
    "cmake",
    "ninja",
    "grpcio",
    "protobuf",
    "paramiko",
    "onnx",
    *dict.fromkeys(row.package for row in RUNTIMES.values() if row.package and not row.extra),
    "numpy",
    "pillow",
)

# Packages that only some commands need, and which.
_EXTRAS = (
    ("pnnx", "--no-deps ", "bundle --converter pnnx"),
    ("labgrid", "", "the devices labgrid:PLACE"),
    *(
        (row.package, "", f"--runtime {row.name}")
        for row in RUNTIMES.values()
        if row.extra and row.runs_here
    ),
)

# Program, Debian package, whether nothing works without it, and what for.
_PROGRAMS = (
    ("ccache", "ccache", False, "repeated compiles in seconds"),
    ("protoc", "protobuf-compiler", False, "else built once for this computer"),
    ("grpc_cpp_plugin", "protobuf-compiler-grpc", False, "else built once for this computer"),
    ("ssh", "openssh-client", False, "keys and known_hosts of ssh: devices"),
    ("adb", "adb", False, "the devices adb: and virtual:android-arm64"),
    (
        "aarch64-linux-gnu-g++",
        "g++-aarch64-linux-gnu",
        False,
        "build --toolchain gnu, the device virtual:jetson-arm64",
    ),
)


def examine() -> list[Check]:
    """Every check, in a fixed order. Nothing is installed or changed."""
    return [
        _python(),
        *(_package(name) for name in _PACKAGES),
        *(_package(name, options, purpose) for name, options, purpose in _EXTRAS),
        *(_checker(row) for row in RUNTIMES.values() if row.checker),
        *(_program(*row) for row in _PROGRAMS),
        *(_emulator(name) for name in dict.fromkeys(t.qemu for t in targets().values())),
        *(_build(id) for id in targets()),
        _cache(),
        *_devices(),
    ]


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    fits = (3, 10) <= sys.version_info[:2] < (3, 13)
    return Check(
        group="python",
        name="Python",
        present=fits,
        needed=True,
        found=version,
        remedy="" if fits else "Use Python 3.10, 3.11 or 3.12.",
    )


def _package(name: str, options: str = "", purpose: str = "") -> Check:
    """``purpose`` is what an extra is for; without one nothing works without the package."""
    needed = not purpose
    try:
        return Check(
            group="packages", name=name, present=True, needed=needed, found=metadata.version(name)
        )
    except metadata.PackageNotFoundError:
        present = find_spec(name) is not None
        missing = f"missing ({purpose})" if purpose else "missing"
        return Check(
            group="packages",
            name=name,
            present=present,
            needed=needed,
            found="of unknown version" if present else missing,
            remedy="" if present else f"{sys.executable} -m pip install {options}{name}",
        )


def _checker(row: RuntimeFacts) -> Check:
    """Beside deployx-edge, or in an environment of its own: its runtime knows."""
    version = checker_version(row.name)
    return Check(
        group="packages",
        name=row.checker,
        present=bool(version),
        needed=False,
        found=version or f"missing (whether {row.title} takes a model)",
        remedy="" if version else f"deployx-edge runtimes install {row.name}",
    )


def _program(name: str, package: str, needed: bool, purpose: str) -> Check:
    path = process.find_program(name)
    return Check(
        group="programs",
        name=name,
        present=path is not None,
        needed=needed,
        found=f"{path}" if path else f"missing ({purpose})",
        remedy="" if path else f"apt-get install {package}",
    )


def _emulator(name: str) -> Check:
    devices = [f"virtual:{target.id}" for target in targets().values() if target.qemu == name]
    return _program(name, "qemu-user-static", False, f"the devices {', '.join(devices)}")


def _build(target_id: str) -> Check:
    found = (dist_folder(target_id) / "build.json").is_file()
    return Check(
        group="builds",
        name=target_id,
        present=found,
        needed=False,
        found=str(dist_folder(target_id)) if found else "not built yet",
        remedy="" if found else f"deployx-edge build --target {target_id}",
    )


def _cache() -> Check:
    import shutil

    folder = cache_folder()
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(existing).free
    enough = free > 6 << 30
    usable = existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
    wanted = "Cold builds want 6 GiB" if usable else "It is needed by nearly every command"
    return Check(
        group="disk",
        name="cache",
        present=enough and usable,
        needed=not usable,
        found=f"{folder}, {free >> 30} GiB free" if usable else f"{folder} cannot be written",
        remedy="" if enough and usable else f"{wanted}; DEPLOYX_EDGE_CACHE names another place.",
    )


def _devices() -> list[Check]:
    try:
        devices = known_devices()
    except DeployxError as error:
        return [
            Check(
                group="devices",
                name="deployx.toml",
                present=False,
                needed=True,
                found=error.message,
                remedy=error.remedy,
            )
        ]
    return [_device(device) for device in devices]


def _device(device: Device) -> Check:
    """Whether this computer has what a link to the device needs; the device is not asked."""
    missing = next((check for check in _link_tools(device.uri) if not check.present), None)
    return Check(
        group="devices",
        name=device.name,
        present=missing is None,
        needed=False,
        found=device.uri if missing is None else f"{device.uri} needs {missing.name}",
        remedy="" if missing is None else missing.remedy,
    )


def _link_tools(uri: str) -> list[Check]:
    scheme, _, rest = uri.partition(":")
    programs = {row[0]: row for row in _PROGRAMS}
    if scheme == "adb":
        return [_program(*programs["adb"])]
    if scheme == "labgrid":
        return [_package(*row) for row in _EXTRAS if row[0] == "labgrid"]
    if scheme != "virtual":
        return []
    target = find_target(rest.partition("?")[0])
    tools = [_emulator(target.qemu)]
    if target.system == "android":
        tools.append(_program(*programs["adb"]))
    loading = [name for name in target.runtimes if worker_facts(name).glibc]
    if target.qemu_libraries and (target.dynamic_workers or loading):
        tools.append(_libraries(target, target.runtimes if target.dynamic_workers else loading))
    return tools


def _libraries(target: Target, runtimes: Sequence[str]) -> Check:
    """The C and C++ libraries that a target's dynamic workers run with under qemu."""
    missing = missing_libraries(target, ("libc.so.6", "libstdc++.so.6"))
    return Check(
        group="programs",
        name=target.qemu_libraries,
        present=not missing,
        needed=False,
        found=f"{target.qemu_libraries}, for {', '.join(runtimes)}",
        remedy=LIBRARIES_REMEDY,
    )
