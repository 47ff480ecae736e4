"""``deployx-edge sources``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployx_edge.cli.options import JsonOption


def list_sources(json: JsonOption = False) -> None:
    """Show the source archives that builds need, their sha256, and which are here.

    Example: deployx-edge sources list
    """
    from deployx_edge.cli.build_report import sources_document, sources_table
    from deployx_edge.cli.console import print_json, print_report
    from deployx_edge.workflows.build.sources import list_sources as listed

    archives = listed()
    if json:
        print_json(sources_document(archives))
    else:
        print_report(sources_table(archives))


def fetch(json: JsonOption = False) -> None:
    """Fetch the missing archives, through pip's and apt's own settings or from upstream.

    Example: deployx-edge sources fetch
    """
    from deployx_edge.cli.build_report import sources_document
    from deployx_edge.cli.console import print_json, print_report, show_progress
    from deployx_edge.workflows.build.sources import fetch_sources

    with show_progress() as progress:
        fetched = fetch_sources(progress)
    if json:
        print_json(sources_document(fetched))
    else:
        names = ", ".join(archive.filename for archive in fetched)
        print_report(f"Fetched {names}" if names else "All archives are here")


def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An archive; any name will do.")],
    json: JsonOption = False,
) -> None:
    """Take an archive that was brought by hand, for machines without a network.

    Example: deployx-edge sources add grpc_1.51.1.orig.tar.gz
    """
    from deployx_edge.cli.build_report import sources_document
    from deployx_edge.cli.console import print_json, print_report
    from deployx_edge.workflows.build.sources import add_source

    archive = add_source(file)
    if json:
        print_json(sources_document((archive,)))
    else:
        print_report(f"Added {archive.filename}, for {', '.join(archive.packages)}")
