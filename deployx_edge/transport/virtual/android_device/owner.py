"""Who is at the other end of a loopback connection.

A real device asks for a key before it lets a host in. This one gives out a shell with the
rights of whoever started it, on a port that every user of the computer can reach; so it
looks whose socket it is that connects.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

_TABLE = Path("/proc/net/tcp")


def may_connect(connected: socket.socket) -> bool:
    """Whether the other end belongs to this process's user, or to root."""
    return _owner(connected.getpeername(), connected.getsockname()) in (0, os.getuid())


def _owner(local: tuple[str, int], remote: tuple[str, int]) -> int | None:
    """The user id of the socket with these ends (see proc_net_tcp.txt of the Linux kernel)."""
    wanted = [_written(local), _written(remote)]
    for line in _TABLE.read_text(encoding="ascii").splitlines()[1:]:
        words = line.split()
        if words[1:3] == wanted:
            return int(words[7])
    return None


def _written(end: tuple[str, int]) -> str:
    """As the table has it: the address as one number of this computer's byte order."""
    number = int.from_bytes(socket.inet_aton(end[0]), sys.byteorder)
    return f"{number:08X}:{end[1]:04X}"
