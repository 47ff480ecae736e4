"""A port on this computer's loopback that leads to a port of the board's loopback."""

from __future__ import annotations

import contextlib
import socket
import threading

import paramiko

from deployx_edge.errors import TransportError
from deployx_edge.transport.ssh_link import LINK_FAILURES, SshLink

_CHUNK_BYTES = 1 << 16


class ForwardedPort:
    """Listens until it is closed; any number of connections at once."""

    def __init__(self, link: SshLink, remote_port: int) -> None:
        self._link = link
        self._remote_port = remote_port
        # Tried once here, so that a refusal is an error with a reason instead of a
        # connection that closes at once.
        looked = link.open_port(remote_port, ("127.0.0.1", 0))
        with contextlib.suppress(*LINK_FAILURES):
            looked.close()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._closed = False
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def close(self) -> None:
        """End the listener and its connections. May be called twice."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            open_now = list(self._sockets)
        # A connection of our own wakes the thread that waits for one, on every system.
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1.0).close()
        self._acceptor.join()
        self._listener.close()
        for connection in open_now:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                connection, origin = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._closed:
                    connection.close()
                    return
                self._sockets.add(connection)
            threading.Thread(target=self._serve, args=(connection, origin), daemon=True).start()

    def _serve(self, connection: socket.socket, origin: tuple[str, int]) -> None:
        """One connection to its end. A link that fails meanwhile closes it."""
        with connection, contextlib.suppress(TransportError, *LINK_FAILURES):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            channel = self._link.open_port(self._remote_port, origin)
            with contextlib.closing(channel):
                upward = threading.Thread(target=_copy_up, args=(connection, channel), daemon=True)
                upward.start()
                _copy_down(channel, connection)
                upward.join()
        with self._lock:
            self._sockets.discard(connection)


def _copy_up(connection: socket.socket, channel: paramiko.Channel) -> None:
    """From this computer to the board, until there is no more or nobody listens."""
    try:
        while data := connection.recv(_CHUNK_BYTES):
            channel.sendall(data)
        channel.shutdown_write()
    except LINK_FAILURES:
        with contextlib.suppress(*LINK_FAILURES):
            channel.close()


def _copy_down(channel: paramiko.Channel, connection: socket.socket) -> None:
    """From the board to this computer; the board's end of data becomes ours."""
    try:
        while data := channel.recv(_CHUNK_BYTES):
            connection.sendall(data)
        # A closed channel takes no more either; one that only ended its output may.
        connection.shutdown(socket.SHUT_RDWR if channel.closed else socket.SHUT_WR)
    except LINK_FAILURES:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
