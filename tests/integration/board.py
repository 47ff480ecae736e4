"""Real parts that stand in for a board: OpenSSH's sshd on loopback, and a small disk."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from deployx_edge.device import LinkOptions
from tests.integration.processes import descendants

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")
USER = pwd.getpwuid(os.getuid()).pw_name


class MissingPartError(Exception):
    """What this computer lacks for a kind of board; the reason for a skip."""


def make_key(folder: Path, name: str, *, passphrase: str = "") -> Path:
    """A fresh ed25519 key pair; the private half's path."""
    path = folder / name
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", name, "-f", str(path)],
        check=True,
    )
    return path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@dataclass
class Sshd:
    """A running sshd with a host key, a port and one accepted client key of its own."""

    folder: Path
    port: int
    client_key: Path
    process: subprocess.Popen[bytes]

    @property
    def uri(self) -> str:
        return f"ssh:{USER}@127.0.0.1:{self.port}"

    @property
    def host_key(self) -> Path:
        return self.folder / "host_key"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def lease_folder(self) -> Path:
        """Where the runs of this board meet, and no others of this computer."""
        return self.folder / "lease"

    def options(
        self, *lines: str, keys: Sequence[Path] | None = None, **changes: object
    ) -> LinkOptions:
        """LinkOptions with an SSH configuration of this board's key and known_hosts, and its
        lease folder.

        ``lines`` go before the usual ones, and ssh takes what it finds first; ``keys``
        stand in for the key that the board knows.
        """
        config = self.folder / f"config-{time.monotonic_ns()}"
        usual = (
            *(f"IdentityFile {key}" for key in keys or [self.client_key]),
            "IdentitiesOnly yes",
            f"UserKnownHostsFile {self.known_hosts}",
        )
        config.write_text("\n".join([*lines, "Host *", *usual, ""]))
        terms = {"lease_folder": str(self.lease_folder), **changes}
        return LinkOptions(ssh_config=config, **terms)  # type: ignore[arg-type]

    def session_pids(self) -> list[int]:
        """The processes that serve connections now (not the listener)."""
        return descendants(self.process.pid)

    def signal_sessions(self, number: int) -> None:
        for pid in self.session_pids():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def signal_links(self, number: int) -> None:
        """Only sshd's own processes: what runs on the board does not notice."""
        for pid in self.session_pids():
            with suppress(ProcessLookupError, FileNotFoundError):
                if Path(f"/proc/{pid}/comm").read_text().strip().startswith("sshd"):
                    os.kill(pid, number)

    def new_host_key(self) -> None:
        """What a board set up anew shows; the listener reads it again on SIGHUP."""
        self.host_key.unlink()
        (self.folder / "host_key.pub").unlink()
        make_key(self.folder, "host_key")
        self.process.send_signal(signal.SIGHUP)
        _wait_for_port(self.port, self.process, self.folder / "sshd.log")


@contextmanager
def running_sshd(folder: Path, *lines: str) -> Iterator[Sshd]:
    """Start sshd on a free loopback port; ``lines`` go before the usual configuration."""
    assert SSHD, "sshd is missing: apt-get install openssh-server"
    folder.mkdir(parents=True, exist_ok=True)
    make_key(folder, "host_key")
    client_key = make_key(folder, "client_key")
    shutil.copy(f"{client_key}.pub", folder / "authorized_keys")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    # A home of its own: no login script of this computer's user, nothing left in their home.
    (folder / "home").mkdir()
    (folder / "lease").mkdir()
    (folder / "lease").chmod(0o1777)
    own_home = () if "ChrootDirectory" in " ".join(lines) else (f"SetEnv HOME={folder / 'home'}",)
    port = free_port()
    host_public = (folder / "host_key.pub").read_text()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_public}")
    config = folder / "sshd_config"
    config.write_text(
        "\n".join(
            [
                *lines,
                *own_home,
                f"Port {port}",
                "ListenAddress 127.0.0.1",
                f"HostKey {folder / 'host_key'}",
                f"PidFile {folder / 'sshd.pid'}",
                f"AuthorizedKeysFile {folder / 'authorized_keys'}",
                "StrictModes no",
                "UsePAM no",
                "PasswordAuthentication no",
                "PermitRootLogin prohibit-password",
                "MaxStartups 100",
                "MaxSessions 100",
                "",
            ]
        )
    )
    with (folder / "sshd.log").open("wb") as log:
        process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stderr=log)
    try:
        _wait_for_port(port, process, folder / "sshd.log")
        yield Sshd(folder=folder, port=port, client_key=client_key, process=process)
    finally:
        for pid in [*descendants(process.pid), process.pid]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def _wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(200):
        assert process.poll() is None, f"sshd ended: {log.read_text()}"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"sshd does not listen: {log.read_text()}")


def options_toml(options: LinkOptions) -> str:
    """The lines of a device in ``deployx.toml`` for a board of ``Sshd.options``."""
    return f'ssh_config = "{options.ssh_config}"\nlease_folder = "{options.lease_folder}"\n'


class SmallDisk:
    """A file system of its own at ``place`` until the end; MissingPartError without root."""

    def __init__(self, place: Path, megabytes: int, option: str = "rw") -> None:
        self._place = place
        place.mkdir(parents=True, exist_ok=True)
        options = f"size={megabytes}m,{option}"
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "none", str(place)], capture_output=True
        )
        if mounted.returncode != 0:
            reason = mounted.stderr.decode().strip()
            raise MissingPartError(f"root, to mount a small disk ({reason})")

    def __enter__(self) -> Path:
        return self._place

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "-l", str(self._place)], check=True)
