"""``deployx-edge extract``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployx_edge.cli.options import JsonOption


def extract(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="An .onnx file.")],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="PART.onnx", help="The file that the part is written to."
        ),
    ],
    start: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="TENSOR|MARK",
            help="The place where it begins: a tensor, or a mark like detector:output; by "
            "default the model's inputs.",
        ),
    ] = None,
    end: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            metavar="TENSOR|MARK",
            help="The place where it ends: a tensor, or a mark like head:input, head[1]:input (of "
            "its second call) or head:input/boxes; by default the model's outputs.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Cut a part out of a model by tensors or marks; --from and --to may be repeated.

    Marks are what @mark leaves in a model exported from PyTorch.

    Example: deployx-edge extract model.onnx --from detector:output --to head:input -o neck.onnx
    """
    from deployx_edge.cli.console import print_json, print_report
    from deployx_edge.workflows.convert.extract import extract_model

    found = extract_model(model, output, starts=start or (), ends=end or ())
    if json:
        print_json(
            {
                "kind": "extraction",
                "file": str(output),
                "inputs": found.inputs,
                "outputs": found.outputs,
                "needless": found.needless,
            }
        )
        return
    nodes = len(found.model.graph.node)
    print_report(
        f"{output}: {nodes} nodes from {', '.join(found.inputs)} to {', '.join(found.outputs)}"
    )
    for name in found.needless:
        print_report(f"'{name}' was not needed and is not an input of it.")
