"""Packets of adb's shell protocol (shell_v2): a kind, a size, the bytes.

See ``shell_protocol.h`` of the Android Open Source Project's adb.
"""

from __future__ import annotations

import enum
import struct

HEADER = struct.Struct("<BI")
"""The kind and the number of bytes that follow."""


class Packet(enum.IntEnum):
    """Kinds. EXIT carries one byte, the exit code (128 + N after signal N)."""

    STDIN = 0
    STDOUT = 1
    STDERR = 2
    EXIT = 3
    CLOSE_STDIN = 4
    WINDOW_SIZE = 5
