"""adb's packets: a header of six numbers, then a payload.

See ``protocol.txt`` of the Android Open Source Project's adb.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

_HEADER = struct.Struct("<6I")
_ALL_ONES = 0xFFFFFFFF

CNXN = int.from_bytes(b"CNXN", "little")
AUTH = int.from_bytes(b"AUTH", "little")
OPEN = int.from_bytes(b"OPEN", "little")
OKAY = int.from_bytes(b"OKAY", "little")
WRTE = int.from_bytes(b"WRTE", "little")
CLSE = int.from_bytes(b"CLSE", "little")

VERSION_WITHOUT_CHECKSUMS = 0x01000001
"""From this version on both ends leave the sum of the payload's bytes out."""

MOST_PAYLOAD_BYTES = 1 << 20


class BrokenPacketError(Exception):
    """What came is not a packet, or damaged."""


@dataclass(frozen=True)
class Packet:
    """``arg0`` is mostly the sender's number of a stream, ``arg1`` the receiver's."""

    command: int
    arg0: int
    arg1: int
    payload: bytes | bytearray = b""


def read_packet(source: socket.socket, *, check_sum: bool) -> Packet | None:
    """The next packet; None at the end. BrokenPacketError for anything else."""
    header = _read_exactly(source, _HEADER.size)
    if header is None:
        return None
    command, arg0, arg1, size, checksum, magic = _HEADER.unpack(header)
    if magic != command ^ _ALL_ONES or size > MOST_PAYLOAD_BYTES:
        raise BrokenPacketError(f"a packet header was expected, found {bytes(header)!r}")
    payload = _read_exactly(source, size)
    if payload is None:
        return None
    if check_sum and checksum != sum(payload) & _ALL_ONES:
        raise BrokenPacketError("the sum of a payload's bytes is wrong")
    return Packet(command, arg0, arg1, payload)


def packet_parts(packet: Packet, *, check_sum: bool) -> tuple[bytes, bytes | bytearray]:
    """Header and payload as they go over the wire."""
    payload = packet.payload
    checksum = sum(payload) & _ALL_ONES if check_sum else 0
    header = _HEADER.pack(
        packet.command,
        packet.arg0,
        packet.arg1,
        len(payload),
        checksum,
        packet.command ^ _ALL_ONES,
    )
    return header, payload


def _read_exactly(source: socket.socket, size: int) -> bytearray | None:
    data = bytearray(size)
    rest = memoryview(data)
    while rest:
        count = source.recv_into(rest)
        if not count:
            return None
        rest = rest[count:]
    return data
