"""Targets: what a binary is built for, read from ``toolchains/targets.toml``."""

from __future__ import annotations

import difflib
import sys
from dataclasses import dataclass
from functools import cache

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
    libraries, "" where they are this computer's own.
    """

    id: str
    description: str
    machines: tuple[str, ...]
    elf_machine: str
    libc: str
    qemu: str
    qemu_cpu: str
    qemu_libraries: str


@cache
def targets() -> dict[str, Target]:
    """All targets by id."""
    text = (data_folder("toolchains") / "targets.toml").read_text(encoding="utf-8")
    rows = tomllib.loads(text)["targets"]
    return {
        id: Target(id=id, **{**row, "machines": tuple(row["machines"])}) for id, row in rows.items()
    }


def find_target(name: str) -> Target:
    """The target of that id; UsageError with the nearest ids where there is none."""
    known = targets()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(known)}."
    raise UsageError(f"There is no target '{name}'.", remedy=hint)


def target_of_machine(machine: str) -> Target | None:
    """The Linux target whose boards answer ``machine`` to ``uname -m``."""
    for target in targets().values():
        if machine in target.machines:
            return target
    return None
