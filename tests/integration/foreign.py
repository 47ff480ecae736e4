"""A board of another architecture: a chroot with a foreign busybox, which answers ``uname -m``
as a board does, its programs started by the kernel through qemu."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deployx_edge.workflows.locking import locked
from tests.integration.board import MissingPartError
from tests.integration.busybox import APPLETS, board_folder, busybox

_BINFMT = Path("/proc/sys/fs/binfmt_misc")
_ELF_MACHINES = {"aarch64": 0xB7, "riscv64": 0xF3}
# The ELF header of 64-bit little-endian programs, as magic and mask. F: the emulator is opened
# now, so that it need not lie in a chroot; P: programs keep their own argv[0], by which
# busybox knows what it is called as.
_RULE = (
    r":{entry}:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x{elf:02x}\x00:"
    r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:{qemu}:OPF"
)
# Debian's qemu keeps argv[0] under these names of its.
_QEMU_KEEPING_NAMES = Path("/usr/libexec/qemu-binfmt")


def register(machine: str) -> None:
    """Let the kernel start programs of ``machine`` through qemu, in a chroot too (flag F).

    MissingPartError names what is in the way. What others registered is left as it is; the newest
    entry counts.
    """
    qemu = shutil.which(f"qemu-{machine}-static")
    if qemu is None:
        raise MissingPartError(f"qemu-{machine}-static (apt-get install qemu-user-static)")
    if os.getuid() != 0:
        raise MissingPartError("root, which binfmt_misc and ChrootDirectory need")
    if not (_BINFMT / "register").exists():
        mounted = subprocess.run(
            ["mount", "-t", "binfmt_misc", "binfmt_misc", str(_BINFMT)], capture_output=True
        )
        if mounted.returncode != 0:
            raise MissingPartError(f"binfmt_misc (mount: {mounted.stderr.decode().strip()})")
    keeping_names = _QEMU_KEEPING_NAMES / f"{machine}-binfmt-P"
    entry = f"deployx-{machine}"
    rule = _RULE.format(
        entry=entry,
        elf=_ELF_MACHINES[machine],
        qemu=keeping_names if keeping_names.exists() else qemu,
    )
    with locked(board_folder() / "register.lock"):
        if (_BINFMT / entry).exists():
            return
        try:
            (_BINFMT / "register").write_text(rule)
        except OSError as error:
            raise MissingPartError(f"leave to register with binfmt_misc ({error})") from error


@contextmanager
def foreign_root(machine: str = "aarch64") -> Iterator[Path]:
    """A folder for ChrootDirectory with a busybox of ``machine``: no SFTP, no sha256sum."""
    register(machine)
    program = busybox(machine)
    base = board_folder()
    _require_chroot_place(base)
    root = Path(tempfile.mkdtemp(prefix="root-", dir=base))
    try:
        root.chmod(0o755)
        home = pwd.getpwuid(0).pw_dir.lstrip("/")
        for name in ("bin", "tmp", "dev", "work", home):
            (root / name).mkdir(exist_ok=True, parents=True)
        shutil.copy(program, root / "bin" / "busybox")
        for applet in APPLETS:
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
        if probe.stdout.decode().strip() != machine:
            raise MissingPartError(
                f"foreign programs in a chroot ({probe.stderr.decode().strip()})"
            )
        yield root
    finally:
        shutil.rmtree(root)


@contextmanager
def mounted_proc(root: Path) -> Iterator[None]:
    """``/proc`` for the programs of a chroot."""
    (root / "proc").mkdir()
    subprocess.run(["mount", "-t", "proc", "proc", root / "proc"], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", root / "proc"], check=True)


def _require_chroot_place(folder: Path) -> None:
    """sshd wants every folder above a chroot to be root's and closed to others."""
    for place in (folder, *folder.parents):
        state = place.stat()
        if state.st_uid != 0 or state.st_mode & 0o022:
            raise MissingPartError(
                f"a cache folder that only root can write ({place} is open to others)"
            )
