"""Free what the tool has taken: on this computer, or on a board."""

from __future__ import annotations

import shutil
from pathlib import Path

from deployx_edge.device import Device
from deployx_edge.errors import TransportError, UsageError
from deployx_edge.resources import cache_folder, dist_folder
from deployx_edge.target import targets
from deployx_edge.transport import open_device
from deployx_edge.transport.board import checked_target
from deployx_edge.workflows.boards.crash_log import forget_incidents
from deployx_edge.workflows.boards.lease import busy, lease_of, release

# What each word frees, from the cheapest to make again to the dearest.
PARTS = ("bundles", "virtual", "dist", "build", "packages", "sources", "environments")
_FOLDERS = {
    "bundles": ("bundles",),
    "virtual": ("virtual", "local"),
    "build": ("build",),
    "packages": ("conan", "zig"),
    "sources": ("sources",),
    "environments": ("environments",),
}


def clean_host(parts: tuple[str, ...]) -> int:
    """Remove parts of the tool's own cache; the number of bytes freed."""
    for part in parts:
        if part not in PARTS:
            raise UsageError(
                f"There is no '{part}' to clean.", remedy=f"Known: {', '.join(PARTS)}."
            )
    freed = 0
    for part in parts:
        folders = (
            [dist_folder(id) for id in targets()]
            if part == "dist"
            else [cache_folder() / name for name in _FOLDERS[part]]
        )
        freed += sum(_remove(folder) for folder in folders)
    return freed


def clean_device(device: Device, *, force: bool = False) -> str:
    """Remove everything of ours from a board, also what is remembered of it here; the folder
    that was removed.

    DeviceBusyError where a run has the board; ``force`` ends that.
    """
    if force:
        release(device, force=True)
    with open_device(device) as transport:
        target = checked_target(transport, device.target)
        entries = lease_of(transport, target, certain=True)
        if entries:
            raise busy(device, entries[0])
        folder = transport.work_folder
        done = transport.run(["rm", "-rf", folder])
        if done.returncode != 0:
            raise TransportError(
                f"{folder} on {device.name} cannot be removed: "
                f"{done.stderr.decode(errors='replace').strip()}"
            )
        forget_incidents(transport)
        return folder


def _remove(folder: Path) -> int:
    if not folder.exists():
        return 0
    size = sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())
    shutil.rmtree(folder)
    return size
