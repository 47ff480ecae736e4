"""``deployx.toml``: named devices, compilers that were installed, operators of one's own.

    [devices.pi]
    uri = "ssh:pi@192.0.2.7"
    target = "linux-arm64"          # asked from the board where it is left out
    work_folder = "/data/deployx"   # the link's default where it is left out
    keep_mib = 4096                 # how much of ours stays there; the oldest goes first
    connect_seconds = 15
    silence_seconds = 20
    answer_seconds = 120
    ssh_config = "board.ssh"        # instead of ~/.ssh/config; relative to this file
    lease_folder = "/run/lock/ml"   # on the board, where all its runs take their turns

    [toolchains.android]
    ndk = "/opt/android-ndk-r27c"   # relative to this file; ANDROID_NDK_HOME counts before it
    api = 24                        # the oldest Android that binaries run on: its API level
    archives = "/opt/aars"          # where archives (AAR) of libraries for Android lie

    [toolchains.qualcomm]
    sdk = "/opt/qairt/2.39.0"       # relative to this file; QAIRT_SDK_ROOT counts before it
    python = "/usr/bin/python3.10"  # what the SDK's own tools run in, where it is not found

    [ops]
    folders = ["my_ops"]            # each holds folders of operators; relative to this file

The file is looked for in the current folder and its parents; the user's own file
(``~/.config/deployx-edge/deployx.toml``) lies below it: of a device that stands in both, each
key is the project's where that has it. The user's may lack the uri: it then counts where a
project has the device. Folders of operators count from both.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import reprlib
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deployx_edge.device import Device, LinkOptions
from deployx_edge.errors import ConfigError, UsageError
from deployx_edge.files import SMALL, parse_toml, read_text
from deployx_edge.resources import expanded, home_folder
from deployx_edge.target import find_target

FILE_NAME = "deployx.toml"
_SECONDS = ("connect_seconds", "silence_seconds", "answer_seconds")
_DEVICE_KEYS = ("uri", "target", "work_folder", "keep_mib", *_SECONDS, "ssh_config", "lease_folder")
_ANDROID_KEYS = ("ndk", "api", "archives")
_QUALCOMM_KEYS = ("sdk", "python")
# A colon tells an address from a name, a comma one device from the next.
_NAME = re.compile(r"[^\x00-\x20\x7f:,][^\x00-\x1f\x7f:,]{0,63}")
_SCHEME = re.compile(r"[a-z]+:")


@dataclass(frozen=True, kw_only=True)
class AndroidBuild:
    """``ndk`` is the NDK's folder, None where none is to be used; ``api`` the API level that
    it builds for (24 is Android 7.0); ``archives`` the folder with archives of libraries, None
    where nobody names one."""

    ndk: Path | None = None
    api: int = 24
    archives: Path | None = None


@dataclass(frozen=True, kw_only=True)
class QualcommTools:
    """``sdk`` is the folder of Qualcomm's SDK, ``python`` the Python that its tools run in; None
    where nobody names one."""

    sdk: Path | None = None
    python: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Config:
    """All named devices, how to build for Android, Qualcomm's SDK, folders of operators, and the
    files that say so (strongest first)."""

    devices: Mapping[str, Device] = field(default_factory=dict)
    android: AndroidBuild = field(default_factory=AndroidBuild)
    qualcomm: QualcommTools = field(default_factory=QualcommTools)
    operators: tuple[Path, ...] = ()
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
            or f"Name it: deployx-edge devices add {shlex.quote(name_or_uri)} ssh:user@host, "
            "or give an address: local:, virtual:linux-arm64, ssh:user@host, adb:SERIAL.",
        )

    def find_devices(self, words: str) -> list[Device]:
        """The devices of a list such as ``pi,phone,virtual:linux-riscv64?cpu=rv64,v=true``.

        What follows a comma and is neither a device nor an address belongs to the address
        before it. UsageError where one is not known or stands twice.
        """
        parts: list[str] = []
        for part in words.split(","):
            known = part in self.devices or _SCHEME.match(part)
            if parts and "?" in parts[-1] and not known:
                parts[-1] += f",{part}"
            else:
                parts.append(part.strip())
        for part in parts:
            if parts.count(part) > 1:
                raise UsageError(f"The device '{part}' stands twice in '{words}'.")
        return [self.find_device(part) for part in parts]


def load_config(folder: Path | None = None) -> Config:
    """What the files say, for a command that runs in ``folder`` (default: the current one).

    Raises ConfigError, which names the file and the key.
    """
    tables: dict[str, dict[str, _Entry]] = {}
    files = [path for path in (project_file(folder or Path.cwd()), user_file()) if path]
    found = tuple(path for path in files if path.is_file())
    android: dict[str, _Entry] = {}
    qualcomm: dict[str, _Entry] = {}
    counted: set[str] = set()
    operators: list[Path] = []
    for path in reversed(found):
        content = _content(path)
        operators[:0] = _operator_folders(path, content)
        for name, table in _devices(path, content).items():
            tables.setdefault(name, {}).update(table)
            if path != user_file() or "uri" in table:
                counted.add(name)
        toolchains = _toolchains(path, content)
        android.update(_toolchain(path, toolchains, "android", _ANDROID_KEYS))
        qualcomm.update(_toolchain(path, toolchains, "qualcomm", _QUALCOMM_KEYS))
    devices = {
        name: _device(name, table, found) for name, table in tables.items() if name in counted
    }
    return Config(
        devices=devices,
        android=_android(android),
        qualcomm=QualcommTools(**{key: _place(qualcomm, key) for key in _QUALCOMM_KEYS}),
        operators=tuple(dict.fromkeys(operators)),
        files=found,
    )


def find_device(name_or_uri: str) -> Device:
    """The device of that name in the user's and the project's settings, or at that address."""
    return load_config().find_device(name_or_uri)


def user_file() -> Path:
    """The user's own file; ``XDG_CONFIG_HOME`` moves it, as for other programs."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else home_folder() / ".config") / "deployx-edge" / FILE_NAME


def project_file(folder: Path) -> Path | None:
    """The file of the project that ``folder`` is in: there, or in the nearest parent."""
    folder = folder.resolve()
    for place in (folder, *folder.parents):
        if (place / FILE_NAME).is_file():
            return place / FILE_NAME
    return None


def check_name(name: str) -> None:
    """ConfigError for what cannot be a device's name."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"The device name {name!r} must be 1 to 64 printable characters without ':' and ',', "
            "and begin with none that is blank."
        )


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """One value of a device's table, and the file it stands in."""

    key: str
    value: object
    path: Path

    def wrong(self, expected: str) -> ConfigError:
        return ConfigError(
            f"{self.path}: {self.key} must be {expected}, found {reprlib.repr(self.value)}."
        )


_Table = Mapping[str, _Entry]


def _content(path: Path) -> dict[str, object]:
    try:
        content = parse_toml(read_text(path, most=SMALL))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as TOML: {error}.") from error
    _refuse_unknown(path, "", content, ("devices", "toolchains", "ops"))
    return content


def _devices(path: Path, content: Mapping[str, object]) -> dict[str, dict[str, _Entry]]:
    tables = content.get("devices", {})
    if not isinstance(tables, dict):
        raise _Entry(key="devices", value=tables, path=path).wrong("a table such as [devices.pi]")
    return {name: _entries(path, name, table) for name, table in tables.items()}


def _toolchains(path: Path, content: Mapping[str, object]) -> Mapping[str, object]:
    toolchains = content.get("toolchains", {})
    if not isinstance(toolchains, dict):
        entry = _Entry(key="toolchains", value=toolchains, path=path)
        raise entry.wrong("a table such as [toolchains.android]")
    _refuse_unknown(path, "toolchains.", toolchains, ("android", "qualcomm"))
    return toolchains


def _toolchain(
    path: Path, toolchains: Mapping[str, object], name: str, keys: Sequence[str]
) -> dict[str, _Entry]:
    key = f"toolchains.{name}"
    table = toolchains.get(name, {})
    if not isinstance(table, dict):
        raise _Entry(key=key, value=table, path=path).wrong(f"a table with {' and '.join(keys)}")
    _refuse_unknown(path, f"{key}.", table, keys)
    return {
        word: _Entry(key=f"{key}.{word}", value=value, path=path) for word, value in table.items()
    }


def _operator_folders(path: Path, content: Mapping[str, object]) -> list[Path]:
    table = content.get("ops", {})
    if not isinstance(table, dict):
        raise _Entry(key="ops", value=table, path=path).wrong("a table with folders")
    _refuse_unknown(path, "ops.", table, ("folders",))
    folders = table.get("folders", [])
    entry = _Entry(key="ops.folders", value=folders, path=path)
    if not isinstance(folders, list) or not all(
        isinstance(each, str) and each.strip() and each.isprintable() for each in folders
    ):
        raise entry.wrong('a list of folders such as ["my_ops"]')
    owner = path.stat().st_uid
    if folders and owner not in (os.getuid(), 0):
        # What lies there is compiled, and run as Python.
        raise ConfigError(
            f"{path} names folders of operators ([ops] folders), whose code would run here, and "
            f"belongs to another user ({owner}).",
            remedy="Work where no file of others is found, or make it your own.",
        )
    return [_beside(entry, each).resolve() for each in folders]


def _place(table: _Table, key: str) -> Path | None:
    text = _text(table, key)
    return None if text is None else _beside(table[key], text)


def _android(table: _Table) -> AndroidBuild:
    folder, archives = _place(table, "ndk"), _place(table, "archives")
    api = table.get("api")
    if api is None:
        return AndroidBuild(ndk=folder, archives=archives)
    if isinstance(api.value, bool) or not isinstance(api.value, int) or api.value < 1:
        raise api.wrong("an API level such as 24")
    return AndroidBuild(ndk=folder, api=api.value, archives=archives)


def _entries(path: Path, name: str, table: object) -> dict[str, _Entry]:
    key = f"devices.{name}"
    if not isinstance(table, dict):
        raise _Entry(key=key, value=table, path=path).wrong('a table with uri = "…"')
    try:
        check_name(name)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.message}") from error
    _refuse_unknown(path, f"{key}.", table, _DEVICE_KEYS)
    return {
        word: _Entry(key=f"{key}.{word}", value=value, path=path) for word, value in table.items()
    }


def _device(name: str, table: _Table, files: tuple[Path, ...]) -> Device:
    uri = _text(table, "uri")
    if uri is None or ":" not in uri:
        where = next(iter(table.values())).path if table else files[0]
        raise ConfigError(
            f"{where}: devices.{name}.uri must be an address, found {uri!r}.",
            remedy='Write for example uri = "ssh:pi@192.0.2.7".',
        )
    return Device(
        name=name,
        uri=uri,
        target=_target(table),
        work_folder=_text(table, "work_folder"),
        keep_mib=_keep(table),
        options=_options(table),
    )


def _target(table: _Table) -> str | None:
    name = _text(table, "target")
    if name is None:
        return None
    try:
        return find_target(name).id
    except UsageError as error:
        entry = table["target"]
        raise ConfigError(
            f"{entry.path}: {entry.key}: {error.message}", remedy=error.remedy
        ) from error


def _keep(table: _Table) -> int:
    entry = table.get("keep_mib")
    if entry is None:
        return Device.keep_mib
    if isinstance(entry.value, bool) or not isinstance(entry.value, int) or entry.value < 1:
        raise entry.wrong("a whole number of MiB above 0")
    return entry.value


def _options(table: _Table) -> LinkOptions:
    seconds: dict[str, float] = {}
    for name in _SECONDS:
        entry = table.get(name)
        if entry is None:
            continue
        value = entry.value
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not 0 < value < math.inf
        ):
            raise entry.wrong("a number of seconds above 0")
        seconds[name] = float(value)
    ssh_config = _text(table, "ssh_config")
    place = None
    if ssh_config is not None:
        place = _beside(table["ssh_config"], ssh_config)
    return LinkOptions(**seconds, ssh_config=place, lease_folder=_lease_folder(table))


def _lease_folder(table: _Table) -> str | None:
    folder = _text(table, "lease_folder")
    if folder is not None and not folder.startswith("/"):
        raise table["lease_folder"].wrong("an absolute path on the board")
    return folder


def _beside(entry: _Entry, path: str) -> Path:
    """A path that stands in a file, seen from that."""
    try:
        return entry.path.parent / expanded(path)
    except UsageError as error:
        raise ConfigError(
            f"{entry.path}: {entry.key}: {error.message}", remedy=error.remedy
        ) from error


def _text(table: _Table, name: str) -> str | None:
    entry = table.get(name)
    if entry is None:
        return None
    if not isinstance(entry.value, str) or not entry.value.strip():
        raise entry.wrong("a text in quotes")
    if not entry.value.isprintable():
        raise entry.wrong("a text without control characters")
    return entry.value


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
