"""Host keys: what ``known_hosts`` says of a server, and errors that tell what to do.

Keys are always checked, also where ``StrictHostKeyChecking no`` stands in the SSH
configuration: a benchmark from the wrong board is worse than none.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deployx_edge.errors import HostKeyError
from deployx_edge.files import LARGE, read_text
from deployx_edge.transport.ssh.config import Hop


@dataclass(frozen=True, kw_only=True)
class KnownKey:
    """One line of a known_hosts file that names the host."""

    kind: str
    blob: bytes
    revoked: bool
    file: Path
    line: int


def known_keys(name: str, files: Sequence[Path]) -> list[KnownKey]:
    """All keys noted for ``name`` (``host`` or ``[host]:port``), hashed names too.

    Lines that cannot be read are passed over, as OpenSSH does; certificate authorities
    are not used.
    """
    found = []
    for file in files:
        try:
            lines = read_text(file, most=LARGE, errors="replace").splitlines()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise HostKeyError(f"{file} cannot be read: {error.strerror}.") from error
        for number, line in enumerate(lines, 1):
            key = _read_line(line, name, file, number)
            if key is not None:
                found.append(key)
    return found


def check_host_key(hop: Hop, kind: str, blob: bytes) -> None:
    """HostKeyError unless the server's key is noted for this host and not revoked."""
    known = known_keys(hop.host_key_name, hop.known_hosts)
    shown = f"{kind} {fingerprint(blob)}"
    same = [key for key in known if key.blob == blob]
    if any(key.revoked for key in same):
        raise HostKeyError(
            f"The host key of {hop.where} ({shown}) is marked as revoked "
            f"in {same[0].file}, line {same[0].line}.",
            remedy="Do not connect; ask who runs the board.",
        )
    if same:
        return
    valid = [key for key in known if not key.revoked]
    if not valid:
        raise HostKeyError(
            f"The host key of {hop.where} is not known yet; it shows {shown}.",
            remedy=_how_to_trust(hop),
        )
    noted = ", ".join(f"{key.kind} {fingerprint(key.blob)}" for key in valid)
    raise HostKeyError(
        f"The host key of {hop.where} has changed: {valid[0].file}, line {valid[0].line} "
        f"knows {noted}, the host shows {shown}.",
        remedy="Where the board was set up anew, forget the old key with: "
        f"ssh-keygen -f {shlex.quote(str(valid[0].file))} -R {shlex.quote(hop.host_key_name)} "
        "— else someone is in between: do not connect.",
    )


def fingerprint(blob: bytes) -> str:
    """As ``ssh-keygen -l`` prints it."""
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return f"SHA256:{digest}"


def _how_to_trust(hop: Hop) -> str:
    compare = "Compare it with the board's own (ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub), then "
    direct = hop.proxy_command is None and not hop.jumps
    plain = hop.host.lower() if hop.port == 22 else f"[{hop.host.lower()}]:{hop.port}"
    if not direct or hop.host_key_name != plain:
        return f"{compare}answer 'yes' once to: {hop.ssh_command()} exit"
    file = hop.known_hosts[0]
    folder = "" if file.parent.is_dir() else f"mkdir -p {shlex.quote(str(file.parent))} && "
    return (
        f"{compare}note it with: {folder}ssh-keyscan -p {hop.port} {shlex.quote(hop.host)}"
        f" >> {shlex.quote(str(file))}"
    )


def _read_line(line: str, name: str, file: Path, number: int) -> KnownKey | None:
    words = line.split()
    if not words or words[0].startswith("#") or words[0] == "@cert-authority":
        return None
    revoked = words[0] == "@revoked"
    words = words[1:] if revoked else words
    if len(words) < 3 or not _names_host(words[0], name):
        return None
    try:
        blob = base64.b64decode(words[2], validate=True)
    except binascii.Error:
        return None
    return KnownKey(kind=words[1], blob=blob, revoked=revoked, file=file, line=number)


def _names_host(field: str, name: str) -> bool:
    """Whether the first field (hashed, or patterns with ``*``, ``?`` and ``!``) names the host."""
    if field.startswith("|1|"):
        parts = field.split("|")
        try:
            salt, wanted = (base64.b64decode(part) for part in parts[2:4])
        except (ValueError, binascii.Error):
            return False
        return hmac.compare_digest(hmac.new(salt, name.encode(), "sha1").digest(), wanted)
    matched = False
    for pattern in field.lower().split(","):
        text = re.escape(pattern.removeprefix("!")).replace(r"\*", ".*").replace(r"\?", ".")
        if re.fullmatch(text, name.lower()):
            if pattern.startswith("!"):
                return False
            matched = True
    return matched
