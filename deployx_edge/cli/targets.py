"""``deployx-edge targets``."""

from __future__ import annotations

from deployx_edge.cli.options import JsonOption


def targets(json: JsonOption = False) -> None:
    """Show what binaries can be built for, and what is built.

    Example: deployx-edge targets
    """
    from deployx_edge.cli.build_report import targets_document, targets_table
    from deployx_edge.cli.console import print_json, print_report
    from deployx_edge.target import targets as known
    from deployx_edge.workflows.build.built import listed

    rows = [(target, listed(target)) for target in known().values()]
    if json:
        print_json(targets_document(rows))
    else:
        print_report(targets_table(rows))
