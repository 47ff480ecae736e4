"""Folders that look like an Android NDK as far as files tell, without its compilers."""

from __future__ import annotations

import json
from pathlib import Path

from deployx_edge.crossbuild.ndk import host_tag


def make_ndk(folder: Path, *, revision: str = "25.2.9519653", host: str = "") -> Path:
    """The files that are read of an NDK, with the contents that r25c has."""
    files = {
        "source.properties": f"Pkg.Desc = Android NDK\nPkg.Revision = {revision}\n",
        "meta/platforms.json": json.dumps({"min": 19, "max": 33, "aliases": {"T": 33}}),
        "build/cmake/android.toolchain.cmake": "# the NDK's own\n",
        f"toolchains/llvm/prebuilt/{host or host_tag()}/AndroidVersion.txt": (
            "14.0.7\nbased on r450784d1\n"
        ),
        f"toolchains/llvm/prebuilt/{host or host_tag()}/bin/clang++": "",
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder
