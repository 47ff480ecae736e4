"""``virtual:android-arm64[?cpu=NAME]``: an Android device that is a process of this computer.

The device (``android_device/``) is started, connected to the adb server, and ended with
the link. Its programs run under qemu-user, which looks for files in the device's folder
first, so that they see its boot id as the shell does.
"""

from __future__ import annotations

import contextlib
import select
import sys
from collections.abc import Sequence
from pathlib import Path

from deployx_edge import process
from deployx_edge.device import LinkOptions
from deployx_edge.errors import TransportError
from deployx_edge.transport.adb.server import ADB_FAILURES
from deployx_edge.transport.adb.transport import WORK_FOLDER, AdbTransport
from deployx_edge.transport.output import GRACE_SECONDS, read_number

_MODULE = "deployx_edge.transport.virtual.android_device"
_START_SECONDS = 30.0


class VirtualAndroidTransport(AdbTransport):
    """An ``AdbTransport`` that owns its device."""

    def __init__(
        self,
        uri: str,
        *,
        root: Path,
        emulator: Sequence[str],
        work_folder: str | None,
        options: LinkOptions,
    ) -> None:
        self._words = (emulator[0], "-L", str(root), *emulator[1:])
        # From there, so that no file of the current folder stands in for a module.
        self._device = process.spawn(
            [sys.executable, "-m", _MODULE, "--root", root], cwd=Path(__file__).resolve().parents[3]
        )
        try:
            self._serial = f"127.0.0.1:{_port_of(self._device)}"
            folder = WORK_FOLDER if work_folder is None else work_folder
            super().__init__(uri, self._serial, folder, options, name=uri)
        except BaseException:
            self._end_device()
            raise

    @property
    def emulated(self) -> bool:
        """Programs run under qemu."""
        return True

    @property
    def launcher(self) -> tuple[str, ...]:
        """qemu-user, which finds the device's own files before this computer's."""
        return self._words

    def close(self) -> None:
        """End programs, tunnels, the connection, and the device itself."""
        super().close()
        # Whatever the server says: a device that is gone cannot be disconnected.
        with contextlib.suppress(*ADB_FAILURES):
            self._link.server.ask(f"host:disconnect:{self._serial}")
        self._end_device()

    def _end_device(self) -> None:
        for stream in (self._device.stdin, self._device.stdout, self._device.stderr):
            if stream is not None:
                stream.close()
        if process.wait_for(self._device, GRACE_SECONDS) is None:
            process.kill_group(self._device)


def _port_of(device: process.Child) -> int:
    """What the device says once it listens; TransportError with its own words else."""
    assert device.stdout and device.stderr
    readable, _, _ = select.select([device.stdout], [], [], _START_SECONDS)
    line = device.stdout.readline().split() if readable else []
    port = read_number(line[1].decode(errors="replace")) if len(line) == 2 else None
    if port is not None and line[0] == b"listening":
        return port
    process.kill_group(device)
    said = device.stderr.read().decode(errors="replace").strip().splitlines()[-1:]
    raise TransportError(
        f"The virtual Android device does not start: {' '.join(said) or 'it said nothing'}."
    )
