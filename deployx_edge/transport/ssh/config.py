"""Where an ``ssh:`` address leads: ``~/.ssh/config`` read as OpenSSH reads it."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import paramiko

from deployx_edge.errors import ConfigError, UsageError
from deployx_edge.resources import expanded, home_folder, user_name

_SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")
_INCLUDE = re.compile(r"\s*include(?:\s*=\s*|\s+)(.+)", re.IGNORECASE)
_SECTION = re.compile(r"\s*(?:host|match)(?:\s*=\s*|\s+)", re.IGNORECASE)
_ADDRESS = re.compile(
    r"(?:(?P<user>[^@\s:/]+)@)?"
    r"(?:\[(?P<bracketed>[^\]\s]+)\]|(?P<host>[^\s:@/\[\]]+)|(?P<bare6>[0-9A-Fa-f:.%]+:[^\s@/]*))"
    r"(?::(?P<port>\d{1,5}))?"
)
_DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")
_MOST_INCLUDES = 16
_QUOTED_LIST = re.compile(
    r"(?P<key>\s*(?:user|global)knownhostsfile(?:\s*=\s*|\s+))(?P<value>\".*\")\s*", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True)
class Address:
    """``[user@]host[:port]`` as it was written; ``host`` may be a name of the configuration."""

    host: str
    user: str | None = None
    port: int | None = None


@dataclass(frozen=True, kw_only=True)
class Hop:
    """One SSH server on the way, with everything needed to log in there.

    ``name`` is as the person wrote it, ``host`` what is connected to. ``jumps`` are
    addresses to pass on the way, the first one first. ``chosen_keys`` says whether
    ``identity_files`` come from the configuration or are the usual names.
    """

    name: str
    host: str
    port: int
    user: str
    identity_files: tuple[Path, ...]
    chosen_keys: bool
    use_agent: bool
    identities_only: bool
    known_hosts: tuple[Path, ...]
    host_key_name: str
    proxy_command: str | None
    jumps: tuple[str, ...]
    config: Path | None

    @property
    def where(self) -> str:
        """Host and port for messages."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def ssh_command(self) -> str:
        """The plain ``ssh`` command that leads there, as it can be pasted."""
        words = ["ssh"]
        if self.config is not None:
            words += ["-F", str(self.config)]
        if self.port != 22:
            words += ["-p", str(self.port)]
        return shlex.join([*words, f"{self.user}@{self.name}"])


def parse_address(text: str) -> Address:
    """Read ``[user@]host[:port]``; IPv6 addresses with a port stand in brackets.

    UsageError for anything else, a password in the address among it.
    """
    found = _ADDRESS.fullmatch(text.removeprefix("ssh:").removeprefix("//"))
    port = int(found["port"]) if found and found["port"] else None
    if found is None or (port is not None and not 0 < port < 65536):
        raise UsageError(
            f"'{text}' is not an SSH address.",
            remedy="Write ssh:[user@]host[:port], IPv6 as ssh:user@[2001:db8::7]:22; "
            "keys are used, never a password in the address.",
        )
    host = found["bracketed"] or found["host"] or found["bare6"]
    if host.startswith("-"):
        raise UsageError(f"'{host}' is not a host name.")
    return Address(host=host, user=found["user"], port=port)


def resolve(address: Address, config: Path | None) -> Hop:
    """Look an address up in ``config``, or in the user's and the system's files.

    What the address says goes before what the files say. ConfigError names the file
    that cannot be understood.
    """
    found = _lookup(address, config)
    port = int(found.get("port", "22"))
    host = str(found["hostname"])
    files = list(found.get("identityfile", []))
    home_keys = [str(home_folder() / ".ssh" / name) for name in _DEFAULT_KEYS]
    jump = str(found.get("proxyjump") or "none")
    alias = found.get("hostkeyalias")
    return Hop(
        name=address.host,
        host=host,
        port=port,
        user=str(found.get("user") or user_name()),
        identity_files=tuple(expanded(name) for name in files or home_keys),
        chosen_keys=bool(files),
        use_agent=str(found.get("identityagent", "")).lower() != "none",
        identities_only=str(found.get("identitiesonly", "no")).lower() == "yes",
        known_hosts=_known_hosts_files(found),
        host_key_name=alias or (host.lower() if port == 22 else f"[{host.lower()}]:{port}"),
        proxy_command=found.get("proxycommand") if jump.lower() == "none" else None,
        jumps=() if jump.lower() == "none" else tuple(part.strip() for part in jump.split(",")),
        config=config,
    )


def _lookup(address: Address, config: Path | None) -> paramiko.SSHConfigDict:
    # The first value found counts, so that what the address says stands at the top;
    # %p and %r of ProxyCommand then mean it, too.
    head = "Host *\n"
    head += f"Port {address.port}\n" if address.port else ""
    head += f"User {address.user}\n" if address.user else ""
    if config is not None:
        if not config.is_file():
            raise ConfigError(f"The SSH configuration {config} does not exist.")
        places = [config]
    else:
        places = [home_folder() / ".ssh" / "config", _SYSTEM_CONFIG]
    parsed = paramiko.SSHConfig.from_text(head)
    for place in places:
        try:
            parsed.parse(_expanded(place, [place]))
        except (paramiko.SSHException, OSError, UnicodeDecodeError) as error:
            raise _not_understood(place, error) from error
    try:
        found = parsed.lookup(address.host)
        int(found.get("port", "22"))
        return found
    # A "Match exec" line ends in an ImportError, wrong options in a KeyError or ValueError.
    except (paramiko.SSHException, ImportError, KeyError, ValueError) as error:
        raise _not_understood(places[0], error) from error


def _not_understood(place: Path, error: Exception) -> ConfigError:
    return ConfigError(
        f"{place} holds what cannot be read here: {error}.",
        remedy='Give the device a file of its own in deployx.toml: ssh_config = "FILE".',
    )


def _expanded(path: Path, trail: list[Path]) -> list[str]:
    """The lines of ``path`` with its Include lines replaced by what they name."""
    if not path.is_file():
        return []
    lines: list[str] = []
    section = "Host *"
    for line in path.read_text(encoding="utf-8").splitlines():
        found = _INCLUDE.fullmatch(line)
        if found is None:
            section = line if _SECTION.match(line) else section
            lines.append(_keep_quotes(line))
            continue
        if len(trail) > _MOST_INCLUDES:
            raise ConfigError(f"{path}: Include lines go deeper than {_MOST_INCLUDES} files.")
        for pattern in shlex.split(found[1]):
            for included in _matching(pattern, trail[0].parent):
                lines += _expanded(included, [*trail, included])
        # A Host line of an included file ends with that file.
        lines.append(section)
    return lines


def _keep_quotes(line: str) -> str:
    """paramiko takes the outermost quotes away, which a list of quoted files needs."""
    found = _QUOTED_LIST.fullmatch(line)
    return f'{found["key"]}"{found["value"]}"' if found else line


def _matching(pattern: str, base: Path) -> list[Path]:
    place = expanded(pattern)
    if not place.is_absolute():
        place = base / place
    return sorted(Path(place.anchor).glob(str(place.relative_to(place.anchor))))


def _known_hosts_files(found: paramiko.SSHConfigDict) -> tuple[Path, ...]:
    """The user's files first. /dev/null counts as none: keys are always checked here."""
    own = [name for name in shlex.split(found.get("userknownhostsfile", "")) if name != "none"]
    own = [name.replace("%d", str(home_folder())) for name in own if name != "/dev/null"]
    if not own:
        own = [str(home_folder() / ".ssh" / "known_hosts")]
    system = shlex.split(found.get("globalknownhostsfile", "/etc/ssh/ssh_known_hosts"))
    return tuple(expanded(name) for name in [*own, *system])
