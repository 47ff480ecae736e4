"""``deployx-edge doctor``."""

from __future__ import annotations

import typer

from deployx_edge.cli.options import JsonOption


def doctor(json: JsonOption = False) -> None:
    """Say which tools, packages, builds and devices are there, and how to get the rest.

    Exit code 4 when something is missing without which nothing works.

    Example: deployx-edge doctor
    """
    from dataclasses import asdict

    from deployx_edge.cli.console import print_json, print_report
    from deployx_edge.report.doctor import doctor_table
    from deployx_edge.workflows.boards.doctor import examine

    checks = examine()
    if json:
        print_json({"kind": "doctor", "checks": [asdict(check) for check in checks]})
    else:
        print_report(doctor_table(checks))
    if any(check.needed and not check.present for check in checks):
        raise typer.Exit(4)
