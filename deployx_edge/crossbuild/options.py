"""What is asked of a build."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from deployx_edge.processors import usable_processors


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """``toolchain`` is one of ``selection.KINDS``; ``jetpack`` the JetPack release whose glibc
    the workers of a Jetson are linked for ("" for the sysroot's, or the oldest); ``runtimes``
    those whose workers the build has to have, beside those that it always has;
    ``sysroot`` a folder that ``sysroot pull`` made; ``jobs`` compiles at once; ``clean``
    forgets what was built before and compiles the packages again."""

    toolchain: str = "auto"
    jetpack: str = ""
    sysroot: Path | None = None
    jobs: int = field(default_factory=usable_processors)
    clean: bool = False
    runtimes: tuple[str, ...] = ()
