"""The real adb server, on a port of its own, and virtual Android devices to connect to it."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.integration.board import MissingPartError, free_port
from tests.integration.processes import with_words

_DEVICE = "deployx_edge.transport.virtual.android_device"


@dataclass
class VirtualPhone:
    """A device process, not connected to any server yet."""

    root: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def serial(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def uri(self) -> str:
        return f"adb:{self.serial}"


@contextmanager
def running_phone(root: Path, *options: str) -> Iterator[VirtualPhone]:
    """A virtual device over ``root``, until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", _DEVICE, "--root", str(root), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin and process.stdout
    try:
        readable, _, _ = select.select([process.stdout], [], [], 60)
        assert readable, "the device does not start"
        word, port = process.stdout.readline().split()
        assert word == b"listening"
        yield VirtualPhone(root=root, port=int(port), process=process)
    finally:
        process.stdin.close()
        process.stdout.close()
        process.kill()
        process.wait()
        _end_programs_of(process.pid)


def _end_programs_of(device: int) -> None:
    """What a device that was killed had no time to end."""
    mark = f"DEPLOYX_EDGE_DEVICE={device}".encode()
    for place in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in place.read_bytes().split(b"\0"):
                os.kill(int(place.parent.name), signal.SIGKILL)


def adb(*words: str, check: bool = True) -> str:
    """The adb command line on the server that the environment names; what it prints."""
    done = subprocess.run(
        ["adb", *words], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def end_server() -> None:
    """End the server of the environment's port. One that is just ending may never answer."""
    with suppress(subprocess.TimeoutExpired):
        subprocess.run(["adb", "kill-server"], capture_output=True, timeout=20)
    port = os.environ.get("ANDROID_ADB_SERVER_PORT", "5037")
    for process in with_words("fork-server", f"tcp:{port} "):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def listed_serials() -> set[str]:
    """The devices that the server knows, in whatever state."""
    return {line.split("\t")[0] for line in adb("devices").splitlines() if "\t" in line}


@contextmanager
def adb_environment() -> Iterator[int]:
    """Everything in this process means a server of its own; it is ended with the block.

    The server keeps its key in a home folder of its own.
    """
    if shutil.which("adb") is None:
        raise MissingPartError("adb (apt-get install adb)")
    names = ("ANDROID_ADB_SERVER_PORT", "ANDROID_ADB_SERVER_ADDRESS", "ADB_SERVER_SOCKET")
    before = {name: os.environ.pop(name, None) for name in names}
    port = free_port()
    os.environ["ANDROID_ADB_SERVER_PORT"] = str(port)
    home = tempfile.mkdtemp(prefix="adb-home-")
    try:
        subprocess.run(
            ["adb", "start-server"],
            env={**os.environ, "HOME": home},
            check=True,
            capture_output=True,
            timeout=60,
        )
        yield port
    finally:
        end_server()
        shutil.rmtree(home, ignore_errors=True)
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
