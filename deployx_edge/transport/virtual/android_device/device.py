"""The device as a whole: a port, the connections on it, and what a reboot does."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

from deployx_edge.transport.virtual.android_device.connection import Connection
from deployx_edge.transport.virtual.android_device.folder import DeviceFolder
from deployx_edge.transport.virtual.android_device.owner import may_connect
from deployx_edge.transport.virtual.android_device.services import FEATURES, Services

_BANNER = (
    "device::ro.product.name=virtual_arm64;ro.product.model=Virtual Android arm64;"
    "ro.product.device=virtual_arm64;features=" + ",".join(FEATURES)
)


class Device:
    """Listens from its making on; takes connections from ``start`` to ``close``."""

    def __init__(self, root: Path, port: int, *, authorizes: bool, bytes_per_second: float) -> None:
        self._folder = DeviceFolder(root)
        self._services = Services(self._folder, self.reboot)
        self._authorizes = authorizes
        self._bytes_per_second = bytes_per_second
        self._listener = socket.create_server(("127.0.0.1", port))
        self._connections: set[Connection] = set()
        self._lock = threading.Lock()
        self._rebooting = threading.Lock()
        self.port: int = self._listener.getsockname()[1]

    def start(self) -> None:
        """Take connections, in a thread of its own."""
        threading.Thread(target=self._accept, daemon=True).start()

    def reboot(self) -> None:
        """Everything that runs dies, every connection ends, the boot id is another."""
        with self._rebooting:
            self._hang_up()
            self._services.end_programs()
            self._folder.boot()

    def close(self) -> None:
        """End all programs and connections."""
        self._listener.close()
        self._services.end_programs()
        self._hang_up()

    def _hang_up(self) -> None:
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connected, _ = self._listener.accept()
            except OSError:
                return
            with self._rebooting:
                pass  # Nobody is served until it is up again.
            if not may_connect(connected):
                connected.close()
                continue
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connected,), daemon=True).start()

    def _serve(self, connected: socket.socket) -> None:
        connection = Connection(
            connected,
            _BANNER,
            self._services.find,
            authorizes=self._authorizes,
            bytes_per_second=self._bytes_per_second,
        )
        with self._lock:
            self._connections.add(connection)
        with connected:
            connection.serve()
        with self._lock:
            self._connections.discard(connection)
