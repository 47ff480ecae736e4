"""NVIDIA's JetPack releases, read from ``toolchains/jetpack.toml``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from deployx_edge.errors import UsageError
from deployx_edge.resources import data_folder
from deployx_edge.versions import numbers

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True, kw_only=True)
class JetPack:
    """``glibc`` is the version on its boards; ``paths`` are shell patterns of what linking
    against CUDA, cuDNN and TensorRT needs there, absolute; ``runtimes`` are the versions of
    runtimes that come with it, by name ("8.5")."""

    id: str
    description: str
    glibc: str
    paths: tuple[str, ...]
    runtimes: Mapping[str, tuple[str, ...]]


@cache
def jetpacks() -> dict[str, JetPack]:
    """All releases by number, the oldest first."""
    text = (data_folder("toolchains") / "jetpack.toml").read_text(encoding="utf-8")
    rows = tomllib.loads(text)["jetpack"]
    return {id: _jetpack(id, row) for id, row in rows.items()}


def _jetpack(id: str, row: dict[str, Any]) -> JetPack:
    runtimes = {name: tuple(versions) for name, versions in row["runtimes"].items()}
    return JetPack(id=id, **{**row, "paths": tuple(row["paths"]), "runtimes": runtimes})


def find_jetpack(name: str) -> JetPack:
    """The release of that number; UsageError where there is none."""
    try:
        return jetpacks()[name]
    except KeyError:
        known = ", ".join(f"{one.id} ({one.description})" for one in jetpacks().values())
        raise UsageError(f"There is no JetPack '{name}'.", remedy=f"Known: {known}.") from None


def jetpack_of_glibc(version: str) -> JetPack:
    """The newest release whose binaries run with that glibc, the oldest where none does."""
    known = list(jetpacks().values())
    fitting = [one for one in known if numbers(one.glibc) <= numbers(version)]
    return fitting[-1] if fitting else known[0]
