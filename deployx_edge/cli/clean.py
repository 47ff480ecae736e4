"""``deployx-edge clean``."""

from __future__ import annotations

from typing import Annotated

import typer

from deployx_edge.cli.options import complete_device


def clean(
    parts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PART]...",
            help="What to delete: bundles, virtual, dist, build, packages, sources, environments; "
            "by default the first three.",
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            "-d",
            metavar="NAME|URI",
            help="Clean a board instead.",
            autocompletion=complete_device,
        ),
    ] = None,
) -> None:
    """Free the disk of what the tool made: on this computer, or everything on a board.

    Example: deployx-edge clean --device pi
    """
    from deployx_edge.cli.console import print_report
    from deployx_edge.config import load_config
    from deployx_edge.errors import UsageError
    from deployx_edge.units import size
    from deployx_edge.workflows.boards.clean import clean_device, clean_host

    if device is not None:
        if parts:
            raise UsageError(
                "--device cleans everything of ours there; parts are for this computer."
            )
        chosen = load_config().find_device(device)
        print_report(f"Removed {clean_device(chosen)} on {chosen.name}")
        return
    freed = clean_host(tuple(parts or ("bundles", "virtual", "dist")))
    print_report(f"Freed {size(freed)}")
