"""``deployx-edge run``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployx_edge.cli.options import (
    AcceleratorOption,
    AcceptFrozenOption,
    CheckpointOption,
    CoresOption,
    FactoryArgumentsOption,
    JsonOption,
    MemoryLimitOption,
    ModelArgument,
    OptionalDeviceOption,
    PrecisionOption,
    PrepareLimitOption,
    RuntimeNameOption,
    RuntimeOption,
    ThreadsOption,
    VerifyOption,
    WaitOption,
    WatchdogOption,
    limits,
    single_run_options,
    torch_options,
)


def run(
    model: ModelArgument,
    input: Annotated[
        list[str],
        typer.Option(
            "--input",
            "-i",
            metavar="FILE|NAME:SHAPE|NAME=VALUE",
            help="An .npz with arrays named like the inputs, an image, or an input's shape where "
            "the model leaves it open, or a value that it is fixed to; may be repeated.",
        ),
    ],
    device: OptionalDeviceOption = None,
    runtime: RuntimeNameOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", metavar="FILE.npz", help="The .npz file that outputs are written to."
        ),
    ] = None,
    dump: Annotated[
        list[str] | None,
        typer.Option("--dump", metavar="TENSOR", help="Give a tensor inside the model as well."),
    ] = None,
    threads: ThreadsOption = "0",
    precision: PrecisionOption = "fp32",
    cores: CoresOption = "all",
    accelerator: AcceleratorOption = "cpu",
    option: RuntimeOption = None,
    memory_limit: MemoryLimitOption = 0,
    watchdog: WatchdogOption = 60.0,
    prepare_limit: PrepareLimitOption = 600.0,
    checkpoint: CheckpointOption = None,
    factory_args: FactoryArgumentsOption = "{}",
    accept_frozen: AcceptFrozenOption = False,
    wait: WaitOption = True,
    verify: VerifyOption = False,
    json: JsonOption = False,
) -> None:
    """Run a model on inputs of your own: on a board, or here as its source has it.

    Without --device nothing is converted: ONNX Runtime runs the model on this computer, which
    is what a board's outputs are compared with. A bundle runs by its own runtime's package.

    Example: deployx-edge run model.onnx -i photo.jpg --output scores.npz --device pi
    """
    from deployx_edge.cli.console import print_json, print_report, show_progress
    from deployx_edge.report.outputs import outputs_document, outputs_table
    from deployx_edge.workflows.convert.finiteness import refuse_not_finite
    from deployx_edge.workflows.measure.run import run_anywhere, write_outputs

    options = single_run_options(
        threads=threads,
        precision=precision,
        cores=cores,
        accelerator=accelerator,
        switches=option,
    )
    with show_progress() as progress:
        outputs = run_anywhere(
            model,
            input,
            device,
            runtime=runtime,
            options=options,
            limits=limits(memory_limit=memory_limit, watchdog=watchdog, prepare=prepare_limit),
            dump=dump or (),
            torch=torch_options(checkpoint, factory_args, "auto", None, "{}", accept_frozen),
            wait=wait,
            verify=verify,
            progress=progress,
        )
    if output:
        write_outputs(outputs.arrays, output)
    if json:
        print_json(outputs_document(outputs.arrays))
    else:
        print_report(outputs_table(outputs.arrays, outputs.meanings))
        if output:
            print_report(f"Outputs: {output}")
    refuse_not_finite(outputs.not_finite)
