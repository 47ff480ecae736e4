"""``deployx.toml``: the devices that a person gave names.

    [devices.pi]
    uri = "ssh:pi@192.0.2.7"
    target = "linux-arm64"          # asked from the board where it is left out
    work_folder = "/data/deployx"   # the link's default where it is left out
    connect_seconds = 15
    silence_seconds = 20
    answer_seconds = 120
    ssh_config = "board.ssh"        # instead of ~/.ssh/config; relative to this file

The file is looked for in the current folder and its parents; the user's own file
(``~/.config/deployx-edge/deployx.toml``) lies below it: a device named in both is the
project's.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deployx_edge.device import Device, LinkOptions
from deployx_edge.errors import ConfigError, UsageError
from deployx_edge.target import find_target

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE_NAME = "deployx.toml"
_SECONDS = ("connect_seconds", "silence_seconds", "answer_seconds")
_DEVICE_KEYS = ("uri", "target", "work_folder", *_SECONDS, "ssh_config")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class Config:
    """All named devices, and the files they were read from (strongest first)."""

    devices: Mapping[str, Device] = field(default_factory=dict)
    files: tuple[Path, ...] = ()

    def find_device(self, name_or_uri: str) -> Device:
        """The device of that name, or one made of an address such as ``ssh:pi@host``.

        An address has a colon, a name never has. UsageError with the nearest names
        where there is no such device.
        """
        if name_or_uri in self.devices:
            return self.devices[name_or_uri]
        if ":" in name_or_uri:
            return Device(name=name_or_uri, uri=name_or_uri)
        raise UsageError(
            f"There is no device '{name_or_uri}'.",
            remedy=_nearest(name_or_uri, self.devices)
            or f'Name it in {FILE_NAME} ([devices.{name_or_uri}] uri = "ssh:user@host") '
            "or give an address: local:, virtual:linux-arm64, ssh:user@host.",
        )


def load_config(folder: Path | None = None) -> Config:
    """What the files say, for a command that runs in ``folder`` (default: the current one).

    Raises ConfigError, which names the file and the key.
    """
    devices: dict[str, Device] = {}
    files = [path for path in (_project_file(folder or Path.cwd()), user_file()) if path]
    found = tuple(path for path in files if path.is_file())
    for path in reversed(found):
        devices.update(_read(path))
    return Config(devices=devices, files=found)


def user_file() -> Path:
    """The user's own file; ``XDG_CONFIG_HOME`` moves it, as for other programs."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "deployx-edge" / FILE_NAME


def _project_file(folder: Path) -> Path | None:
    folder = folder.resolve()
    for place in (folder, *folder.parents):
        if (place / FILE_NAME).is_file():
            return place / FILE_NAME
    return None


def _read(path: Path) -> dict[str, Device]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as TOML: {error}.") from error
    _refuse_unknown(path, "", content, ("devices",))
    tables = content.get("devices", {})
    if not isinstance(tables, dict):
        raise _wrong(path, "devices", "a table such as [devices.pi]", tables)
    return {name: _device(path, name, table) for name, table in tables.items()}


def _device(path: Path, name: str, table: object) -> Device:
    key = f"devices.{name}"
    if not isinstance(table, dict):
        raise _wrong(path, key, 'a table with uri = "…"', table)
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{path}: the device name '{name}' must be letters, digits, '.', '_' and '-'."
        )
    _refuse_unknown(path, f"{key}.", table, _DEVICE_KEYS)
    uri = _text(path, key, table, "uri")
    if uri is None or ":" not in uri:
        raise ConfigError(
            f"{path}: {key}.uri must be an address, found {uri!r}.",
            remedy='Write for example uri = "ssh:pi@192.0.2.7".',
        )
    target = _text(path, key, table, "target")
    if target is not None:
        try:
            find_target(target)
        except UsageError as error:
            raise ConfigError(
                f"{path}: {key}.target: {error.message}", remedy=error.remedy
            ) from error
    return Device(
        name=name,
        uri=uri,
        target=target,
        work_folder=_text(path, key, table, "work_folder"),
        options=_options(path, key, table),
    )


def _options(path: Path, key: str, table: Mapping[str, object]) -> LinkOptions:
    seconds: dict[str, float] = {}
    for name in _SECONDS:
        value = table.get(name)
        if value is None:
            continue
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not 0 < value < math.inf
        ):
            raise _wrong(path, f"{key}.{name}", "a number of seconds above 0", value)
        seconds[name] = float(value)
    ssh_config = _text(path, key, table, "ssh_config")
    place = path.parent / Path(ssh_config).expanduser() if ssh_config is not None else None
    return LinkOptions(**seconds, ssh_config=place)


def _text(path: Path, key: str, table: Mapping[str, object], name: str) -> str | None:
    value = table.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        raise _wrong(path, f"{key}.{name}", "a text in quotes", value)
    return value


def _wrong(path: Path, key: str, expected: str, found: object) -> ConfigError:
    return ConfigError(f"{path}: {key} must be {expected}, found {found!r}.")


def _refuse_unknown(
    path: Path, prefix: str, table: Mapping[str, object], known: Iterable[str]
) -> None:
    names = list(known)
    for name in table:
        if name not in names:
            raise ConfigError(
                f"{path}: unknown key {prefix}{name}.",
                remedy=_nearest(name, names) or f"Known: {', '.join(names)}.",
            )


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(near)}?" if near else ""
