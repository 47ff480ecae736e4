"""Build the agent and the workers of one target, or find that they are built."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployx_edge.crossbuild import builder, conan_home, packages
from deployx_edge.crossbuild.commands import Command, run_command
from deployx_edge.crossbuild.distribution import export_build, import_build
from deployx_edge.crossbuild.events import BuildEvent, OnEvent, PackageStarted, StepStarted
from deployx_edge.crossbuild.finished import Build
from deployx_edge.crossbuild.options import BuildOptions
from deployx_edge.crossbuild.plan import plan_build
from deployx_edge.crossbuild.selection import select
from deployx_edge.crossbuild.sources import Archive
from deployx_edge.crossbuild.sysroot import OWN_ROOT
from deployx_edge.crossbuild.toolchain import zig_toolchain
from deployx_edge.errors import UsageError
from deployx_edge.progress import Progress, Stage, silent
from deployx_edge.resources import data_folder, dist_folder
from deployx_edge.target import Target
from deployx_edge.worker_facts import worker_facts
from deployx_edge.workflows.build.built import up_to_date

__all__ = [
    "BuildOptions",
    "Explanation",
    "build_target",
    "explain",
    "export_target",
    "import_target",
    "package_prefix",
    "uncompiled_packages",
    "write_lockfile",
]


def build_target(
    target: Target, options: BuildOptions | None = None, on_event: Progress = silent
) -> Build:
    """Bring ``dist/<target>/`` up to date; does nothing where it is.

    Raises MissingToolError (no compiler), SourceError (an archive is not available) or
    BuildError (a compile or a check failed); ``dist/<target>/`` is then as it was.
    """
    options = options or BuildOptions()
    if not options.clean:
        done = up_to_date(target, options)
        if done is not None:
            return done
    return builder.execute(plan_build(target, options), options, _stages(on_event))


def uncompiled_packages(
    target: Target, options: BuildOptions, on_event: Progress = silent
) -> tuple[str, ...]:
    """The packages that ``build_target`` would have to compile first: what takes minutes."""
    if up_to_date(target, options) is not None:
        return ()
    return builder.packages_to_compile(select(target, options), _stages(on_event))


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What ``build`` would do: which compiler and why, the archives that would be fetched and
    the commands that would run, in order."""

    toolchain: str
    archives: tuple[Archive, ...]
    commands: tuple[Command, ...]


def explain(target: Target, options: BuildOptions) -> Explanation:
    """What ``build_target`` would do; nothing is done."""
    if not options.clean and up_to_date(target, options) is not None:
        return Explanation(toolchain=select(target, options).text(), archives=(), commands=())
    plan = plan_build(target, options)
    return Explanation(
        toolchain=plan.selection.text(),
        archives=tuple(archive for archive in plan.archives if not archive.present),
        commands=plan.commands(),
    )


def export_target(build: Build, file: Path) -> None:
    """Write a finished build to ``file`` for a computer that shall not compile."""
    export_build(build, file)


def import_target(target: Target, file: Path) -> Build:
    """Take a build that another computer exported; see ``ensure_built``."""
    if not file.is_file():
        raise UsageError(f"There is no file {file}.", remedy="Name an exported build.")
    return import_build(file, target, dist_folder(target.id))


def package_prefix(
    target: Target,
    name: str,
    options: BuildOptions,
    on_event: Progress = silent,
    *,
    settings: tuple[str, ...] = (),
) -> Path:
    """Compile one runtime's package alone; its folder, for CMAKE_PREFIX_PATH.

    For builds of ours that do not go through Conan, such as the C++ tests under sanitizers.
    ``settings`` are options of packages, as Conan writes them. Where the runtime is the board's
    own, nothing is compiled, and that is where this computer's own headers lie.
    """
    if worker_facts(name).board is not None:
        return OWN_ROOT / "usr"
    toolchain = select(target, options).worker(name)
    return builder.build_package(target, toolchain, name, options, _stages(on_event), settings)


def write_lockfile(output: Path | None = None) -> Path:
    """Pin the graph as the recipes are now, by default into ``device_agent/conan.lock``."""
    with tempfile.TemporaryDirectory(prefix="deployx-lock-") as folder:
        fresh = Path(folder) / "conan.lock"
        log = Path(folder) / "conan.log"
        for command in (
            *conan_home.setup_commands(),
            packages.lock_command(zig_toolchain("linux-x64", objects="lock"), output=fresh),
        ):
            run_command(command, log, lambda event: None)
        text = packages.without_times(fresh.read_text(encoding="utf-8"))
    path = output or data_folder("device_agent") / "conan.lock"
    path.write_text(text, encoding="utf-8")
    return path


def _stages(on_event: Progress) -> OnEvent:
    """Steps and packages open a new stage of the story; the rest goes on within it."""

    def tell(event: BuildEvent) -> None:
        opens: Any = isinstance(event, StepStarted | PackageStarted)
        on_event(Stage(text=event.text) if opens else event)

    return tell
