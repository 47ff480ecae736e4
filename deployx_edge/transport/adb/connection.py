"""One connection to an adb server, in its protocol: requests, yes or no, blocks of text.

Of our own, as the library that has it (adbutils) also has images, installers and HTTP: to import
those took longer than all else of ``devices list``.
"""

from __future__ import annotations

import socket
import string

_OKAY, _FAIL = b"OKAY", b"FAIL"
# A block's length is told in four hexadecimal digits.
_LENGTH_DIGITS = 4
_DIGITS = frozenset(string.hexdigits.encode())
# Where the system has them: seconds of silence, between tries, and tries.
_KEEPALIVE = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))


class AdbError(Exception):
    """The server said no, and why, or answered what is not an answer."""


class AdbConnection:
    """A connection to the server; ``conn`` is its socket. Reads raise EOFError at its end and
    TimeoutError where a step takes longer than the socket's timeout."""

    def __init__(self, host: str, port: int, seconds: float) -> None:
        self.conn = socket.create_connection((host, port), seconds)
        # A server elsewhere that goes without a word is noticed.
        self.conn.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE:
            if hasattr(socket, name):
                self.conn.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def send_command(self, request: str) -> None:
        """A request to the server, or the name of a service to the device."""
        content = request.encode()
        self.conn.sendall(f"{len(content):04x}".encode() + content)

    def check_okay(self) -> None:
        """Take the answer in; AdbError with the reason where it is no."""
        answer = self.read_exact(len(_OKAY))
        if answer == _FAIL:
            raise AdbError(self.read_string_block())
        if answer != _OKAY:
            raise AdbError(f"expected OKAY or FAIL, found {answer!r}")

    def read_string_block(self) -> str:
        """A text with its length before it; AdbError where that is not a length."""
        digits = self.read_exact(_LENGTH_DIGITS)
        if not _DIGITS.issuperset(digits):
            raise AdbError(f"expected a length of four digits, found {digits!r}")
        return self.read_exact(int(digits, 16)).decode(errors="replace")

    def read_exact(self, size: int) -> bytes:
        """So many bytes."""
        content = bytearray()
        while len(content) < size:
            block = self.conn.recv(size - len(content))
            if not block:
                raise EOFError(f"the connection ended after {len(content)} of {size} bytes")
            content += block
        return bytes(content)

    def recv(self, size: int) -> bytes:
        """What is there, at most so many bytes; nothing at the end."""
        return self.conn.recv(size)
