"""One device behind an adb server, watched until it goes."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable

from deployx_edge.device import LinkOptions
from deployx_edge.errors import LinkLostError, TransportError
from deployx_edge.transport.adb.connection import AdbConnection, AdbError
from deployx_edge.transport.adb.finding import find_ready
from deployx_edge.transport.adb.server import ADB_FAILURES, ADB_TIMEOUTS, AdbServer

_SETTLE_SECONDS = 1.0
_TICK_SECONDS = 0.02
# Nobody listens on this socket of the device: adbd looks, and says no. That is a sign of
# life which starts no process on a board that is being measured.
_SIGN_OF_LIFE = "localabstract:deployx-edge-sign-of-life"


class AdbLink:
    """Opens streams to services of one device; knows when server or device are gone.

    What the server calls a transport is one connection of one device. A device that went
    and came back (a reboot, a cable) has another number and is another link.
    """

    def __init__(self, serial: str, options: LinkOptions, *, name: str = "") -> None:
        self._options = options
        self.server = AdbServer(options.connect_seconds)
        device = find_ready(self.server, serial, options.connect_seconds)
        self.serial = device.serial
        self._name = name or device.serial
        self._transport_id = device.transport_id
        self._lost = threading.Event()
        self._closing = threading.Event()
        self._pinging = threading.Event()
        self._reason = ""
        self._lock = threading.Lock()
        self._enders: dict[object, Callable[[], None]] = {}
        self._last_heard = time.monotonic()
        self._require_shell()
        self._events = self._follow()
        for work in (self._watch_states, self._watch_silence):
            threading.Thread(target=work, daemon=True).start()

    def open(self, service: str) -> AdbConnection:
        """A stream to a service of the device; its socket has no timeout.

        LinkLostError where the link is gone, TransportError where the device refuses the
        service.
        """
        if self._lost.is_set() or self._closing.is_set():
            raise self.lost()
        try:
            connection = self._to_device()
        except ADB_FAILURES as error:
            raise self.lost(str(error)) from error
        try:
            connection.send_command(service)
            connection.check_okay()
        except ADB_TIMEOUTS as error:
            connection.conn.close()
            raise self.lost(f"no answer in {self._options.connect_seconds:g} seconds") from error
        except ADB_FAILURES as error:
            connection.conn.close()
            if self.is_lost():
                raise self.lost() from error
            what = service.partition(":")[0]
            raise TransportError(f"{self._name} refuses the service '{what}': {error}.") from error
        connection.conn.settimeout(None)
        self.heard()
        return connection

    def open_port(self, port: int) -> AdbPort:
        """A connection to a port of the device's loopback; TransportError where it refuses."""
        try:
            return AdbPort(self, self.open(f"tcp:{port}").conn)
        except LinkLostError:
            raise
        except TransportError as error:
            raise TransportError(
                f"Nothing listens on port {port} of {self._name}: {error.message}"
            ) from error

    def heard(self) -> None:
        """Something came from the device."""
        self._last_heard = time.monotonic()

    def on_loss(self, key: object, end: Callable[[], None]) -> None:
        """Call ``end`` when the link is lost; ``forget`` takes it back."""
        with self._lock:
            self._enders[key] = end
        if self._lost.is_set():
            end()

    def forget(self, key: object) -> None:
        """See ``on_loss``."""
        with self._lock:
            self._enders.pop(key, None)

    def is_lost(self) -> bool:
        """Whether server or device are gone. Waits a moment: streams end before that is told."""
        deadline = time.monotonic() + _SETTLE_SECONDS
        while not self._lost.wait(_TICK_SECONDS):
            # adb 29 tells of a device that is offline where it is asked, not by itself.
            reason = self._absence()
            if reason:
                self._lose(reason)
            elif time.monotonic() >= deadline:
                return False
        return True

    def lost(self, detail: str = "") -> LinkLostError:
        """The link is lost from now on; the error to raise where something failed by that."""
        if not self.is_lost():
            self._lose(detail or "its stream ended")
        return LinkLostError(
            f"The link to {self._name} was lost: {self._reason}.",
            remedy="Check the board, its cable or network, then run the command again.",
        )

    def close(self) -> None:
        """Stop watching; everything that is open ends. May be called twice."""
        self._closing.set()
        self._lose("it was closed")
        # close() of a socket does not wake who reads from it.
        with contextlib.suppress(*ADB_FAILURES):
            self._events.conn.shutdown(socket.SHUT_RDWR)

    def _to_device(self) -> AdbConnection:
        connection = self.server.connect()
        try:
            connection.send_command(f"host:transport-id:{self._transport_id}")
            connection.check_okay()
        except BaseException:
            connection.conn.close()
            raise
        return connection

    def _require_shell(self) -> None:
        request = f"host-transport-id:{self._transport_id}:features"
        try:
            features = self.server.ask(request).split(",")
        except ADB_FAILURES as error:
            raise self.lost(str(error)) from error
        if "shell_v2" not in features:
            raise TransportError(
                f"The shell of {self._name} tells no exit codes (no shell_v2 among its features).",
                remedy="Android 7 or newer has it, and adb 1.0.36 or newer.",
            )

    def _follow(self) -> AdbConnection:
        """The connection on which the server tells every change of its list."""
        try:
            connection = self.server.connect()
            connection.send_command("host:track-devices")
            connection.check_okay()
            connection.conn.settimeout(None)
            return connection
        except ADB_FAILURES as error:
            raise self.lost(str(error)) from error

    def _absence(self) -> str:
        """Why the device cannot be there any more; empty where the server lists it as ready."""
        try:
            devices = self.server.devices()
        except TransportError:
            return "the adb server ended"
        states = {device.transport_id: device.state for device in devices}
        return _reason_of(states.get(self._transport_id))

    def _watch_states(self) -> None:
        try:
            while not self._closing.is_set():
                lines = [
                    line.split("\t", 1) for line in self._events.read_string_block().splitlines()
                ]
                states = {line[0]: line[1].strip() for line in lines if len(line) == 2}
                reason = _reason_of(states.get(self.serial))
                if reason:
                    self._lose(reason)
        except ADB_FAILURES:
            self._lose("the adb server ended")
        finally:
            self._events.conn.close()

    def _watch_silence(self) -> None:
        """Ask for a sign of life in silence; after too much of it, give the link up."""
        interval = self._options.silence_seconds / 4
        while not self._closing.wait(interval) and not self._lost.is_set():
            silence = time.monotonic() - self._last_heard
            if silence > self._options.silence_seconds:
                self._lose(f"nothing came from it for {self._options.silence_seconds:g} seconds")
            elif silence > interval and not self._pinging.is_set():
                self._pinging.set()
                threading.Thread(target=self._ping, daemon=True).start()

    def _ping(self) -> None:
        try:
            connection = self._to_device()
            with connection.conn:
                connection.conn.settimeout(self._options.silence_seconds)
                connection.send_command(_SIGN_OF_LIFE)
                connection.check_okay()
            self.heard()
        except ADB_TIMEOUTS:
            pass
        except AdbError:
            self.heard()  # Refused by the device: that is the answer.
        except ADB_FAILURES:
            pass
        finally:
            self._pinging.clear()

    def _lose(self, reason: str) -> None:
        with self._lock:
            self._reason = self._reason or reason
            enders = list(self._enders.values())
        self._lost.set()
        for end in enders:
            end()


class AdbPort:
    """A connection on the device. adb has no half-closed ones: its end is the end of both."""

    closed = True

    def __init__(self, link: AdbLink, stream: socket.socket) -> None:
        self._link = link
        self._socket = stream
        link.on_loss(self, self.shutdown_write)

    def recv(self, nbytes: int) -> bytes:
        """Some bytes; empty at the end."""
        acknowledge_at_once(self._socket)
        return self._socket.recv(nbytes)

    def sendall(self, s: bytes) -> None:
        """All of ``s``."""
        self._socket.sendall(s)

    def shutdown_write(self) -> None:
        """Ends both directions."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End it."""
        self._link.forget(self)
        self.shutdown_write()
        self._socket.close()


def acknowledge_at_once(stream: socket.socket) -> None:
    """Let the server send on: it gathers small packets until the last one is acknowledged.

    Without this an answer in two packets takes the 40 ms that a system may wait with an
    acknowledgement. It holds until the next turn of the conversation.
    """
    if hasattr(socket, "TCP_QUICKACK"):
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _reason_of(state: str | None) -> str:
    """What a device's state says of its link; empty for one that is ready."""
    if state == "device":
        return ""
    return "the device is gone" if state is None else f"the device is {state}"
