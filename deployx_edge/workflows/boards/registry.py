"""The devices of ``deployx.toml``: add one that was asked, remove one, see which are there.

Files keep their comments and their order (tomlkit).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deployx_edge.config import (
    FILE_NAME,
    check_name,
    load_config,
    project_file,
    user_file,
)
from deployx_edge.device import Device
from deployx_edge.errors import ConfigError, DeployxError, UsageError
from deployx_edge.files import SMALL, parse_toml, read_text
from deployx_edge.scratch import beside
from deployx_edge.target import find_target
from deployx_edge.transport import open_device
from deployx_edge.transport.board import checked_target
from deployx_edge.units import period
from deployx_edge.workflows.boards.lease import LeaseEntry, lease_of


@dataclass(frozen=True, kw_only=True)
class Presence:
    """Whether a device answers. ``found`` is its machine and holder, or what is wrong."""

    device: Device
    reachable: bool
    found: str
    holder: LeaseEntry | None = None


def add_device(
    name: str,
    uri: str,
    *,
    target: str | None = None,
    work_folder: str | None = None,
    project: bool = False,
    probe: bool = True,
    replace_it: bool = False,
) -> tuple[Device, Path]:
    """Ask the board what it is and write it down; the device and the file it stands in.

    ``project`` writes into the project's file (in the current folder where there is none), else
    into the user's own. Without ``probe`` nothing is asked, and the target is looked up at each
    use. UsageError where the name is taken and not ``replace_it``.
    """
    check_name(name)
    file = (project_file(Path.cwd()) or Path.cwd() / FILE_NAME) if project else user_file()
    if name in load_config().devices and not replace_it:
        known = load_config().devices[name]
        raise UsageError(
            f"There is a device '{name}' already: {known.uri}.",
            remedy="Take another name, or --replace it.",
        )
    device = Device(
        name=name,
        uri=uri,
        target=find_target(target).id if target else None,
        work_folder=work_folder,
    )
    if probe:
        with open_device(device) as transport:
            device = replace(device, target=checked_target(transport, device.target).id)
    _write(file, device)
    return device, file


def remove_device(name: str) -> Path:
    """Take a device out of the file that has it; UsageError where none has."""
    found = False
    for file in load_config().files:
        document = read_document(file)
        if name in document.get("devices", {}):
            del document["devices"][name]
            store_document(file, document)
            found = True
            place = file
    if not found:
        load_config().find_device(name)  # says what is near
        raise UsageError(f"'{name}' stands in no {FILE_NAME}: it is an address.")
    return place


def presences(devices: Sequence[Device], *, seconds: float = 3.0) -> list[Presence]:
    """Which devices answer, all asked at once; those that do not within ``seconds`` are not
    waited for."""
    found: dict[str, Presence] = {}

    def ask(device: Device) -> None:
        found[device.name] = _presence(device, seconds)

    threads = [threading.Thread(target=ask, args=(device,), daemon=True) for device in devices]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    silent = f"no answer within {seconds:g} s"
    return [
        found.get(device.name) or Presence(device=device, reachable=False, found=silent)
        for device in devices
    ]


def _presence(device: Device, seconds: float) -> Presence:
    options = replace(device.options, connect_seconds=min(seconds, device.options.connect_seconds))
    try:
        with open_device(replace(device, options=options)) as transport:
            target = checked_target(transport, device.target)
            entries = lease_of(transport, target)
            holder = entries[0] if entries else None
            used = f", used by {holder.who} for {period(holder.seconds)}" if holder else ""
            return Presence(
                device=device,
                reachable=True,
                found=f"{transport.machine()}, {target.id}{used}",
                holder=holder,
            )
    except DeployxError as error:
        return Presence(device=device, reachable=False, found=error.message)


def _write(file: Path, device: Device) -> None:
    import tomlkit

    document = read_document(file)
    devices = document.setdefault("devices", tomlkit.table(is_super_table=True))
    table = devices.get(device.name) or tomlkit.table()
    table["uri"] = device.uri
    for key, value in (("target", device.target), ("work_folder", device.work_folder)):
        if value is not None:
            table[key] = value
        elif key in table:
            del table[key]
    devices[device.name] = table
    store_document(file, document)


def read_document(file: Path) -> Any:
    """The file as tomlkit has it; empty where there is none."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        text = read_text(file, most=SMALL)
        parse_toml(text)  # whose limits tomlkit lacks
        return tomlkit.parse(text)
    except FileNotFoundError:
        return tomlkit.document()
    except (OSError, ValueError, TOMLKitError) as error:
        raise ConfigError(f"{file} cannot be read as TOML: {error}.") from error


def store_document(file: Path, document: Any) -> None:
    """Write it back, whole or not at all; ConfigError where that is not possible."""
    import tomlkit

    text = tomlkit.dumps(document)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with beside(file) as temporary:
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(file)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}.") from error
