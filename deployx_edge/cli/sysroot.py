"""``deployx-edge sysroot``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployx_edge.cli.options import DeviceOption, JsonOption


def pull(
    device: DeviceOption,
    jetpack: Annotated[
        str,
        typer.Option(
            "--jetpack",
            metavar="5|6",
            help="Copy what this release's list names. Default: asked from the board.",
        ),
    ] = "",
    path: Annotated[
        list[str] | None,
        typer.Option(
            "--path",
            metavar="PATTERN",
            help="Copy this path of the board too (a shell pattern); may be repeated.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="The folder to write; by default sysroot-DEVICE."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Copy from a board what linking for it needs: headers and libraries, links resolved.

    A second pull moves only what is missing or has changed; an interrupted one goes on.

    Example: deployx-edge sysroot pull --device jetson
    """
    import re

    from deployx_edge.cli.console import print_json, print_report, show_progress
    from deployx_edge.cli.sysroot_report import pull_document, pull_text
    from deployx_edge.config import load_config
    from deployx_edge.workflows.build.sysroot import pull_sysroot

    chosen = load_config().find_device(device)
    folder = output or Path("sysroot-" + re.sub(r"[^A-Za-z0-9._-]+", "-", chosen.name))
    with show_progress() as progress:
        done = pull_sysroot(
            chosen, folder.resolve(), jetpack=jetpack, paths=path or (), progress=progress
        )
    if json:
        print_json(pull_document(done))
    else:
        print_report(pull_text(done))
