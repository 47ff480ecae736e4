"""Targets: what a binary is built for, read from ``toolchains/targets.toml``."""

from __future__ import annotations

import difflib
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any

from deployx_edge.errors import UsageError
from deployx_edge.resources import data_folder

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True, kw_only=True)
class Target:
    """One row of ``targets.toml``.

    ``machines`` are the words that ``uname -m`` may answer on such a board;
    ``elf_machine`` is e_machine's name in the ELF header (``EM_AARCH64``);
    ``qemu`` the name of the user-mode emulator; ``qemu_cpu`` its default processor;
    ``qemu_libraries`` the folder in which Debian's cross GCC keeps the target's shared
    libraries, "" where they are this computer's own. ``system`` is what runs on the board,
    ``linux`` or ``android``; ``aliases`` are short names. ``agent_toolchain`` and
    ``worker_toolchain`` name the toolchain file and profile, the target's own where the row
    does not say: a target that takes another one's shares its packages. ``worker_libc`` is
    ``libc`` again, or ``glibc`` where workers load the board's own libraries. ``runtimes`` are
    those whose workers a build has; ``loading_toolchain`` names the toolchain file and profile
    for workers that load their runtime's shared library, "" where a target has none of them.
    """

    id: str
    description: str
    machines: tuple[str, ...]
    elf_machine: str
    libc: str
    qemu: str
    qemu_cpu: str
    qemu_libraries: str
    runtimes: tuple[str, ...]
    agent_toolchain: str
    worker_toolchain: str
    worker_libc: str
    loading_toolchain: str = ""
    system: str = "linux"
    aliases: tuple[str, ...] = ()

    @property
    def dynamic_workers(self) -> bool:
        """Whether workers need the board's C library, and load its other libraries."""
        return self.worker_libc == "glibc"


@cache
def targets() -> dict[str, Target]:
    """All targets by id."""
    text = (data_folder("toolchains") / "targets.toml").read_text(encoding="utf-8")
    rows = tomllib.loads(text)["targets"]
    return {id: _target(id, row) for id, row in rows.items()}


def _target(id: str, row: dict[str, Any]) -> Target:
    agent = row.get("agent_toolchain", id)
    defaults = {"agent_toolchain": agent, "worker_toolchain": agent, "worker_libc": row["libc"]}
    lists = {name: tuple(row.get(name, ())) for name in ("machines", "aliases", "runtimes")}
    return Target(id=id, **{**defaults, **row, **lists})


def find_target(name: str) -> Target:
    """The target of that id or short name; UsageError with the nearest where there is none."""
    known = {name: target for target in targets().values() for name in (target.id, *target.aliases)}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(known)}."
    raise UsageError(f"There is no target '{name}'.", remedy=hint)


def target_of_machine(machine: str, system: str = "linux") -> Target | None:
    """The target whose boards answer ``machine`` to ``uname -m``.

    Of several the first row: what is for one maker's boards is only taken by its name.
    """
    for target in targets().values():
        if machine in target.machines and system == target.system:
            return target
    return None
