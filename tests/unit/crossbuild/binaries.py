"""The smallest ELF files and archives that tests need, byte by byte."""

from __future__ import annotations

import struct
from pathlib import Path

AARCH64 = 183
QDSP6 = 164
X86_64 = 62
_RELOCATABLE = 1
_EXECUTABLE = 2


def elf(machine: int, *, type: int = _EXECUTABLE, filler: bytes = b"") -> bytes:
    """A little-endian 64-bit ELF header without sections or segments."""
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    rest = struct.pack("<HHIQQQIHHHHHH", type, machine, 1, 0, 0, 0, 0, 64, 56, 0, 64, 0, 0)
    return ident + rest + filler


def android_executable(level: int) -> bytes:
    """One that asks for Android's loader, with the note that an NDK's linker leaves."""
    loader = b"/system/bin/linker64\0"
    release = b"r25c".ljust(64, b"\0") + b"9519653".ljust(64, b"\0")
    note = struct.pack("<III8sI", 8, 132, 1, b"Android", level) + release
    at_loader = 64 + 2 * 56
    at_note = at_loader + len(loader) + -len(loader) % 4
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    header = struct.pack("<HHIQQQIHHHHHH", 3, AARCH64, 1, 0, 64, 0, 0, 64, 56, 2, 64, 0, 0)
    segments = [(3, at_loader, len(loader)), (4, at_note, len(note))]  # PT_INTERP, PT_NOTE
    table = b"".join(
        struct.pack("<IIQQQQQQ", kind, 4, at, at, at, size, size, 4) for kind, at, size in segments
    )
    return ident + header + table + loader.ljust(at_note - at_loader, b"\0") + note


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
