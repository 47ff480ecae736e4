"""What a pull of a sysroot did, for people and for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from deployx_edge.crossbuild.sysroot import SYSROOT_FILE
from deployx_edge.units import size
from deployx_edge.workflows.build.sysroot import SysrootPull


def pull_document(done: SysrootPull) -> dict[str, Any]:
    """The counts; the files themselves stand in ``sysroot.json``."""
    counts = asdict(done)
    sysroot = counts.pop("sysroot")
    named = ("folder", "uri", "machine", "glibc", "jetpack", "absent")
    return {
        "kind": "sysroot",
        **{name: sysroot[name] for name in named},
        "folder": str(done.sysroot.folder),
        "files": len(done.sysroot.files),
        "links": len(done.sysroot.links),
        **counts,
    }


def pull_text(done: SysrootPull) -> str:
    """A few lines."""
    sysroot = done.sysroot
    hashes = "hashes compared with the board's" if done.compared else "the board has no sha256sum"
    lines = [
        f"{sysroot.folder}: {len(sysroot.files)} files, {len(sysroot.links)} links of "
        f"{sysroot.uri} ({sysroot.machine}, glibc {sysroot.glibc or 'none'})",
        f"moved {done.moved} ({size(done.moved_bytes)}) in {done.seconds:.1f} s, kept {done.kept}, "
        f"removed {done.removed}; {hashes}; the list is {SYSROOT_FILE}",
    ]
    lines += [f"not on the board: {pattern}" for pattern in sysroot.absent]
    lines += [f"leads nowhere on the board: {path}" for path in done.broken]
    return "\n".join(lines)
