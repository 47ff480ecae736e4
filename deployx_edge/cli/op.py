"""``deployx-edge op``: operators of our own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployx_edge.cli.options import JsonOption, OptionalDeviceOption
from deployx_edge.runtime import DEFAULT_RUNTIME


def list_operators(json: JsonOption = False) -> None:
    """Show the operators of our own: names in models, runtimes, builds, and where each was tested.

    Example: deployx-edge op list
    """
    from dataclasses import asdict

    from deployx_edge.cli.console import print_json, print_report
    from deployx_edge.report.operators import operators_report
    from deployx_edge.seen import operators_seen
    from deployx_edge.workflows.operators.listing import list_rows

    rows, seen = list_rows(), operators_seen()
    if json:
        operators = [asdict(row) for row in rows]
        print_json({"kind": "operators", "operators": operators, "seen": list(map(asdict, seen))})
    else:
        print_report(operators_report(rows, seen))


def new(
    name: Annotated[str, typer.Argument(help="Its name, in lower case letters, digits and _.")],
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder",
            help="The folder of operators to write it into; by default that of the project's "
            "settings, or my_ops.",
        ),
    ] = None,
    operator: Annotated[
        str,
        typer.Option(
            "--operator",
            metavar="DOMAIN::NAME",
            help="What models call it; by default made from the folder's name and its own.",
        ),
    ] = "",
    runtime: Annotated[
        str | None,
        typer.Option(
            "--runtime",
            metavar="NAME[,…]",
            help=f"The runtimes to write it for, of those whose workers take operators; by default "
            f"{DEFAULT_RUNTIME}.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write a new operator that is right as it is, for you to change, and name its folder.

    Example: deployx-edge op new my_shift --folder my_ops
    """
    from dataclasses import asdict

    from deployx_edge.cli.console import print_json, print_report
    from deployx_edge.cli.option_values import runtime_words
    from deployx_edge.report.operators import new_operator_text
    from deployx_edge.workflows.operators.new import new_operator

    made = new_operator(name, folder=folder, title=operator, runtimes=runtime_words(runtime))
    if json:
        print_json({"kind": "operator-new", **asdict(made)})
    else:
        print_report(new_operator_text(made))


def test(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Operators to test; without any, all.", metavar="[NAME]…"),
    ] = None,
    device: OptionalDeviceOption = None,
    json: JsonOption = False,
) -> None:
    """Hold each runtime's results against the reference, here and on a board, and time them there.

    A device's times are taken around the runtime's own call; local: is this computer. Exit code 12
    where a result is wrong.

    Example: deployx-edge op test top_k --device virtual:linux-arm64
    """
    from dataclasses import asdict

    from deployx_edge.cli.console import print_json, print_report, show_progress
    from deployx_edge.report.operators import outcomes_table
    from deployx_edge.workflows.operators.testing import check_operators

    with show_progress() as progress:
        outcomes = check_operators(names or (), device, progress)
    if json:
        print_json({"kind": "operator-test", "outcomes": [asdict(each) for each in outcomes]})
    else:
        print_report(outcomes_table(outcomes))
    if any(each.verdict != "right" for each in outcomes):
        raise typer.Exit(12)


def doctor(json: JsonOption = False) -> None:
    """Say whether every operator's folder is whole, and which builds lack which of them.

    Exit code 4 when something is missing.

    Example: deployx-edge op doctor
    """
    from dataclasses import asdict

    from deployx_edge.cli.console import print_json, print_report
    from deployx_edge.report.doctor import doctor_table
    from deployx_edge.workflows.operators.listing import examine_operators

    checks = examine_operators()
    if json:
        print_json({"kind": "operator-doctor", "checks": [asdict(each) for each in checks]})
    else:
        print_report(doctor_table(checks))
    if any(each.needed and not each.present for each in checks):
        raise typer.Exit(4)
