"""Build the agent and the workers of one target, or find that they are built."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import Any

from deployx_edge import __version__
from deployx_edge.crossbuild import builder, conan_home, packages
from deployx_edge.crossbuild.builder import finished
from deployx_edge.crossbuild.commands import Command, run_command
from deployx_edge.crossbuild.distribution import export_build, import_build
from deployx_edge.crossbuild.events import BuildEvent, OnEvent, PackageStarted, StepStarted
from deployx_edge.crossbuild.fingerprint import build_fingerprint
from deployx_edge.crossbuild.plan import BuildOptions, plan_build
from deployx_edge.crossbuild.runtime import Runtime, read_runtime, verify_files
from deployx_edge.crossbuild.sources import Archive
from deployx_edge.crossbuild.toolchain import find_toolchain, zig_toolchain
from deployx_edge.errors import BuildError, UsageError
from deployx_edge.resources import data_folder, dist_folder
from deployx_edge.target import Target
from deployx_edge.workflows.progress import Progress, Stage, silent

__all__ = [
    "BuildOptions",
    "build_target",
    "built",
    "ensure_built",
    "explain",
    "export_target",
    "import_target",
    "package_prefix",
    "write_lockfile",
]


# Several boards of one target ask for the same build at once.
_ONE_AT_A_TIME = threading.Lock()


def build_target(
    target: Target, options: BuildOptions | None = None, on_event: Progress = silent
) -> Runtime:
    """Bring ``dist/<target>/`` up to date; does nothing where it is.

    Raises MissingToolError (no compiler), SourceError (an archive cannot be had) or
    BuildError (a compile or a check failed); ``dist/<target>/`` is then as it was.
    """
    options = options or BuildOptions()
    if not options.clean:
        done = _up_to_date(target, options.toolchain)
        if done is not None:
            return done
    return builder.execute(plan_build(target, options), options, _stages(on_event))


def ensure_built(target: Target, on_event: Progress = silent) -> Runtime:
    """What to push to a board of that target, built first where it is missing or stale.

    A build that was imported serves as long as it is of this version, since it was taken
    to save the compile. A build is renewed by the toolchain that made it, zig by default.
    """
    with _ONE_AT_A_TIME:
        return _present_or_built(target, on_event)


def _present_or_built(target: Target, on_event: Progress) -> Runtime:
    present = built(target)
    if present is None:
        return build_target(target, on_event=on_event)
    if present.imported and present.version == __version__:
        return present
    return build_target(target, BuildOptions(toolchain=present.toolchain), on_event)


def explain(
    target: Target, options: BuildOptions
) -> tuple[tuple[Archive, ...], tuple[Command, ...]]:
    """The archives that would be fetched and the commands that would run, in order."""
    if not options.clean and _up_to_date(target, options.toolchain) is not None:
        return (), ()
    plan = plan_build(target, options)
    return tuple(archive for archive in plan.archives if not archive.present), plan.commands()


def built(target: Target) -> Runtime | None:
    """What lies in ``dist/<target>/``, up to date or not; None where nothing whole does."""
    try:
        runtime = read_runtime(dist_folder(target.id))
        verify_files(runtime)
    except BuildError:
        return None
    return runtime


def export_target(runtime: Runtime, file: Path) -> None:
    """Write a finished build to ``file`` for a computer that shall not compile."""
    export_build(runtime, file)


def import_target(target: Target, file: Path) -> Runtime:
    """Take a build that another computer exported; see ``ensure_built``."""
    if not file.is_file():
        raise UsageError(f"There is no file {file}.", remedy="Name an exported build.")
    return import_build(file, target, dist_folder(target.id))


def package_prefix(
    target: Target, name: str, options: BuildOptions, on_event: Progress = silent
) -> Path:
    """Compile one worker's package alone; its folder, for CMAKE_PREFIX_PATH.

    For builds of ours that do not go through Conan, such as the C++ tests under sanitizers.
    """
    part = f"worker_{name}"
    if part not in packages.PARTS:
        raise UsageError(f"There is no worker for '{name}'.", remedy="Known: ncnn.")
    return builder.build_package(
        target, find_toolchain(target, options.toolchain), name, part, options, _stages(on_event)
    )


def write_lockfile(output: Path | None = None) -> Path:
    """Pin the graph as the recipes are now, by default into ``device_agent/conan.lock``."""
    with tempfile.TemporaryDirectory(prefix="deployx-lock-") as folder:
        fresh = Path(folder) / "conan.lock"
        log = Path(folder) / "conan.log"
        for command in (
            *conan_home.setup_commands(),
            packages.lock_command(zig_toolchain("linux-x64", "linux-x64"), output=fresh),
        ):
            run_command(command, log, lambda event: None)
        text = packages.without_times(fresh.read_text(encoding="utf-8"))
    path = output or data_folder("device_agent") / "conan.lock"
    path.write_text(text, encoding="utf-8")
    return path


def _up_to_date(target: Target, toolchain: str) -> Runtime | None:
    chosen = find_toolchain(target, toolchain)
    return finished(target.id, build_fingerprint(target, chosen, packages.PARTS))


def _stages(on_event: Progress) -> OnEvent:
    """Steps and packages open a new stage of the story; the rest goes on within it."""

    def tell(event: BuildEvent) -> None:
        opens: Any = isinstance(event, StepStarted | PackageStarted)
        on_event(Stage(text=event.text) if opens else event)

    return tell
