from __future__ import annotations

from pathlib import Path

import pytest

from deployx_edge.errors import ConfigError
from deployx_edge.transport.ssh.config import Hop, parse_address, resolve


def looked_up(tmp_path: Path, uri: str, text: str) -> Hop:
    (tmp_path / "config").write_text(text)
    return resolve(parse_address(uri), tmp_path / "config")


def test_without_any_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    hop = looked_up(tmp_path, "ssh:pi@192.0.2.7", "")
    assert (hop.user, hop.host, hop.port) == ("pi", "192.0.2.7", 22)
    assert (hop.jumps, hop.proxy_command, hop.host_key_name) == ((), None, "192.0.2.7")
    assert hop.identity_files[0] == tmp_path / ".ssh" / "id_ed25519"
    assert hop.known_hosts[0] == tmp_path / ".ssh" / "known_hosts"
    assert not hop.chosen_keys


def test_the_address_goes_before_the_file(tmp_path: Path) -> None:
    text = "Host pi\n  HostName 192.0.2.7\n  User other\n  Port 22\n  ProxyCommand nc %h %p %r\n"
    hop = looked_up(tmp_path, "ssh:me@pi:2222", text)
    assert (hop.user, hop.host, hop.port) == ("me", "192.0.2.7", 2222)
    assert hop.proxy_command == "nc 192.0.2.7 2222 me"
    assert hop.host_key_name == "[192.0.2.7]:2222"
    assert hop.ssh_command() == f"ssh -F {tmp_path}/config -p 2222 me@pi"


def test_jumps_go_before_a_command(tmp_path: Path) -> None:
    hop = looked_up(tmp_path, "ssh:pi", "ProxyJump a@b:3, c\nProxyCommand nc %h %p\n")
    assert (hop.jumps, hop.proxy_command) == (("a@b:3", "c"), None)
    hop = looked_up(tmp_path, "ssh:pi", "Host pi\nProxyJump none\nHost *\nProxyJump gate\n")
    assert hop.jumps == ()


def test_known_hosts_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    hop = looked_up(tmp_path, "ssh:pi", 'UserKnownHostsFile "/a b/c" ~/d\n')
    assert hop.known_hosts[:2] == (Path("/a b/c"), tmp_path / "d")
    hop = looked_up(tmp_path, "ssh:pi", 'UserKnownHostsFile "/a b/c"\nGlobalKnownHostsFile /g\n')
    assert hop.known_hosts == (Path("/a b/c"), Path("/g"))
    # Keys are checked all the same: nowhere to note them is the usual place.
    hop = looked_up(tmp_path, "ssh:pi", "UserKnownHostsFile /dev/null\n")
    assert hop.known_hosts[0] == tmp_path / ".ssh" / "known_hosts"


def test_included_files(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "1.conf").write_text("Host pi\n  HostName 192.0.2.1\n")
    (tmp_path / "more" / "2.conf").write_text("Host other\n  User nobody\n")
    hop = looked_up(tmp_path, "ssh:pi", "Include more/*.conf\nUser everybody\n")
    # The Host line of an included file ends with that file.
    assert (hop.host, hop.user) == ("192.0.2.1", "everybody")
    text = "Host elsewhere\n  Include more/1.conf\n  User there\nHost pi\n  User here\n"
    assert looked_up(tmp_path, "ssh:pi", text).user == "here"


def test_files_that_include_each_other(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Include"):
        looked_up(tmp_path, "ssh:pi", "Include config\n")


@pytest.mark.parametrize("line", ["Nonsense", "Port many", "CanonicalizeHostname yes"])
def test_a_line_that_is_not_understood(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigError, match="config holds what cannot be read") as caught:
        looked_up(tmp_path, "ssh:pi", f"{line}\n")
    assert "ssh_config" in caught.value.remedy
