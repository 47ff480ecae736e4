"""``deployx-edge inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployx_edge.cli.options import InputShapeOption, JsonOption


def inspect(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="An .onnx file.")],
    input_shape: InputShapeOption = None,
    json: JsonOption = False,
) -> None:
    """Show what a model is made of, and whether ncnn can run each of its operators.

    Example: deployx-edge inspect examples/digits/digits_cnn.onnx
    """
    from deployx_edge.cli.console import print_json, print_report, show_progress
    from deployx_edge.report.inspection import inspection_document, inspection_tables
    from deployx_edge.workflows.inspect import inspect_model

    with show_progress() as progress:
        found = inspect_model(model, input_shapes=tuple(input_shape or ()), progress=progress)
    if json:
        print_json(inspection_document(found))
    else:
        print_report(inspection_tables(found))
