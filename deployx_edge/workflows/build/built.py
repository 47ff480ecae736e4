"""The build of a target as it lies there; apart, as looking takes nothing of what builds."""

from __future__ import annotations

import threading
from pathlib import Path

from deployx_edge import __version__
from deployx_edge.crossbuild.finished import (
    Build,
    finished,
    has_sizes,
    read_build,
    verify_files,
)
from deployx_edge.crossbuild.options import BuildOptions
from deployx_edge.errors import BuildError
from deployx_edge.progress import Progress, silent
from deployx_edge.resources import dist_folder
from deployx_edge.target import Target

# Several boards of one target ask for the same build at once.
_ONE_AT_A_TIME = threading.Lock()


def ensure_built(target: Target, on_event: Progress = silent) -> Build:
    """What to push to a board of that target, built first where it is missing or stale.

    A build that was imported serves as long as it is of this version, since it was taken
    to save the compile. A build is renewed by the toolchain that made it, for the same board.
    """
    with _ONE_AT_A_TIME:
        present = built(target)
        if present is not None and present.imported and present.version == __version__:
            return present
        options = BuildOptions() if present is None else _options_of(present)
        done = up_to_date(target, options)
        if done is not None:
            return done
        from deployx_edge.workflows.build.build import build_target

        return build_target(target, options, on_event)


def up_to_date(target: Target, options: BuildOptions) -> Build | None:
    """The build that these options make, where it lies there whole; None where it is to be made."""
    # Lists look for builds, and need nothing of what tells one from another.
    from deployx_edge.crossbuild.fingerprint import build_fingerprint
    from deployx_edge.crossbuild.selection import select

    return finished(target.id, build_fingerprint(target, select(target, options)))


def built(target: Target) -> Build | None:
    """What lies in ``dist/<target>/``, up to date or not; None where nothing whole does."""
    try:
        build = read_build(dist_folder(target.id))
        verify_files(build)
    except BuildError:
        return None
    return build


def listed(target: Target) -> Build | None:
    """Like ``built``, but the files are only looked for, not read: for what only names a build.

    To read all targets' files takes longer than everything else that a list does.
    """
    try:
        build = read_build(dist_folder(target.id))
    except BuildError:
        return None
    return build if has_sizes(build) else None


def _options_of(build: Build) -> BuildOptions:
    """What asks for the same build again."""
    sysroot = Path(build.sysroot) if build.sysroot else None
    return BuildOptions(toolchain=build.toolchain, jetpack=build.jetpack, sysroot=sysroot)
