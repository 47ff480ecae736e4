"""Getting in: host keys, user keys, the SSH configuration, and hosts that do not answer."""

from __future__ import annotations

import base64
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deployx_edge.device import LinkOptions
from deployx_edge.errors import (
    AuthenticationError,
    ConfigError,
    DeviceStorageError,
    HostKeyError,
    TransportError,
)
from deployx_edge.transport import open_transport
from tests.integration.board import (
    USER,
    MissingPartError,
    SmallDisk,
    Sshd,
    free_port,
    make_key,
    running_sshd,
)


def answers(uri: str, options: LinkOptions) -> bool:
    with open_transport(uri, options=options) as link:
        return link.run(["echo", "here"]).stdout == b"here\n"


def refused(uri: str, options: LinkOptions, kind: type[TransportError]) -> TransportError:
    with pytest.raises(TransportError) as caught:
        open_transport(uri, options=options)
    assert type(caught.value) is kind
    return caught.value


class TestHostKeys:
    def test_an_unknown_key_is_refused_and_the_remedy_works(
        self, sshd: Sshd, tmp_path: Path
    ) -> None:
        known = tmp_path / "with space" / "known_hosts"
        options = sshd.options(f'UserKnownHostsFile "{known}"')
        error = refused(sshd.uri, options, HostKeyError)
        listed = subprocess.run(
            ["ssh-keygen", "-lf", str(sshd.host_key)], check=True, capture_output=True, text=True
        )
        assert listed.stdout.split()[1] in error.message
        assert f"127.0.0.1:{sshd.port}" in error.message
        command = error.remedy.partition("note it with: ")[2]
        assert command.startswith("mkdir -p ")
        subprocess.run(["sh", "-c", command], check=True, capture_output=True)
        assert answers(sshd.uri, options)

    def test_a_changed_key_is_refused_and_the_remedy_works(
        self, sshd: Sshd, tmp_path: Path
    ) -> None:
        other = make_key(tmp_path, "other").with_suffix(".pub").read_text()
        known = tmp_path / "known_hosts"
        known.write_text(f"# a comment\n[127.0.0.1]:{sshd.port} {other}")
        options = sshd.options(f"UserKnownHostsFile {known}")
        error = refused(sshd.uri, options, HostKeyError)
        assert "has changed" in error.message
        assert f"{known}, line 2" in error.message
        assert len(re.findall("SHA256:", error.message)) == 2
        command = error.remedy.partition("with: ")[2].partition(" — ")[0]
        subprocess.run(["sh", "-c", command], check=True, capture_output=True)
        assert "not known" in refused(sshd.uri, options, HostKeyError).message

    def test_strict_checking_cannot_be_turned_off(self, sshd: Sshd, tmp_path: Path) -> None:
        options = sshd.options("StrictHostKeyChecking no", f"UserKnownHostsFile {tmp_path}/none")
        refused(sshd.uri, options, HostKeyError)

    def test_a_revoked_key_is_refused(self, sshd: Sshd, tmp_path: Path) -> None:
        known = tmp_path / "known_hosts"
        line = sshd.known_hosts.read_text()
        known.write_text(f"{line}@revoked {line}")
        error = refused(sshd.uri, sshd.options(f"UserKnownHostsFile {known}"), HostKeyError)
        assert "revoked" in error.message

    def test_hashed_names_are_found(self, sshd: Sshd, tmp_path: Path) -> None:
        known = tmp_path / "known_hosts"
        shutil.copy(sshd.known_hosts, known)
        subprocess.run(["ssh-keygen", "-H", "-f", str(known)], check=True, capture_output=True)
        assert "127.0.0.1" not in known.read_text()
        assert answers(sshd.uri, sshd.options(f"UserKnownHostsFile {known}"))

    def test_the_known_kind_of_key_is_asked_for(self, tmp_path: Path) -> None:
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", tmp_path / "rsa"],
            check=True,
        )
        with running_sshd(tmp_path / "sshd", f"HostKey {tmp_path / 'rsa'}") as board:
            public = (tmp_path / "rsa.pub").read_text()
            board.known_hosts.write_text(f"[127.0.0.1]:{board.port} {public}")
            assert answers(board.uri, board.options())


class TestUserKeys:
    def test_a_key_that_the_board_does_not_know(self, sshd: Sshd, tmp_path: Path) -> None:
        key = make_key(tmp_path, "stranger")
        error = refused(sshd.uri, sshd.options(keys=[key]), AuthenticationError)
        assert str(key) in error.message
        assert "SHA256:" in error.message
        assert f"'{USER}'" in error.message
        assert f"ssh-copy-id -p {sshd.port} {USER}@127.0.0.1" in error.remedy

    def test_an_unknown_user(self, sshd: Sshd) -> None:
        uri = f"ssh:no-such-user@127.0.0.1:{sshd.port}"
        assert "'no-such-user'" in refused(uri, sshd.options(), AuthenticationError).message

    @pytest.mark.parametrize("kind", [("rsa", "2048"), ("ecdsa", "256"), ("ed25519", "256")])
    def test_every_usual_kind_of_key(
        self, sshd: Sshd, tmp_path: Path, kind: tuple[str, str]
    ) -> None:
        key = tmp_path / "key"
        subprocess.run(
            ["ssh-keygen", "-q", "-t", kind[0], "-b", kind[1], "-N", "", "-f", key], check=True
        )
        with _accepted(sshd, key):
            assert answers(sshd.uri, sshd.options(keys=[key]))

    def test_an_encrypted_key_works_through_the_agent(self, sshd: Sshd, tmp_path: Path) -> None:
        key = make_key(tmp_path, "secret")
        options = sshd.options(keys=[key])
        with _accepted(sshd, key), _ssh_agent(key):
            subprocess.run(
                ["ssh-keygen", "-q", "-p", "-P", "", "-N", "a passphrase", "-f", key], check=True
            )
            assert answers(sshd.uri, options)
        error = refused(sshd.uri, options, AuthenticationError)
        assert f"{key} is encrypted" in error.message
        assert "ssh-add" in error.remedy

    def test_any_key_of_the_agent(
        self, sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        key = make_key(tmp_path, "held")
        config = tmp_path / "config"
        config.write_text(f"UserKnownHostsFile {sshd.known_hosts}\n")
        monkeypatch.setenv("HOME", str(tmp_path / "empty home"))
        with _accepted(sshd, key), _ssh_agent(key):
            assert answers(sshd.uri, LinkOptions(ssh_config=config))
        assert (
            "keys tried: none"
            in refused(sshd.uri, LinkOptions(ssh_config=config), AuthenticationError).message
        )

    def test_a_fido_key_is_named_with_the_way_round(self, sshd: Sshd, tmp_path: Path) -> None:
        kind = b"sk-ssh-ed25519@openssh.com"
        blob = base64.b64encode(len(kind).to_bytes(4, "big") + kind + bytes(40)).decode()
        (tmp_path / "token").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
        (tmp_path / "token.pub").write_text(f"{kind.decode()} {blob} me\n")
        options = sshd.options(keys=[tmp_path / "token"])
        error = refused(sshd.uri, options, AuthenticationError)
        assert f"{tmp_path / 'token'} is a FIDO key" in error.message
        assert "ssh-keygen -t ed25519" in error.remedy

    def test_a_broken_key_file_is_named(self, sshd: Sshd, tmp_path: Path) -> None:
        (tmp_path / "broken").write_text("no key at all")
        options = sshd.options(keys=[tmp_path / "broken"])
        error = refused(sshd.uri, options, AuthenticationError)
        assert f"{tmp_path / 'broken'} cannot be read" in error.message

    def test_a_server_that_takes_no_keys(self, tmp_path: Path) -> None:
        lines = ("PubkeyAuthentication no", "PasswordAuthentication yes", "PermitRootLogin yes")
        with running_sshd(tmp_path / "sshd", *lines) as board:
            error = refused(board.uri, board.options(), AuthenticationError)
        assert "takes password" in error.message

    def test_too_many_keys(self, tmp_path: Path) -> None:
        with running_sshd(tmp_path / "sshd", "MaxAuthTries 2") as board:
            keys = [make_key(tmp_path, f"key{number}") for number in range(4)]
            error = refused(board.uri, board.options(keys=keys), AuthenticationError)
        assert "hung up" in error.message
        assert "IdentitiesOnly" in error.remedy


class TestNoAnswer:
    def test_a_refused_port(self, sshd: Sshd) -> None:
        port = free_port()
        error = refused(f"ssh:me@127.0.0.1:{port}", sshd.options(), TransportError)
        assert f"127.0.0.1:{port} refused" in error.message

    def test_a_name_that_does_not_resolve(self, sshd: Sshd) -> None:
        error = refused("ssh:me@no-such-host.invalid:2222", sshd.options(), TransportError)
        assert "'no-such-host.invalid' (port 2222)" in error.message

    def test_something_else_than_ssh(self, sshd: Sshd) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            # Nobody accepts: the connection stands, and no word comes.
            options = sshd.options(connect_seconds=1.0)
            error = refused(f"ssh:me@127.0.0.1:{port}", options, TransportError)
        assert f"127.0.0.1:{port} did not answer as an SSH server does" in error.message

    @pytest.mark.parametrize(
        ("freezes", "reason"),
        [(True, "its handshake did not end in 3 seconds"), (False, "it hung up")],
    )
    def test_a_server_that_ends_after_its_greeting(
        self, sshd: Sshd, freezes: bool, reason: str
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(30)

            def greet() -> None:
                client, _ = server.accept()
                with client:
                    client.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
                    client.recv(1 << 16)  # What is unread at its end would reset the connection.
                    if not freezes:
                        client.shutdown(socket.SHUT_WR)
                    while client.recv(1 << 16):
                        pass

            thread = threading.Thread(target=greet)
            thread.start()
            options = sshd.options(connect_seconds=3.0)
            port = server.getsockname()[1]
            error = refused(f"ssh:me@127.0.0.1:{port}", options, TransportError)
            thread.join()
        assert error.message == f"127.0.0.1:{port} did not answer as an SSH server does: {reason}."

    def test_passwords_have_no_place_in_an_address(self, sshd: Sshd) -> None:
        with pytest.raises(Exception, match="never a password") as caught:
            open_transport("ssh:me:secret@127.0.0.1", options=sshd.options())
        assert caught.value.exit_code == 2  # type: ignore[attr-defined]


class TestConfiguration:
    def test_names_of_the_configuration(self, sshd: Sshd, tmp_path: Path) -> None:
        (tmp_path / "boards").mkdir()
        (tmp_path / "boards" / "one.conf").write_text(
            f"Host pi\n  HostName 127.0.0.1\n  User {USER}\n"
        )
        (tmp_path / "config").write_text(
            f"Include {tmp_path}/boards/*.conf\n"
            f"Host pi\n  Port {sshd.port}\n"
            f"Host *\n  IdentityFile {sshd.client_key}\n  UserKnownHostsFile {sshd.known_hosts}\n"
        )
        assert answers("ssh:pi", LinkOptions(ssh_config=tmp_path / "config"))

    def test_the_user_s_own_file(
        self, sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / ".ssh").mkdir()
        shutil.copy(sshd.client_key, tmp_path / ".ssh" / "id_ed25519")
        shutil.copy(sshd.known_hosts, tmp_path / ".ssh" / "known_hosts")
        (tmp_path / ".ssh" / "config").write_text(
            f"Host board\nHostName 127.0.0.1\nPort {sshd.port}\nUser {USER}\n"
        )
        monkeypatch.setenv("HOME", str(tmp_path))
        assert answers("ssh:board", LinkOptions())

    def test_host_key_alias(self, sshd: Sshd, tmp_path: Path) -> None:
        known = tmp_path / "known_hosts"
        known.write_text(f"my-board {sshd.host_key.with_suffix('.pub').read_text()}")
        lines = (f"UserKnownHostsFile {known}", "HostKeyAlias my-board")
        assert answers(sshd.uri, sshd.options(*lines))
        known.write_text("")
        error = refused(sshd.uri, sshd.options(*lines), HostKeyError)
        assert f"-p {sshd.port} {USER}@127.0.0.1 exit" in error.remedy

    def test_proxy_jump_over_two_servers(self, sshd: Sshd, tmp_path: Path) -> None:
        with running_sshd(tmp_path / "a") as first, running_sshd(tmp_path / "b") as second:
            known = tmp_path / "known_hosts"
            known.write_text(
                sshd.known_hosts.read_text()
                + first.known_hosts.read_text()
                + second.known_hosts.read_text()
            )
            config = tmp_path / "config"
            config.write_text(
                f"Host target\n  HostName 127.0.0.1\n  Port {sshd.port}\n  User {USER}\n"
                f"  ProxyJump one,{USER}@127.0.0.1:{second.port}\n"
                f"  IdentityFile {sshd.client_key}\n"
                f"Host one\n  HostName 127.0.0.1\n  Port {first.port}\n  User {USER}\n"
                f"Host *\n  UserKnownHostsFile {known}\n  ControlPath none\n"
                f"  IdentityFile {first.client_key}\n  IdentityFile {second.client_key}\n"
            )
            options = LinkOptions(ssh_config=config)
            assert answers("ssh:target", options)
            logs = [(board.folder / "sshd.log").read_text() for board in (first, second)]
            assert all("Accepted publickey" in log for log in logs)
            with open_transport("ssh:target", options=options) as link:
                assert len(link.run(["head", "-c", "8388608", "/dev/zero"]).stdout) == 8 << 20

    def test_jumps_in_a_circle(self, sshd: Sshd) -> None:
        options = sshd.options("Host a", "ProxyJump b", "Host b", "ProxyJump a")
        assert "circle" in refused("ssh:a", options, TransportError).message

    def test_proxy_command(self, sshd: Sshd) -> None:
        config = sshd.options().ssh_config
        command = f"ssh -F {config} -p {sshd.port} -W 127.0.0.1:%p {USER}@127.0.0.1"
        lines = (f"ProxyCommand {command}", f"HostKeyAlias [127.0.0.1]:{sshd.port}")
        uri = f"ssh:{USER}@board-behind:{sshd.port}"
        assert answers(uri, sshd.options(*lines))
        left = subprocess.run(["pgrep", "-f", f"127.0.0.1:{sshd.port}"], capture_output=True)
        assert left.stdout == b""

    def test_a_proxy_command_that_fails(self, sshd: Sshd) -> None:
        options = sshd.options("ProxyCommand exit 3")
        error = refused(sshd.uri, options, TransportError)
        assert "through 'exit 3'" in error.message

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="does not exist"):
            open_transport("ssh:me@127.0.0.1", options=LinkOptions(ssh_config=tmp_path / "no"))

    def test_ipv6(self, tmp_path: Path) -> None:
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError as error:
            pytest.skip(f"IPv6 on loopback ({error})")
        with running_sshd(tmp_path / "sshd", "ListenAddress ::1") as board:
            line = board.known_hosts.read_text().replace("127.0.0.1", "::1")
            board.known_hosts.write_text(line)
            assert answers(f"ssh:{USER}@[::1]:{board.port}", board.options())


class TestBoardsWithLimits:
    def test_no_forwarding(self, tmp_path: Path, sshd: Sshd) -> None:
        with (
            running_sshd(tmp_path / "sshd", "AllowTcpForwarding no") as board,
            open_transport(board.uri, options=board.options()) as link,
            pytest.raises(TransportError) as caught,
        ):
            link.forward(sshd.port)
        assert "AllowTcpForwarding yes" in caught.value.remedy

    def test_nobody_listens_on_the_board(self, sshd: Sshd) -> None:
        port = free_port()
        with (
            open_transport(sshd.uri, options=sshd.options()) as link,
            pytest.raises(TransportError, match=f"127.0.0.1:{port}"),
        ):
            link.forward(port)

    def test_a_login_script_that_talks(self, tmp_path: Path) -> None:
        talk = 'echo welcome; echo "to the board" >&2; eval "$SSH_ORIGINAL_COMMAND"'
        program = tmp_path / "program"
        program.write_text("#!/bin/sh\necho version\n")
        with (
            running_sshd(tmp_path / "sshd", f"ForceCommand sh -c '{talk}'") as board,
            open_transport(
                board.uri, work_folder=str(tmp_path / "work"), options=board.options()
            ) as link,
        ):
            assert link.machine() == os.uname().machine
            assert link.put_program(program, "p1") == f"{tmp_path}/work/bin/p1"
            assert link.put_program(program, "p1") == f"{tmp_path}/work/bin/p1"
            channel = link.stream(["sleep", "86351"])
            channel.close()

    def test_a_user_without_a_shell(self, tmp_path: Path) -> None:
        with (
            running_sshd(tmp_path / "sshd", "ForceCommand echo no shell here >&2; exit 1") as board,
            open_transport(board.uri, options=board.options()) as link,
            pytest.raises(TransportError, match="no shell here"),
        ):
            link.machine()

    def test_a_read_only_home_is_named(self, tmp_path: Path) -> None:
        try:
            disk = SmallDisk(tmp_path / "home", 1, "ro")
        except MissingPartError as missing:
            pytest.skip(f"a small disk needs {missing}")
        program = tmp_path / "program"
        program.write_text("#!/bin/sh\n")
        with (
            disk as home,
            running_sshd(tmp_path / "sshd", f"SetEnv HOME={home}") as board,
            open_transport(board.uri, options=board.options()) as link,
            pytest.raises(DeviceStorageError) as caught,
        ):
            assert link.work_folder == f"{home}/.deployx-edge"
            link.put_program(program, "p1")
        assert f"{home}/.deployx-edge" in caught.value.message
        assert "Read-only file system" in caught.value.message
        assert 'work_folder = "' in caught.value.remedy


@contextmanager
def _accepted(sshd: Sshd, key: Path) -> Iterator[None]:
    """The board takes this key, too, for a while."""
    place = sshd.folder / "authorized_keys"
    before = place.read_text()
    place.write_text(before + Path(f"{key}.pub").read_text())
    try:
        yield
    finally:
        place.write_text(before)


@contextmanager
def _ssh_agent(key: Path) -> Iterator[None]:
    """A real ssh-agent that holds ``key``."""
    socket_path = key.parent / "agent.sock"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket_path)], stdout=subprocess.DEVNULL)
    before = os.environ.get("SSH_AUTH_SOCK")
    os.environ["SSH_AUTH_SOCK"] = str(socket_path)
    try:
        while subprocess.run(["ssh-add", "-q", str(key)], capture_output=True).returncode == 2:
            assert agent.poll() is None
        yield
    finally:
        agent.terminate()
        agent.wait()
        if before is None:
            del os.environ["SSH_AUTH_SOCK"]
        else:
            os.environ["SSH_AUTH_SOCK"] = before
