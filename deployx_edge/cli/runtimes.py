"""``deployx-edge runtimes``."""

from __future__ import annotations

from typing import Annotated

import typer

from deployx_edge.cli.options import JsonOption
from deployx_edge.runtime import RUNTIMES


def _complete_runtime(incomplete: str) -> list[str]:
    return [name for name in RUNTIMES if name.startswith(incomplete)]


def list_runtimes(json: JsonOption = False) -> None:
    """Show the runtimes: what is here of each, which boards run it, and what was seen to work.

    Example: deployx-edge runtimes list
    """
    from deployx_edge.cli.console import print_json, print_report
    from deployx_edge.report.runtimes import runtimes_document, runtimes_report
    from deployx_edge.workflows.build.runtimes import runtime_states

    states = runtime_states()
    if json:
        print_json(runtimes_document(states))
    else:
        print_report(runtimes_report(states))


def doctor(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="The runtimes that have to be there; by default all are looked at, and none has.",
            autocompletion=_complete_runtime,
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Say what each runtime needs on this computer, whether it is there, and how to get it.

    Exit code 4 when a runtime that was named lacks something.

    Example: deployx-edge runtimes doctor
    """
    from deployx_edge.cli.console import print_json, print_report
    from deployx_edge.report.runtimes import needs_table, runtimes_document
    from deployx_edge.workflows.build.runtimes import runtime_states

    states = runtime_states(names or ())
    if json:
        print_json(runtimes_document(states))
    else:
        print_report(needs_table(states))
    if names and not all(state.is_ready for state in states):
        raise typer.Exit(4)


def install(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="The runtime's name.", autocompletion=_complete_runtime
        ),
    ],
) -> None:
    """Install what a runtime needs on this computer, where that is an environment of its own.

    Runtimes that lie beside deployx-edge are answered with their pip command. What an interrupted
    installation has downloaded is not downloaded again.

    Example: deployx-edge runtimes install ncnn
    """
    from deployx_edge.cli.console import print_report, show_progress
    from deployx_edge.workflows.build.runtimes import install_runtime

    with show_progress() as progress:
        said = install_runtime(name, progress=progress)
    print_report(said)
