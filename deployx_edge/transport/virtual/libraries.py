"""The folder that qemu shows to dynamic programs of a target in place of the computer's own.

``qemu -L FOLDER`` redirects every path that exists below FOLDER: ``lib`` leads to the target's
shared libraries. Libraries that look at the processor by ``/proc/cpuinfo`` (ONNX Runtime's and
others) would read of this computer's and end, under qemu before version 10; so there is one that
says what the emulated processor can do.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from deployx_edge import process
from deployx_edge.errors import MissingToolError
from deployx_edge.resources import cache_folder
from deployx_edge.scratch import beside
from deployx_edge.target import Target

LIBRARIES_REMEDY = "apt-get install g++-aarch64-linux-gnu"
_LOADERS = {"EM_AARCH64": "ld-linux-aarch64.so.1"}
# The kernel's words for the bits of AT_HWCAP and AT_HWCAP2 of 64-bit Arm, from bit 0 on
# (arch/arm64/include/uapi/asm/hwcap.h).
_FEATURES = (
    "fp",
    "asimd",
    "evtstrm",
    "aes",
    "pmull",
    "sha1",
    "sha2",
    "crc32",
    "atomics",
    "fphp",
    "asimdhp",
    "cpuid",
    "asimdrdm",
    "jscvt",
    "fcma",
    "lrcpc",
    "dcpop",
    "sha3",
    "sm3",
    "sm4",
    "asimddp",
    "sha512",
    "sve",
    "asimdfhm",
    "dit",
    "uscat",
    "ilrcpc",
    "flagm",
    "ssbs",
    "sb",
    "paca",
    "pacg",
)
_MORE_FEATURES = (
    "dcpodp",
    "sve2",
    "sveaes",
    "svepmull",
    "svebitperm",
    "svesha3",
    "svesm4",
    "flagm2",
    "frint",
    "svei8mm",
    "svef32mm",
    "svef64mm",
    "svebf16",
    "i8mm",
    "bf16",
)
_BASE = ("fp", "asimd")
_POSSIBLE = Path("/sys/devices/system/cpu/possible")


def library_words(target: Target, emulator: str, cpu: str) -> tuple[str, ...]:
    """Tell qemu where the shared libraries of dynamic binaries are; static ones need none.

    MissingToolError where all of the target's workers are dynamic and there are none.
    """
    if target.qemu_libraries and Path(target.qemu_libraries).is_dir():
        if target.elf_machine not in _LOADERS:
            return "-L", target.qemu_libraries
        return "-L", str(_folder(target, emulator, cpu))
    if target.dynamic_workers:
        raise MissingToolError(
            f"virtual:{target.id} runs workers that need glibc in {target.qemu_libraries}, which "
            "is not there.",
            remedy=f"Install it with: {LIBRARIES_REMEDY}",
        )
    return ()


def missing_libraries(target: Target, names: Sequence[str]) -> tuple[str, ...]:
    """Those that emulated programs of the target do not find."""
    folder = Path(target.qemu_libraries) / "lib"
    return tuple(name for name in names if not (folder / name).is_file())


def _folder(target: Target, emulator: str, cpu: str) -> Path:
    """Made once for each processor, qemu and set of libraries."""
    stat = Path(emulator).stat()
    made_of = (target.qemu_libraries, emulator, cpu, stat.st_size, stat.st_mtime_ns)
    key = hashlib.sha256(repr(made_of).encode()).hexdigest()[:16]
    folder = cache_folder() / "virtual" / "libraries" / f"{target.id}-{key}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with beside(folder) as fresh:
        (fresh / "proc").mkdir(parents=True)
        (fresh / "lib").symlink_to(Path(target.qemu_libraries) / "lib")
        (fresh / "proc" / "cpuinfo").write_text(_cpuinfo(target, emulator, cpu), encoding="ascii")
        try:
            fresh.rename(folder)
        except OSError:
            if not folder.is_dir():  # Another process was first.
                raise
    return folder


def _cpuinfo(target: Target, emulator: str, cpu: str) -> str:
    """As the kernel of a board writes it: one block a processor."""
    features = " ".join(_processor_features(target, emulator, cpu))
    lines = (
        f"Features\t: {features}",
        "CPU implementer\t: 0x41",
        "CPU architecture: 8",
        "CPU variant\t: 0x0",
        "CPU part\t: 0xd0f",
        "CPU revision\t: 0",
    )
    block = "".join(f"{line}\n" for line in lines)
    return "".join(f"processor\t: {number}\n{block}\n" for number in range(_processors()))


def _processor_features(target: Target, emulator: str, cpu: str) -> tuple[str, ...]:
    """What the emulated processor can do, as glibc's loader finds it there.

    Loaders before glibc 2.33 do not tell; then what every such processor can.
    """
    loader = Path(target.qemu_libraries) / "lib" / _LOADERS[target.elf_machine]
    told = process.run([emulator, "-cpu", cpu, loader, "--list-diagnostics"], check=False)
    text = told.stdout.decode(errors="replace")
    found = [
        name
        for key, names in (("dl_hwcap", _FEATURES), ("dl_hwcap2", _MORE_FEATURES))
        for bit, name in enumerate(names)
        if _value(text, key) >> bit & 1
    ]
    return tuple(found) or _BASE


def _value(text: str, key: str) -> int:
    found = re.search(rf"^{key}=0x([0-9a-f]+)$", text, re.MULTILINE)
    return int(found[1], 16) if found else 0


def _processors() -> int:
    """As many as sysfs tells of, which is this computer's under qemu."""
    try:
        last = _POSSIBLE.read_text(encoding="ascii").strip().rpartition("-")[2]
        return int(last) + 1
    except (OSError, ValueError):
        return os.cpu_count() or 1
