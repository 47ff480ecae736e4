from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path

import pytest

from deployx_edge.transport.ssh.known_hosts import fingerprint, known_keys

BLOB = b"\x00\x00\x00\x0bssh-ed25519" + bytes(range(32))
KEY = f"ssh-ed25519 {base64.b64encode(BLOB).decode()}"


def found(tmp_path: Path, line: str, name: str) -> bool:
    path = tmp_path / "known_hosts"
    path.write_text(line + "\n")
    return bool(known_keys(name, [path]))


@pytest.mark.parametrize(
    ("field", "name", "expected"),
    [
        ("board", "board", True),
        ("BOARD", "board", True),
        ("other,board", "board", True),
        ("[board]:2222", "[board]:2222", True),
        ("[board]:2222", "board", False),
        ("[board]:2222", "b]:2222", False),
        ("*.lab", "pi.lab", True),
        ("*.lab,!pi.lab", "pi.lab", False),
        ("!pi.lab", "jetson.lab", False),
        ("pi?", "pi7", True),
        ("pi?", "pi77", False),
        ("192.0.2.*", "192.0.2.7", True),
        ("192.0.2.1", "192x0y2z1", False),
    ],
)
def test_names_and_patterns(tmp_path: Path, field: str, name: str, expected: bool) -> None:
    assert found(tmp_path, f"{field} {KEY} a comment", name) == expected


def test_hashed_names(tmp_path: Path) -> None:
    salt = bytes(range(20))
    digest = hmac.new(salt, b"[board]:2222", hashlib.sha1).digest()
    field = "|1|" + "|".join(base64.b64encode(part).decode() for part in (salt, digest))
    assert found(tmp_path, f"{field} {KEY}", "[board]:2222")
    assert not found(tmp_path, f"{field} {KEY}", "board")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "# board",
        "board",
        "board ssh-ed25519",
        "board ssh-ed25519 not*base64",
        f"@cert-authority board {KEY}",
        f"|1|broken {KEY}",
        f"|1|a|b {KEY}",
    ],
)
def test_lines_that_say_nothing_of_the_host(tmp_path: Path, line: str) -> None:
    assert not found(tmp_path, line, "board")


def test_what_a_line_tells(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(f"# first\n@revoked board {KEY}\n")
    (key,) = known_keys("board", [tmp_path / "missing", path])
    assert (key.kind, key.blob, key.revoked, key.file, key.line) == (
        "ssh-ed25519",
        BLOB,
        True,
        path,
        2,
    )


def test_fingerprint_is_openssh_s() -> None:
    # As printed by: ssh-keygen -lf key.pub
    assert fingerprint(b"") == "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"
