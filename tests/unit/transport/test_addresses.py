from __future__ import annotations

import pytest

from deployx_edge.errors import UsageError
from deployx_edge.transport import open_transport
from deployx_edge.transport.ssh.config import Address, parse_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ssh:pi@192.0.2.7", Address(host="192.0.2.7", user="pi")),
        ("ssh:board", Address(host="board")),
        ("ssh:board:2222", Address(host="board", port=2222)),
        ("ssh://pi@board.lab:22", Address(host="board.lab", user="pi", port=22)),
        ("ssh:pi@[2001:db8::7]:2222", Address(host="2001:db8::7", user="pi", port=2222)),
        ("ssh:[::1]", Address(host="::1")),
        ("ssh:pi@2001:db8::7", Address(host="2001:db8::7", user="pi")),
    ],
)
def test_ssh_addresses(text: str, expected: Address) -> None:
    assert parse_address(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "ssh:", "ssh:@host", "ssh:user@", "ssh:host:port", "ssh:host:0", "ssh:host:70000",
        "ssh:user:secret@host", "ssh:a b", "ssh:host/path", "ssh:host\nProxyCommand evil",
        "ssh:u\nser@host", "ssh:-oProxyCommand=evil",
    ],
)  # fmt: skip
def test_what_is_no_ssh_address(text: str) -> None:
    with pytest.raises(UsageError):
        parse_address(text)


@pytest.mark.parametrize(
    ("uri", "remedy"),
    [
        ("shh:pi@host", "Did you mean ssh:?"),
        ("virtul:linux-arm64", "Did you mean virtual:?"),
        ("qqq:x", "An address begins with local: or virtual: or ssh: or adb: or labgrid:."),
        ("ssh", "Did you mean ssh:?"),
        ("", "An address begins with"),
    ],
)
def test_an_unknown_kind_of_link(uri: str, remedy: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_transport(uri)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    "uri", ["local:here", "virtual:linux-arm64?core=2", "virtual:linux-arm64?cpu=", "virtual:?"]
)
def test_what_a_link_does_not_take(uri: str) -> None:
    with pytest.raises(UsageError):
        open_transport(uri)


@pytest.mark.parametrize("uri", ["local:", "ssh:me@192.0.2.7"])
def test_a_work_folder_is_absolute(uri: str) -> None:
    with pytest.raises(UsageError, match="absolute path"):
        open_transport(uri, work_folder="some/where")
