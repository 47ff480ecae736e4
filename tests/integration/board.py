"""Real parts that stand in for a board: OpenSSH's sshd on loopback, and a chroot with a
foreign busybox, which answers ``uname -m`` as a board does."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from deployx_edge.device import LinkOptions
from deployx_edge.resources import cache_folder

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")
USER = pwd.getpwuid(os.getuid()).pw_name
_BINFMT = Path("/proc/sys/fs/binfmt_misc")
_ENTRY = "deployx-aarch64"
# The ELF header of 64-bit little-endian Arm, as magic and mask. F: the emulator is opened
# now, so that it need not lie in a chroot; P: programs keep their own argv[0], by which
# busybox knows what it is called as.
_ARM64_RULE = (
    r":%s:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:"
    r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:%s:OPF"
)
# Debian's qemu keeps argv[0] under this name of its.
_QEMU_KEEPING_NAMES = Path("/usr/libexec/qemu-binfmt/aarch64-binfmt-P")
_APPLETS = (
    "sh", "cat", "mkdir", "mv", "chmod", "wc", "uname", "rm", "printf", "sleep", "df", "ls",
    "head", "dd", "true", "false", "echo", "kill", "env", "ln", "touch",
)  # fmt: skip


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

    def options(
        self, *lines: str, keys: Sequence[Path] | None = None, **changes: object
    ) -> LinkOptions:
        """LinkOptions with an SSH configuration of this board's key and known_hosts.

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
        return LinkOptions(ssh_config=config, **changes)  # type: ignore[arg-type]

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


def descendants(pid: int) -> list[int]:
    """All processes below ``pid``, without those that ended already."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if words[0] != "Z":
                children.setdefault(int(words[1]), []).append(int(entry.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


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


# --- a board of another architecture ---------------------------------------------


def register_arm64() -> None:
    """Let the kernel start arm64 programs through qemu, in a chroot too (flag F).

    MissingPartError names what is in the way. What others registered is left as it is; the newest
    entry counts.
    """
    qemu = shutil.which("qemu-aarch64-static")
    if qemu is None:
        raise MissingPartError("qemu-aarch64-static (apt-get install qemu-user-static)")
    if os.getuid() != 0:
        raise MissingPartError("root, which binfmt_misc and ChrootDirectory need")
    if not (_BINFMT / "register").exists():
        mounted = subprocess.run(
            ["mount", "-t", "binfmt_misc", "binfmt_misc", str(_BINFMT)], capture_output=True
        )
        if mounted.returncode != 0:
            raise MissingPartError(f"binfmt_misc (mount: {mounted.stderr.decode().strip()})")
    if (_BINFMT / _ENTRY).exists():
        return
    interpreter = _QEMU_KEEPING_NAMES if _QEMU_KEEPING_NAMES.exists() else Path(qemu)
    try:
        (_BINFMT / "register").write_text(_ARM64_RULE % (_ENTRY, interpreter))
    except OSError as error:
        raise MissingPartError(f"leave to register with binfmt_misc ({error})") from error


def arm64_busybox() -> Path:
    """Debian's static busybox for arm64, fetched once through apt into the tool's cache."""
    place = cache_folder() / "test-board" / "busybox-arm64"
    if place.is_file():
        return place
    apt = place.parent / "apt"
    for part in ("lists/partial", "archives/partial"):
        (apt / part).mkdir(parents=True, exist_ok=True)
    # A state folder of its own: the system's list of architectures stays as it is.
    options = [
        "-oAPT::Architecture=arm64",
        "-oAPT::Architectures=arm64",
        f"-oDir::State::Lists={apt / 'lists'}",
        f"-oDir::Cache={apt}",
        "-oAPT::Sandbox::User=root",
    ]
    try:
        for command in (["update"], ["download", "busybox-static"]):
            _checked(["apt-get", "-qq", *options, *command], apt)
        (package,) = apt.glob("busybox-static_*_arm64.deb")
        _checked(["dpkg-deb", "-x", str(package), str(apt / "unpacked")], apt)
    except (subprocess.CalledProcessError, FileNotFoundError, ValueError) as error:
        raise MissingPartError(f"busybox-static:arm64 from apt ({error})") from error
    partial = place.with_suffix(".part")
    shutil.copy(apt / "unpacked" / "bin" / "busybox", partial)
    partial.replace(place)
    shutil.rmtree(apt)
    return place


def _checked(command: Sequence[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


@contextmanager
def foreign_root() -> Iterator[Path]:
    """A folder for ChrootDirectory with an arm64 busybox: no SFTP, no sha256sum."""
    register_arm64()
    busybox = arm64_busybox()
    base = cache_folder() / "test-board"
    _require_chroot_place(base)
    root = Path(tempfile.mkdtemp(prefix="root-", dir=base))
    try:
        root.chmod(0o755)
        home = pwd.getpwuid(0).pw_dir.lstrip("/")
        for name in ("bin", "tmp", "dev", "work", home):
            (root / name).mkdir(exist_ok=True, parents=True)
        shutil.copy(busybox, root / "bin" / "busybox")
        for applet in _APPLETS:
            (root / "bin" / applet).symlink_to("busybox")
        # sshd starts the login shell that /etc/passwd names for root.
        shell = root / pwd.getpwuid(0).pw_shell.lstrip("/")
        if not shell.is_symlink():
            shell.parent.mkdir(parents=True, exist_ok=True)
            shell.write_text('#!/bin/sh\nexec /bin/sh "$@"\n')
            shell.chmod(0o755)
        for name, minor in (("null", 3), ("zero", 5)):
            os.mknod(root / "dev" / name, 0o20666, os.makedev(1, minor))
            (root / "dev" / name).chmod(0o666)
        probe = subprocess.run(["chroot", str(root), "/bin/uname", "-m"], capture_output=True)
        if probe.stdout.strip() != b"aarch64":
            raise MissingPartError(
                f"foreign programs in a chroot ({probe.stderr.decode().strip()})"
            )
        yield root
    finally:
        shutil.rmtree(root)


def _require_chroot_place(folder: Path) -> None:
    """sshd wants every folder above a chroot to be root's and closed to others."""
    for place in (folder, *folder.parents):
        state = place.stat()
        if state.st_uid != 0 or state.st_mode & 0o022:
            raise MissingPartError(
                f"a cache folder that only root can write ({place} is open to others)"
            )


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
