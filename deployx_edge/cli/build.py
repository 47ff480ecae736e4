"""``deployx-edge build``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployx_edge.cli.options import JsonOption, complete_target

if TYPE_CHECKING:
    from deployx_edge.target import Target
    from deployx_edge.workflows.build.build import BuildOptions

_MORE_THAN_ONE = "--explain, --if-cached, --export and --import exclude each other."


def build(
    target: Annotated[
        str,
        typer.Option(
            "--target",
            "-t",
            metavar="ID",
            help="See 'deployx-edge targets'.",
            autocompletion=complete_target,
        ),
    ],
    toolchain: Annotated[
        str,
        typer.Option(
            "--toolchain",
            metavar="auto|zig|gnu|ndk",
            help="The compiler. auto: an NDK for Android where one is configured, else zig.",
        ),
    ] = "auto",
    jetpack: Annotated[
        str,
        typer.Option(
            "--jetpack",
            metavar="5|6",
            help="The JetPack release whose glibc a Jetson's workers need; by default the "
            "sysroot's, else 5.",
        ),
    ] = "",
    sysroot: Annotated[
        Path | None,
        typer.Option(
            "--sysroot",
            metavar="DIR",
            help="Compile workers for a board's own libraries with what 'sysroot pull' copied from "
            "it, or with a folder that has include/ and lib/.",
        ),
    ] = None,
    runtime: Annotated[
        list[str] | None,
        typer.Option(
            "--runtime",
            metavar="NAME",
            help="Make sure that the build has that runtime's worker: one that is compiled with a "
            "board's own headers is left out without them; may be repeated.",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            help="Compiles at once. Default: all cores that are ours.",
        ),
    ] = None,
    clean: Annotated[
        bool, typer.Option("--clean", help="Forget earlier builds and compile everything.")
    ] = False,
    if_cached: Annotated[
        bool,
        typer.Option(
            "--if-cached", help="Build only where every package was compiled before, else say so."
        ),
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Print the commands in their order; run none.")
    ] = False,
    export_file: Annotated[
        Path | None,
        typer.Option("--export", metavar="FILE", help="Write the finished build to a .tar.gz."),
    ] = None,
    import_file: Annotated[
        Path | None,
        typer.Option("--import", metavar="FILE", help="Take an exported build; compile nothing."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Compile the agent and the workers for a target into dist/TARGET/.

    Does nothing where they are up to date.

    Example: deployx-edge build --target linux-arm64
    """
    from deployx_edge.errors import UsageError
    from deployx_edge.target import find_target
    from deployx_edge.workflows.build import build as story

    if sum((explain, if_cached, export_file is not None, import_file is not None)) > 1:
        raise UsageError(_MORE_THAN_ONE)
    chosen = find_target(target)
    options = story.BuildOptions(
        toolchain=toolchain,
        jetpack=jetpack,
        sysroot=sysroot.resolve() if sysroot is not None else None,
        clean=clean,
        runtimes=tuple(runtime or ()),
    )
    if jobs is not None:
        options = replace(options, jobs=jobs)
    if explain:
        _print_plan(chosen, options, json)
    elif not if_cached or _is_cached(chosen, options, json):
        _build(chosen, options, export_file, import_file, json)


def _build(
    target: Target,
    options: BuildOptions,
    export_file: Path | None,
    import_file: Path | None,
    json: bool,
) -> None:
    from deployx_edge.cli import build_report
    from deployx_edge.cli.console import print_json, print_report, show_progress
    from deployx_edge.workflows.build import build as story

    with show_progress() as progress:
        if import_file is not None:
            runtime = story.import_target(target, import_file)
        else:
            runtime = story.build_target(target, options, progress)
            if export_file is not None:
                story.export_target(runtime, export_file)
    if json:
        print_json(build_report.runtime_document(runtime))
    else:
        print_report(build_report.runtime_table(runtime))


def _print_plan(target: Target, options: BuildOptions, json: bool) -> None:
    from deployx_edge.cli import build_report
    from deployx_edge.cli.console import print_json
    from deployx_edge.workflows.build.build import explain

    plan = explain(target, options)
    if json:
        print_json(build_report.plan_document(plan))
    else:
        typer.echo(build_report.plan_text(plan))


def _is_cached(target: Target, options: BuildOptions, json: bool) -> bool:
    """Whether a build would compile no package; says so where it would."""
    from deployx_edge.cli.console import print_json, show_progress
    from deployx_edge.workflows.build.build import uncompiled_packages

    with show_progress() as progress:
        missing = uncompiled_packages(target, options, progress)
    if missing and json:
        print_json({"kind": "uncompiled", "target": target.id, "packages": missing})
    elif missing:
        typer.echo(f"{target.id} is left as it is: {', '.join(missing)} would be compiled first.")
    return not missing
