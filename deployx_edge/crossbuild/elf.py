"""What executables and archives are: machine, libc, the libraries they need."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployx_edge.errors import BuildError
from deployx_edge.versions import numbers

_ARCHIVE_MAGIC = b"!<arch>\n"
_ELF_MAGIC = b"\x7fELF"
# Symbol tables and the list of long names, which are no objects.
_ARCHIVE_TABLES = ("/", "//", "/SYM64/", "__.SYMDEF")
# e_ident (16 bytes) and e_type come before e_machine; EI_DATA is byte 5, 1 = little-endian.
_MACHINE_OFFSET = 18
_EI_DATA = 5


@dataclass(frozen=True, kw_only=True)
class Executable:
    """``machine`` is e_machine's name (``EM_AARCH64``); ``libc`` is ``static``, the highest
    version of a glibc symbol that is needed (``GLIBC_2.34``), or the API level of Android that
    it was built for (``Bionic, API level 24``); ``libstdcxx`` the highest version of a symbol of
    GCC's C++ library (``GLIBCXX_3.4.22``), "" for none; ``needed`` are the shared libraries."""

    machine: str
    libc: str
    libstdcxx: str
    needed: tuple[str, ...]


def inspect_executable(path: Path) -> Executable:
    """Read an ELF executable or shared library; BuildError where it is neither."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        with path.open("rb") as file:
            elf = ELFFile(file)
            if elf.header.e_type not in ("ET_EXEC", "ET_DYN"):
                raise BuildError(f"{path} should be an executable, but is {elf.header.e_type}.")
            needed, versions = _dynamic_facts(elf)
            interpreted = any(s.header.p_type == "PT_INTERP" for s in elf.iter_segments())
            static = not interpreted and not needed
            return Executable(
                machine=elf.header.e_machine,
                libc="static" if static else _dynamic_libc(elf, versions),
                libstdcxx=_highest(versions, "GLIBCXX_"),
                needed=needed,
            )
    except (OSError, ELFError) as error:
        raise BuildError(f"{path} should be an ELF executable ({error}).") from error


def check_executable(path: Path, *, machine: str, static: bool, glibc: str = "") -> Executable:
    """``inspect_executable`` and compare; BuildError says what was expected and found.

    ``glibc`` is the newest version whose symbols a dynamic executable may need, "" for any.
    """
    found = inspect_executable(path)
    if found.machine != machine:
        raise BuildError(f"{path.name} should be for {machine}, but is for {found.machine}.")
    if static and found.libc != "static":
        raise BuildError(
            f"{path.name} should be static, but needs {', '.join(found.needed)} ({found.libc})."
        )
    if glibc and (not found.libc.startswith("GLIBC_") or _numbers(found.libc) > _numbers(glibc)):
        raise BuildError(
            f"{path.name} should run with glibc {glibc}, but what it needs is {found.libc}."
        )
    return found


def defined_versions(path: Path) -> frozenset[str]:
    """The versions that a shared library's own symbols are of, such as ``VERS_1.29.0``."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile
    from elftools.elf.gnuversions import GNUVerDefSection

    try:
        with path.open("rb") as file:
            sections = [s for s in ELFFile(file).iter_sections() if isinstance(s, GNUVerDefSection)]
            return frozenset(
                str(auxiliary.name)
                for section in sections
                for _, auxiliaries in section.iter_versions()
                for auxiliary in auxiliaries
            )
    except (OSError, ELFError) as error:
        raise BuildError(f"{path} should be an ELF file ({error}).") from error


def check_archive(path: Path, *, machine: str) -> int:
    """Check that every object of a static library is for ``machine``; the number of objects.

    BuildError names the first object that is not.
    """
    expected = _machine_number(machine)
    count = 0
    for name, header in _archive_members(path):
        if header[:4] != _ELF_MAGIC:
            raise BuildError(f"{path} holds {name}, which is not an object of {machine}.")
        order = "<" if header[_EI_DATA] == 1 else ">"
        (number,) = struct.unpack_from(f"{order}H", header, _MACHINE_OFFSET)
        if number != expected:
            raise BuildError(
                f"{path} holds {name} for {_machine_name(number)}, but is meant for {machine}: "
                "a compiler of this computer was used where the target's was due."
            )
        count += 1
    return count


def _archive_members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and first 20 bytes of each object."""
    with path.open("rb") as file:
        if file.read(len(_ARCHIVE_MAGIC)) != _ARCHIVE_MAGIC:
            raise BuildError(f"{path} should be a static library, but is none.")
        long_names = b""
        while len(header := file.read(60)) == 60:
            name, size = header[:16].decode("latin-1").rstrip(), int(header[48:58])
            start = file.tell()
            if name == "//":
                long_names = file.read(size)
            elif name not in _ARCHIVE_TABLES:
                if name.startswith("/"):
                    rest = long_names[int(name[1:]) :]
                    name = rest.partition(b"\n")[0].decode(errors="replace")
                yield name.rstrip("/"), file.read(min(size, _MACHINE_OFFSET + 2))
            # Members begin at even offsets.
            file.seek(start + size + size % 2)


def _dynamic_facts(elf: Any) -> tuple[tuple[str, ...], list[str]]:
    from elftools.elf.dynamic import DynamicSection
    from elftools.elf.gnuversions import GNUVerNeedSection

    needed: list[str] = []
    versions: list[str] = []
    for section in elf.iter_sections():
        if isinstance(section, DynamicSection):
            for tag in section.iter_tags("DT_NEEDED"):
                needed.append(str(tag.needed))  # type: ignore[attr-defined]
        elif isinstance(section, GNUVerNeedSection):
            for _, auxiliaries in section.iter_versions():
                versions += [auxiliary.name for auxiliary in auxiliaries]
    return tuple(needed), versions


def _dynamic_libc(elf: Any, versions: list[str]) -> str:
    return _android_libc(elf) or _highest(versions, "GLIBC_") or "dynamic"


def _android_libc(elf: Any) -> str | None:
    """From the note that an NDK puts in each executable: the API level, 32 bits, comes first."""
    from elftools.elf.segments import NoteSegment

    for segment in elf.iter_segments():
        if not isinstance(segment, NoteSegment):
            continue
        for note in segment.iter_notes():
            if note["n_name"] == "Android" and len(note["n_descdata"]) >= 4:
                order = "<I" if elf.little_endian else ">I"
                return f"Bionic, API level {struct.unpack_from(order, note['n_descdata'])[0]}"
    return None


def _highest(versions: list[str], prefix: str) -> str:
    """The newest of the versions with that prefix, "" where there is none."""
    known = [one for one in versions if one.startswith(prefix) and one[len(prefix) :][:1].isdigit()]
    return max(known, key=_numbers, default="")


def _numbers(version: str) -> tuple[int, ...]:
    """Those of ``GLIBC_2.31`` or ``2.31``."""
    return numbers(version.rpartition("_")[2])


def _machine_number(name: str) -> int:
    from elftools.elf.enums import ENUM_E_MACHINE

    return int(ENUM_E_MACHINE[name])


def _machine_name(number: int) -> str:
    from elftools.elf.enums import ENUM_E_MACHINE

    return next(
        (n for n, v in ENUM_E_MACHINE.items() if v == number and n != "_default_"), str(number)
    )
