"""How much of this computer's processors is ours: its affinity and its control groups' quotas.

The board's side is ``device_agent/common/processors.cpp``, which says the same of a board.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_ROOT = Path("/")


def usable_processors(root: Path = _ROOT) -> int:
    """How many programs can run at once: at least one."""
    return _within_quota(len(_allowed()), root)


def free_cores(root: Path = _ROOT) -> int:
    """How many threads compute without getting into each other's way: the physical cores of the
    processors that this process may run on, at most what a quota grants, at least one."""
    cores = {_core(root, processor) for processor in _allowed()}
    return _within_quota(len(cores), root)


def processor_quota(root: Path = _ROOT) -> float | None:
    """How many processors' worth of time the tightest control group of this process grants,
    e.g. 1.5; None where none limits it."""
    quotas = (_quota(folder, unified) for folder, unified in _groups(root))
    return min((quota for quota in quotas if quota is not None), default=None)


def _allowed() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _within_quota(count: int, root: Path) -> int:
    quota = processor_quota(root)
    return max(1, count if quota is None else min(count, math.floor(quota)))


def _core(root: Path, processor: int) -> str:
    """What all hardware threads of one core have in common."""
    folder = root / f"sys/devices/system/cpu/cpu{processor}/topology"
    # The second is the first's name before Linux 5.3.
    for name in ("core_cpus_list", "thread_siblings_list"):
        found = _text(folder / name)
        if found:
            return found
    return str(processor)


def _groups(root: Path) -> Iterator[tuple[Path, bool]]:
    """The folders of this process's control groups that give out processor time, and of all above
    them, each with whether it is of version 2 (cgroups(7))."""
    paths = {}
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers or "cpu" in controllers.split(","):
            paths[not controllers] = path
    # proc(5), mountinfo: the 4th field is the top that is mounted and the 5th where; behind a lone
    # "-" follow type, source and the options, of version 1 the controllers among them.
    for line in _text(root / "proc/self/mountinfo").splitlines():
        place, _, kind = line.partition(" - ")
        places, kinds = place.split(), kind.split()
        if len(places) < 5 or len(kinds) < 3:
            continue
        unified = kinds[0] == "cgroup2"
        first = kinds[0] == "cgroup" and "cpu" in kinds[2].split(",")
        if (unified or first) and unified in paths:
            mount = root / places[4].lstrip("/")
            group = _below(paths[unified], places[3])
            for level in (group, *group.parents):
                yield mount / level, unified


def _below(path: str, top: str) -> PurePosixPath:
    """``path`` seen from a mount that shows the hierarchy from ``top`` on; what lies outside, as
    from within a container, is the mount's own top."""
    whole, seen = PurePosixPath(path), PurePosixPath(top)
    if ".." in whole.parts or not whole.is_relative_to(seen):
        return PurePosixPath()
    return whole.relative_to(seen)


def _quota(folder: Path, unified: bool) -> float | None:
    """Version 2: "QUOTA PERIOD" in microseconds, "max" for none; version 1: a file each, -1."""
    if unified:
        words = _text(folder / "cpu.max").split()
    else:
        words = [_text(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
    try:
        quota, period = map(int, words)
    except ValueError:
        return None
    return quota / period if quota > 0 and period > 0 else None


def _text(path: Path) -> str:
    """Without white space at its ends; "" where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
