"""``deployx-edge run``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployx_edge.cli.options import (
    AcceleratorOption,
    CoresOption,
    DeviceOption,
    JsonOption,
    MemoryLimitOption,
    ModelArgument,
    PrecisionOption,
    RuntimeOption,
    ThreadsOption,
    WatchdogOption,
    limits,
    single_run_options,
)


def run(
    model: ModelArgument,
    device: DeviceOption,
    input: Annotated[
        list[str],
        typer.Option(
            "--input",
            "-i",
            metavar="FILE|NAME:SHAPE",
            help="An .npz with arrays named like the inputs, a picture, or an input's shape where "
            "the model leaves it open; may be repeated.",
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE.npz", help="Where outputs go.")
    ] = None,
    dump: Annotated[
        list[str] | None,
        typer.Option("--dump", metavar="TENSOR", help="Also give a tensor inside the model."),
    ] = None,
    threads: ThreadsOption = "0",
    precision: PrecisionOption = "fp32",
    cores: CoresOption = "all",
    accelerator: AcceleratorOption = "cpu",
    option: RuntimeOption = None,
    memory_limit: MemoryLimitOption = 0,
    watchdog: WatchdogOption = 60.0,
    json: JsonOption = False,
) -> None:
    """Run a model on a board on inputs of your own.

    Example: deployx-edge run model.onnx -i photo.jpg --output scores.npz --device pi
    """
    from deployx_edge.cli.console import print_json, print_report, show_progress
    from deployx_edge.config import load_config
    from deployx_edge.report.outputs import outputs_document, outputs_table
    from deployx_edge.workflows.bundle import make_bundle
    from deployx_edge.workflows.run import read_inputs, split_inputs, write_outputs
    from deployx_edge.workflows.run import run as run_workflow
    from deployx_edge.workflows.session import open_session

    options = single_run_options(
        threads=threads,
        precision=precision,
        cores=cores,
        accelerator=accelerator,
        switches=option,
    )
    chosen = load_config().find_device(device)
    with show_progress() as progress:
        shapes, files = split_inputs(input)
        bundle = make_bundle(model, input_shapes=shapes, progress=progress)
        arrays = read_inputs(bundle, files)
        with open_session(chosen, progress=progress) as session:
            outputs = run_workflow(
                session,
                bundle,
                arrays,
                options=options,
                limits=limits(memory_limit=memory_limit, watchdog=watchdog),
                dump=dump or (),
            )
    if output:
        write_outputs(outputs, output)
    if json:
        print_json(outputs_document(outputs))
        return
    print_report(outputs_table(outputs, bundle.postprocessing))
    if output:
        print_report(f"Outputs: {output}")
