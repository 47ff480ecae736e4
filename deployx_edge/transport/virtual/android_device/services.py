"""What an adb server may ask a device for, by the name of the service."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from deployx_edge.transport.virtual.android_device import sync
from deployx_edge.transport.virtual.android_device.connection import Service
from deployx_edge.transport.virtual.android_device.folder import DeviceFolder
from deployx_edge.transport.virtual.android_device.shell import ShellService
from deployx_edge.transport.virtual.android_device.streams import Stream, StreamClosedError

FEATURES = ("shell_v2", "stat_v2", "ls_v2", "fixed_push_mkdir")
"""What this device can beyond adb's first protocol."""

_CHUNK_BYTES = 1 << 18


class Services:
    """Finds services by name."""

    def __init__(self, folder: DeviceFolder, reboot: Callable[[], None]) -> None:
        self._folder = folder
        self._reboot = reboot
        self._shell = ShellService(folder)

    def end_programs(self) -> None:
        """Kill everything that the shell started."""
        self._shell.kill_all()

    def find(self, name: str) -> Service | None:
        """``shell``, ``exec``, ``sync``, ``tcp`` and ``reboot``; None for all others."""
        kind, _, rest = name.partition(":")
        word, *options = kind.split(",")
        if word == "shell" and rest:
            return self._shell.service(rest, packets="v2" in options)
        if word == "exec" and rest:
            return self._shell.service(rest, packets=False)
        if word == "sync":
            return partial(sync.serve, folder=self._folder)
        if word == "tcp" and rest.isdigit():
            return _tcp(int(rest))
        if word == "reboot":
            return self._reboot_by
        return None

    def _reboot_by(self, stream: Stream) -> None:
        stream.accept()
        stream.close()
        self._reboot()


def _tcp(port: int) -> Service | None:
    """A port of the device's loopback, which is this computer's; None where nobody listens."""
    try:
        connection = socket.create_connection(("127.0.0.1", port), 5.0)
    except OSError:
        return None
    connection.settimeout(None)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return partial(_copy, connection=connection)


def _copy(stream: Stream, connection: socket.socket) -> None:
    """Both ways until either end closes, as adb does: it knows no half-closed streams."""
    with connection:
        stream.accept()
        upward = threading.Thread(target=_copy_up, args=(stream, connection), daemon=True)
        upward.start()
        with suppress(OSError, StreamClosedError):
            while data := connection.recv(_CHUNK_BYTES):
                stream.write(data)
        stream.close()
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        upward.join()


def _copy_up(stream: Stream, connection: socket.socket) -> None:
    with suppress(OSError):
        while data := stream.read():
            connection.sendall(data)
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
