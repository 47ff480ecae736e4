"""The adb server: where it listens, starting it, and single requests to it.

The programs ``adb`` and ``adb start-server`` are only run where no server listens.
"""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass

from deployx_edge import process
from deployx_edge.errors import TransportError, UsageError
from deployx_edge.scratch import lasting_environment
from deployx_edge.transport.adb.connection import AdbConnection, AdbError
from deployx_edge.transport.output import read_number

ADB_FAILURES = (AdbError, OSError, EOFError, ValueError)
"""All that a connection raises where the server fails or answers nonsense."""

ADB_TIMEOUTS = (TimeoutError,)
"""Those of them that mean: it did not answer in time."""

_INSTALL = "Install it with: apt-get install adb"
_START_SECONDS = 30.0
_DEFAULT_PORT = 5037
_HERE = ("127.0.0.1", "localhost")
_DEVICE_LINE = re.compile(r"(\S+)\s+(\S.*?)(?:\s+(?=\w+:\S)|$)")
_TRANSPORT_ID = re.compile(r"\btransport_id:([0-9]{1,18})\b")


@dataclass(frozen=True, kw_only=True)
class KnownDevice:
    """A device as the server lists it; ``transport_id`` numbers this very connection of it."""

    serial: str
    state: str
    transport_id: int


@dataclass(frozen=True, kw_only=True)
class ServerAddress:
    """Where the server listens; ``local`` where this computer may start it."""

    host: str
    port: int

    @property
    def local(self) -> bool:
        """Whether it is on this computer."""
        return self.host in _HERE


def server_address() -> ServerAddress:
    """By ``ADB_SERVER_SOCKET``, else ``ANDROID_ADB_SERVER_ADDRESS`` and ``…_PORT``, as adb does."""
    whole = os.environ.get("ADB_SERVER_SOCKET", "")
    if whole:
        kind, _, rest = whole.partition(":")
        host, _, port = rest.rpartition(":")
        if kind != "tcp":
            raise UsageError(
                f"ADB_SERVER_SOCKET must be tcp:[HOST:]PORT here, found '{whole}'.",
                remedy="Unset it, or name the TCP port of the server.",
            )
        return _address(host, port, f"ADB_SERVER_SOCKET={whole}")
    host = os.environ.get("ANDROID_ADB_SERVER_ADDRESS", "")
    port = os.environ.get("ANDROID_ADB_SERVER_PORT", "") or str(_DEFAULT_PORT)
    return _address(host, port, f"ANDROID_ADB_SERVER_PORT={port}")


def _address(host: str, port: str, source: str) -> ServerAddress:
    number = read_number(port)
    if number is None or not 0 < number < 65536:
        raise UsageError(f"A port from 1 to 65535 was expected in {source}.")
    if ":" in host:
        raise UsageError(f"A host name or an IPv4 address was expected in {source}.")
    return ServerAddress(host=host or "127.0.0.1", port=number)


class AdbServer:
    """One server; starts it where it is this computer's and does not run."""

    def __init__(self, connect_seconds: float) -> None:
        self.address = server_address()
        self._connect_seconds = connect_seconds
        if not self.listens():
            self._start()

    def listens(self) -> bool:
        """Whether anybody takes connections there."""
        place = (self.address.host, self.address.port)
        try:
            socket.create_connection(place, self._connect_seconds).close()
        except OSError:
            return False
        return True

    def ask(self, request: str, *, answered: bool = True, okays: int = 1) -> str:
        """One request to the server itself, e.g. ``host:devices-l``; its answer.

        Raises one of ADB_FAILURES.
        """
        connection = self.connect()
        with connection.conn:
            connection.send_command(request)
            for _ in range(okays):
                connection.check_okay()
            return str(connection.read_string_block()) if answered else ""

    def connect(self) -> AdbConnection:
        """A connection for one request, each step of it bounded; raises ADB_FAILURES."""
        try:
            return AdbConnection(self.address.host, self.address.port, self._connect_seconds)
        except ConnectionRefusedError:
            raise ConnectionRefusedError("the adb server does not run any more") from None

    def devices(self) -> list[KnownDevice]:
        """What the server lists; TransportError where it does not answer."""
        try:
            text = self.ask("host:devices-l")
        except ADB_FAILURES as error:
            raise TransportError(
                f"The adb server at {self.address.host}:{self.address.port} does not list its "
                f"devices: {error}.",
                remedy="Start it anew: adb kill-server && adb start-server",
            ) from error
        return read_devices(text)

    def _start(self) -> None:
        where = f"{self.address.host}:{self.address.port}"
        if not self.address.local:
            raise TransportError(
                f"No adb server listens at {where}.",
                remedy="Start it there: adb -a start-server",
            )
        adb = process.require_program("adb", remedy=_INSTALL)
        done = process.run(
            [adb, "start-server"],
            env=lasting_environment(),  # it outlives us, and so does its log
            timeout=_START_SECONDS,
            check=False,
        )
        if not self.listens():
            said = done.stderr.decode(errors="replace").strip().splitlines()[-3:]
            raise TransportError(
                f"The adb server at {where} does not start: {' '.join(said) or 'it said nothing'}.",
                remedy="See by hand: adb start-server",
            )


def read_devices(text: str) -> list[KnownDevice]:
    """The lines of ``host:devices-l``: serial, state (which may hold spaces), properties."""
    devices = []
    for line in text.splitlines():
        found = _DEVICE_LINE.match(line)
        if found is None:
            continue
        number = _TRANSPORT_ID.search(line, found.end())
        devices.append(
            KnownDevice(
                serial=found[1], state=found[2], transport_id=int(number[1]) if number else 0
            )
        )
    return devices
