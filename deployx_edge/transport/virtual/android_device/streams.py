"""One stream of an adb connection, seen by the service at its end."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from deployx_edge.transport.virtual.android_device.packets import CLSE, OKAY, WRTE, Packet

Send = Callable[[Packet], None]


class StreamClosedError(Exception):
    """The other end closed the stream, or the connection is gone."""


class Stream:
    """Bytes in both directions; each payload waits until the other end took the last one.

    Any thread may write, one thread may read. ``close`` ends both directions.
    """

    def __init__(self, send: Send, own: int, other: int, most_payload: int) -> None:
        self._send = send
        self._own = own
        self._other = other
        self._most_payload = most_payload
        self._incoming: queue.SimpleQueue[bytes | bytearray | None] = queue.SimpleQueue()
        self._left = memoryview(b"")
        self._at_end = False
        self._may_write = threading.Semaphore(1)
        self._write_lock = threading.Lock()
        self._closed = threading.Event()
        self._close_lock = threading.Lock()
        self.on_close: Callable[[], None] = lambda: None

    def accept(self) -> None:
        """Tell the other end that there is a service here."""
        self._send(Packet(OKAY, self._own, self._other))

    def read(self) -> memoryview:
        """The next payload; empty at the end."""
        if self._left:
            data, self._left = self._left, memoryview(b"")
            return data
        data = memoryview(b"" if self._at_end else self._incoming.get() or b"")
        self._at_end = not data
        if data and not self._closed.is_set():
            # Only now, so that the other end sends no faster than this one takes.
            self._send(Packet(OKAY, self._own, self._other))
        return data

    def read_exactly(self, size: int) -> bytes:
        """``size`` bytes; StreamClosedError where the stream ends before."""
        parts: list[memoryview] = []
        while size:
            parts.append(self.read_some(size))
            size -= len(parts[-1])
        return b"".join(parts)

    def read_some(self, most: int) -> memoryview:
        """At most ``most`` bytes, at least one; StreamClosedError at the end."""
        left = self._left or self.read()
        if not left:
            raise StreamClosedError
        self._left = left[most:]
        return left[:most]

    def write(self, data: bytes) -> None:
        """All of ``data``; StreamClosedError where nobody takes it any more."""
        with self._write_lock:
            for start in range(0, len(data), self._most_payload):
                self._may_write.acquire()
                if self._closed.is_set():
                    self._may_write.release()
                    raise StreamClosedError
                part = data[start : start + self._most_payload]
                self._send(Packet(WRTE, self._own, self._other, part))

    def close(self) -> None:
        """From this end; waits until what was written is taken."""
        with self._write_lock:
            self._may_write.acquire()
            self._may_write.release()
            if self._shut():
                self._send(Packet(CLSE, self._own, self._other))

    def taken(self) -> None:
        """The other end took the last payload."""
        self._may_write.release()

    def came(self, payload: bytes | bytearray) -> None:
        """The other end sent a payload."""
        if payload:
            self._incoming.put(payload)

    def closed_by_other(self) -> None:
        """The other end closed, or the connection ended."""
        if self._shut():
            self.on_close()

    def _shut(self) -> bool:
        with self._close_lock:
            if self._closed.is_set():
                return False
            self._closed.set()
        self._incoming.put(None)
        self._may_write.release()
        return True
