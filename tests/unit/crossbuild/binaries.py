"""The smallest ELF files and archives that tests need, byte by byte."""

from __future__ import annotations

import struct
from pathlib import Path

AARCH64 = 183
X86_64 = 62
_RELOCATABLE = 1
_EXECUTABLE = 2


def elf(machine: int, *, type: int = _EXECUTABLE, filler: bytes = b"") -> bytes:
    """A little-endian 64-bit ELF header without sections or segments."""
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    rest = struct.pack("<HHIQQQIHHHHHH", type, machine, 1, 0, 0, 0, 0, 64, 56, 0, 64, 0, 0)
    return ident + rest + filler


def object_file(machine: int, filler: bytes = b"") -> bytes:
    return elf(machine, type=_RELOCATABLE, filler=filler)


def archive(path: Path, members: dict[str, bytes]) -> Path:
    """A static library in GNU's format: a symbol table, long names apart, even offsets."""
    long_names = b"".join(name.encode() + b"/\n" for name in members if len(name) > 15)
    content = b"!<arch>\n" + _member("/", b"\0\0\0\0")
    if long_names:
        content += _member("//", long_names)
    for name, data in members.items():
        at = long_names.find(name.encode())
        content += _member(f"/{at}" if at >= 0 else f"{name}/", data)
    path.write_bytes(content)
    return path


def _member(name: str, data: bytes) -> bytes:
    header = f"{name:<16}{0:<12}{0:<6}{0:<6}{644:<8}{len(data):<10}`\n".encode()
    return header + data + (b"\n" if len(data) % 2 else b"")
