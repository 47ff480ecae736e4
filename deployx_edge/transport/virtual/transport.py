"""``virtual:TARGET[?cpu=NAME]``: a target's own binaries under qemu-user.

It needs neither root nor ``binfmt_misc``: every binary of the target is started with the
link's ``launcher`` before it, and a program that starts another does the same.
"""

from __future__ import annotations

import difflib
import re
from urllib.parse import parse_qsl

from deployx_edge import process
from deployx_edge.device import LinkOptions
from deployx_edge.errors import UsageError
from deployx_edge.resources import cache_folder
from deployx_edge.target import Target, find_target
from deployx_edge.transport.local.folders import local_work_folder
from deployx_edge.transport.local.transport import LocalTransport
from deployx_edge.transport.protocol import Transport
from deployx_edge.transport.virtual.libraries import library_words

_INSTALL = "Install it with: apt-get install qemu-user-static"


def open_virtual(uri: str, work_folder: str | None, options: LinkOptions) -> Transport:
    """Open ``virtual:linux-arm64`` or ``virtual:linux-arm64?cpu=cortex-a76``.

    ``cpu`` is a name of ``qemu -cpu help``, with properties after commas
    (``max,sve=off``). An Android target is a device of an adb server. UsageError for an
    unknown target or processor, MissingToolError where qemu (or adb) is not installed.
    """
    name, cpu = _parse(uri)
    target = find_target(name)
    emulator = process.require_program(target.qemu, remedy=_INSTALL)
    if cpu is not None:
        check_processor(str(emulator), target, cpu)
    suffix = "" if cpu is None else "-" + re.sub(r"[^A-Za-z0-9._-]", "_", cpu)
    played = cpu or target.qemu_cpu
    words = (str(emulator), *library_words(target, str(emulator), played), "-cpu", played)
    folder = cache_folder() / "virtual" / (target.id + suffix)
    if target.system == "android":
        from deployx_edge.transport.virtual.android import VirtualAndroidTransport

        return VirtualAndroidTransport(
            uri, root=folder, emulator=words, work_folder=work_folder, options=options
        )
    return LocalTransport(
        uri,
        work_folder=local_work_folder(work_folder, folder),
        machine=target.machines[0],
        launcher=words,
        emulated=True,
        options=options,
    )


def processors(emulator: str) -> list[str]:
    """The names that this qemu takes after ``-cpu``."""
    listing = process.run([emulator, "-cpu", "help"], check=False).stdout.decode(errors="replace")
    names = []
    for line in listing.splitlines():
        words = line.split()
        if not words:
            break  # What follows the first gap is a list of features.
        if line.endswith(":"):
            continue
        names.append(words[1] if words[0] == "x86" and len(words) > 1 else words[0])
    return names


def check_processor(emulator: str, target: Target, cpu: str) -> None:
    """UsageError unless qemu knows the processor and every property given with it."""
    # qemu makes the processor before it reads the program, and /dev/null is none: what
    # it says of a processor stands on its own.
    tried = process.run([emulator, "-cpu", cpu, "/dev/null"], check=False)
    complaint = tried.stderr.decode(errors="replace").strip()
    name, _, properties = cpu.partition(",")
    known = processors(emulator)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        raise UsageError(
            f"{target.qemu} knows no processor '{name}'.",
            remedy=f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(known)}.",
        )
    # What it only remarks has no name before it.
    refusals = [line for line in complaint.splitlines() if line.startswith(f"{target.qemu}: ")]
    if properties and refusals:
        reason = refusals[0].removeprefix(f"{target.qemu}: ").rstrip(".")
        raise UsageError(f"{target.qemu} refuses '-cpu {cpu}': {reason}.")


def _parse(uri: str) -> tuple[str, str | None]:
    name, mark, query = uri.partition(":")[2].partition("?")
    if not mark:
        return name, None
    pairs = parse_qsl(query, keep_blank_values=True)
    if len(pairs) != 1 or pairs[0][0] != "cpu" or not pairs[0][1]:
        raise UsageError(
            f"'?{query}' in {uri} is not understood.",
            remedy="Only a processor can be chosen: virtual:TARGET?cpu=NAME.",
        )
    return name, pairs[0][1]
