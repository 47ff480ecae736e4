"""``deployx-edge compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployx_edge.cli.options import JsonOption, PictureOption


def compare(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The source, an .onnx file.")],
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="What was made of it.")],
    picture: PictureOption = None,
    json: JsonOption = False,
) -> None:
    """Show layer by layer how far a bundle is from its source. Exit code 12 where it differs.

    Example: deployx-edge compare examples/digits/digits_cnn.onnx digits
    """
    from deployx_edge.cli.console import draw_report, print_json, print_report, show_progress
    from deployx_edge.comparison import first_difference
    from deployx_edge.errors import VerificationError
    from deployx_edge.report.comparison import comparison_document, comparison_report
    from deployx_edge.workflows.compare import compare as compare_workflow

    with show_progress() as progress:
        found = compare_workflow(model, bundle, progress=progress)
    title = f"{found.bundle} beside {found.source}, {found.inputs} inputs"
    report = comparison_report(title, found.precision, found.layers)
    if json:
        print_json(comparison_document(title, found.precision, found.layers))
    else:
        print_report(report)
    if picture:
        draw_report(report, picture)
    first = first_difference(found.layers)
    if first is not None:
        raise VerificationError(
            f"'{first.check.output}' of the layer '{first.layer}' ({first.type}) is the first to "
            "differ from the source.",
            remedy="Convert the model again; where that does not help, report the operator.",
        )
