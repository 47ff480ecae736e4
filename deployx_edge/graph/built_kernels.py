"""Whether the build for this computer has operators of our own as their folders have them now."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

from deployx_edge.errors import MissingToolError
from deployx_edge.files import SMALL, read_json
from deployx_edge.operator_facts import all_operators, kernels_digest
from deployx_edge.resources import dist_folder, host_target_id

_BUILD_FILE = "build.json"
BUILD_REMEDY = f"Run 'deployx-edge build --target {host_target_id()}'."


def refuse_stale(runtime: str, names: Collection[str]) -> None:
    """MissingToolError where the runtime's worker was built without these operators, or from other
    kernels of theirs: it would compute what their folders no longer say. A build that does not tell
    is believed."""
    built: dict[str, str] | None = None
    with suppress(OSError, ValueError, LookupError, TypeError):
        document = read_json(dist_folder(host_target_id()) / _BUILD_FILE, most=SMALL)
        for file in document["files"]:
            if file["role"] == "worker" and file["runtime"] == runtime:
                built = dict(zip(file["operators"], file["kernels"], strict=True))
    if built is None:
        return
    known = all_operators()
    for name in sorted(names):
        folder = f" ({known[name].folder})" if name in known else ""
        if name not in built:
            raise MissingToolError(
                f"The worker of {runtime} that is built for {host_target_id()} lacks the operator "
                f"{name}{folder}, which runs in it here.",
                remedy=BUILD_REMEDY,
            )
        if name in known and kernels_digest(known[name]) != built[name]:
            raise MissingToolError(
                f"The operator {name} ({known[name].folder}), which runs here in the worker for "
                f"{host_target_id()}, is not the one that it was built with: it was changed since, "
                "or another project's of that name was built.",
                remedy=BUILD_REMEDY,
            )
