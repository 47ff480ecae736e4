"""Image files of every depth, some of them written by hand where Pillow cannot."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np


def write_png(path: Path, values: np.ndarray, bits: int, *, palette: bool = False) -> Path:
    """A PNG of one channel with so many bits a value: gray, or indices of a palette."""
    height, width = values.shape
    rows = b"".join(b"\0" + packed(row, bits) for row in values)
    header = struct.pack(">IIBBBBB", width, height, bits, 3 if palette else 0, 0, 0, 0)
    colours = bytes(
        (7 * index + channel) % 256 for index in range(1 << bits) for channel in (1, 2, 3)
    )
    parts = [_chunk(b"IHDR", header)]
    if palette:
        parts.append(_chunk(b"PLTE", colours))
    parts += [_chunk(b"IDAT", zlib.compress(rows)), _chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


def write_tiff(
    path: Path, values: np.ndarray, bits: int, *, kind: int = 1, white_is_zero: bool = False
) -> Path:
    """A TIFF of one channel; ``kind`` is its SampleFormat: 1 unsigned, 2 signed, 3 floats."""
    height, width = values.shape
    if bits == 12:
        content = b"".join(packed(row, 12) for row in values)
    else:
        content = values.astype(f"<{ {1: 'u', 2: 'i', 3: 'f'}[kind] }{bits // 8}").tobytes()
    content += b"\0" * (len(content) % 2)
    tags = (
        (256, width),
        (257, height),
        (258, bits),
        (259, 1),
        (262, 0 if white_is_zero else 1),
        (273, 8),
        (277, 1),
        (278, height),
        (279, len(content)),
        (339, kind),
    )
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    start = struct.pack("<I", 8 + len(content))
    path.write_bytes(
        b"II*\0" + start + content + struct.pack("<H", len(tags)) + entries + b"\0\0\0\0"
    )
    return path


def write_pgm(path: Path, values: np.ndarray, largest: int) -> Path:
    """A PGM whose values go up to ``largest``."""
    height, width = values.shape
    stored = values.astype(">u2" if largest > 255 else "u1").tobytes()
    path.write_bytes(f"P5\n{width} {height}\n{largest}\n".encode() + stored)
    return path


def packed(row: np.ndarray, bits: int) -> bytes:
    """Whole numbers of so many bits one after the other, the highest bit first."""
    wanted = (row.astype(np.int64)[:, None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(wanted.astype(np.uint8).reshape(-1)).tobytes()


def _chunk(name: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )
