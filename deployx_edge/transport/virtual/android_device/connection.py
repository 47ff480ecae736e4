"""One connection of an adb server: the handshake, then any number of streams."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable

from deployx_edge.transport.virtual.android_device.packets import (
    AUTH,
    CLSE,
    CNXN,
    MOST_PAYLOAD_BYTES,
    OKAY,
    OPEN,
    VERSION_WITHOUT_CHECKSUMS,
    WRTE,
    BrokenPacketError,
    Packet,
    packet_parts,
    read_packet,
)
from deployx_edge.transport.virtual.android_device.streams import Stream, StreamClosedError

Service = Callable[[Stream], None]
"""Serves one stream to its end, in a thread of its own."""

FindService = Callable[[str], Service | None]
"""The service of a name such as ``shell,v2,raw:ls``; None where there is none."""

_AUTH_TOKEN = 1


class Connection:
    """Speaks with one adb server until either end hangs up."""

    def __init__(
        self,
        connected: socket.socket,
        banner: str,
        find: FindService,
        *,
        authorizes: bool,
        bytes_per_second: float,
    ) -> None:
        self._socket = connected
        self._banner = banner
        self._find = find
        self._authorizes = authorizes
        self._bytes_per_second = bytes_per_second
        self._free_at = 0.0
        self._check_sum = True
        self._most_payload = MOST_PAYLOAD_BYTES
        self._send_lock = threading.Lock()
        self._streams: dict[int, Stream] = {}
        self._next = 1
        self._lock = threading.Lock()

    def serve(self) -> None:
        """Until the connection ends. What is open then ends too."""
        try:
            while (packet := read_packet(self._socket, check_sum=False)) is not None:
                self._pace(len(packet.payload))
                self._take(packet)
        except (OSError, BrokenPacketError):
            pass
        finally:
            self.close()
            with self._lock:
                streams, self._streams = list(self._streams.values()), {}
            for stream in streams:
                stream.closed_by_other()

    def close(self) -> None:
        """Hang up."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def _pace(self, size: int) -> None:
        """Wait as long as a slower cable would take for so many bytes."""
        now = time.monotonic()
        self._free_at = max(self._free_at, now) + size / self._bytes_per_second
        if self._free_at > now:
            time.sleep(self._free_at - now)

    def _take(self, packet: Packet) -> None:
        if packet.command == CNXN:
            self._check_sum = packet.arg0 < VERSION_WITHOUT_CHECKSUMS
            self._most_payload = min(packet.arg1, MOST_PAYLOAD_BYTES)
            self._greet()
        elif packet.command == AUTH:
            self._greet()
        elif packet.command == OPEN and self._authorizes:
            self._open(packet)
        else:
            with self._lock:
                stream = self._streams.get(packet.arg1)
            if stream is None:
                if packet.command == WRTE:
                    self._send(Packet(CLSE, 0, packet.arg0))
            elif packet.command == WRTE:
                stream.came(packet.payload)
            elif packet.command == OKAY:
                stream.taken()
            elif packet.command == CLSE:
                self._forget(packet.arg1)
                stream.closed_by_other()

    def _greet(self) -> None:
        """Say who this is; a device that trusts nobody asks for a signature, again and again."""
        if self._authorizes:
            version = VERSION_WITHOUT_CHECKSUMS
            self._send(Packet(CNXN, version, MOST_PAYLOAD_BYTES, self._banner.encode()))
        else:
            self._send(Packet(AUTH, _AUTH_TOKEN, 0, os.urandom(20)))

    def _open(self, packet: Packet) -> None:
        name = packet.payload.rstrip(b"\0").decode(errors="replace")
        service = self._find(name)
        if service is None:
            self._send(Packet(CLSE, 0, packet.arg0))
            return
        with self._lock:
            own, self._next = self._next, self._next + 1
            stream = Stream(self._send, own, packet.arg0, self._most_payload)
            self._streams[own] = stream
        threading.Thread(target=self._serve, args=(service, stream, own), daemon=True).start()

    def _serve(self, service: Service, stream: Stream, own: int) -> None:
        try:
            service(stream)
        except (OSError, StreamClosedError):
            pass
        finally:
            stream.close()
            self._forget(own)

    def _forget(self, own: int) -> None:
        with self._lock:
            self._streams.pop(own, None)

    def _send(self, packet: Packet) -> None:
        header, payload = packet_parts(packet, check_sum=self._check_sum)
        with self._send_lock:
            try:
                if len(payload) > 1 << 16:
                    self._socket.sendall(header)
                    self._socket.sendall(payload)
                else:
                    self._socket.sendall(header + payload)
            except OSError:
                return  # The reader sees the end of the connection, and ends the streams.
