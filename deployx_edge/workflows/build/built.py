"""The build of a target as it lies there; apart, as looking takes nothing of what builds."""

from __future__ import annotations

from deployx_edge.crossbuild.runtime import Runtime, has_sizes, read_runtime, verify_files
from deployx_edge.errors import BuildError
from deployx_edge.resources import dist_folder
from deployx_edge.target import Target


def built(target: Target) -> Runtime | None:
    """What lies in ``dist/<target>/``, up to date or not; None where nothing whole does."""
    try:
        runtime = read_runtime(dist_folder(target.id))
        verify_files(runtime)
    except BuildError:
        return None
    return runtime


def listed(target: Target) -> Runtime | None:
    """Like ``built``, but the files are only looked for, not read: for what only names a build.

    To read all targets' files takes longer than everything else that a list does.
    """
    try:
        runtime = read_runtime(dist_folder(target.id))
    except BuildError:
        return None
    return runtime if has_sizes(runtime) else None
