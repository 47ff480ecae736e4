"""``deployx-edge inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployx_edge.cli.option_values import runtime_words, torch_options
from deployx_edge.cli.options import (
    AcceptFrozenOption,
    CheckpointOption,
    FactoryArgumentsOption,
    InputShapeOption,
    JsonOption,
    RuntimesOption,
    SamplesOption,
)


def inspect(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="An .onnx file, or one of PyTorch's models.")
    ],
    runtime: RuntimesOption = None,
    input_shape: InputShapeOption = None,
    checkpoint: CheckpointOption = None,
    factory_args: FactoryArgumentsOption = "{}",
    accept_frozen: AcceptFrozenOption = False,
    samples: SamplesOption = None,
    json: JsonOption = False,
) -> None:
    """Show what a model is made of, and how each of its operators goes in each runtime.

    It also runs it, for values beyond what half floats hold.

    Example: deployx-edge inspect examples/digits/digits_cnn.onnx
    """
    from deployx_edge.cli.console import print_json, print_report, show_progress
    from deployx_edge.report.inspection import inspection_document, inspection_tables
    from deployx_edge.workflows.convert.inspect import inspect_model

    with show_progress() as progress:
        found = inspect_model(
            model,
            runtimes=runtime_words(runtime),
            input_shapes=tuple(input_shape or ()),
            samples=samples or (),
            torch=torch_options(checkpoint, factory_args, "auto", None, "{}", accept_frozen),
            progress=progress,
        )
    if json:
        print_json(inspection_document(found))
    else:
        print_report(inspection_tables(found))
