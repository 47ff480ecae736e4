"""A port on this computer's loopback that leads to a port of the board's loopback."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Protocol

from deployx_edge.errors import TransportError

_CHUNK_BYTES = 1 << 16


class PortStream(Protocol):
    """A connection on the board, to a port of its loopback. A paramiko channel is one."""

    @property
    def closed(self) -> bool:
        """Whether, after the end of its output, it takes no more input either."""

    def recv(self, nbytes: int) -> bytes:
        """Some bytes; empty at the end."""

    def sendall(self, s: bytes) -> None:
        """All of ``s``."""

    def shutdown_write(self) -> None:
        """No more bytes come."""

    def close(self) -> None:
        """End it in both directions."""


class ForwardedPort:
    """Listens until it is closed; any number of connections at once.

    ``open_stream`` makes a connection to the port on the board for somebody at an address of
    this computer; ``failures`` is what its methods raise where the link fails.
    """

    def __init__(
        self,
        open_stream: Callable[[tuple[str, int]], PortStream],
        failures: tuple[type[Exception], ...],
    ) -> None:
        self._open_stream = open_stream
        self._failures = failures
        # Tried once here, so that a refusal is an error with a reason instead of a
        # connection that closes at once.
        looked = open_stream(("127.0.0.1", 0))
        with contextlib.suppress(*failures):
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
        with connection, contextlib.suppress(TransportError, *self._failures):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream = self._open_stream(origin)
            with contextlib.closing(stream):
                words = (connection, stream)
                upward = threading.Thread(target=self._copy_up, args=words, daemon=True)
                upward.start()
                self._copy_down(stream, connection)
                upward.join()
        with self._lock:
            self._sockets.discard(connection)

    def _copy_up(self, connection: socket.socket, stream: PortStream) -> None:
        """From this computer to the board, until there is no more or nobody listens."""
        try:
            while data := connection.recv(_CHUNK_BYTES):
                stream.sendall(data)
            stream.shutdown_write()
        except self._failures:
            with contextlib.suppress(*self._failures):
                stream.close()

    def _copy_down(self, stream: PortStream, connection: socket.socket) -> None:
        """From the board to this computer; the board's end of data becomes ours."""
        try:
            while data := stream.recv(_CHUNK_BYTES):
                connection.sendall(data)
            # A closed stream takes no more either; one that only ended its output may.
            connection.shutdown(socket.SHUT_RDWR if stream.closed else socket.SHUT_WR)
        except self._failures:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
