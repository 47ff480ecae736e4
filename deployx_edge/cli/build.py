"""``deployx-edge build``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployx_edge.cli.options import JsonOption, complete_target

_MORE_THAN_ONE = "--explain, --export and --import exclude each other."


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
        str, typer.Option("--toolchain", metavar="zig|gnu", help="The compiler to use.")
    ] = "zig",
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, help="Compiles at once. Default: all cores."),
    ] = None,
    clean: Annotated[
        bool, typer.Option("--clean", help="Forget earlier builds and compile everything.")
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
    from deployx_edge.cli import build_report
    from deployx_edge.cli.console import print_json, print_report, show_progress
    from deployx_edge.errors import UsageError
    from deployx_edge.target import find_target
    from deployx_edge.workflows import build as story

    if sum((explain, export_file is not None, import_file is not None)) > 1:
        raise UsageError(_MORE_THAN_ONE)
    chosen = find_target(target)
    options = story.BuildOptions(toolchain=toolchain, clean=clean)
    if jobs is not None:
        options = story.BuildOptions(toolchain=toolchain, clean=clean, jobs=jobs)
    if explain:
        plan = story.explain(chosen, options)
        if json:
            print_json(build_report.plan_document(*plan))
        else:
            typer.echo(build_report.plan_text(*plan))
        return
    with show_progress() as progress:
        if import_file is not None:
            runtime = story.import_target(chosen, import_file)
        else:
            runtime = story.build_target(chosen, options, progress)
            if export_file is not None:
                story.export_target(runtime, export_file)
    if json:
        print_json(build_report.runtime_document(runtime))
    else:
        print_report(build_report.runtime_table(runtime))
