"""``deployx-edge compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployx_edge.cli.option_values import check_has_board, single_run_options, torch_options
from deployx_edge.cli.options import (
    AcceptFrozenOption,
    CheckpointOption,
    ExportOption,
    FactoryArgumentsOption,
    JsonOption,
    OptionalDeviceOption,
    PrecisionOption,
    RuntimeNameOption,
    RuntimeOption,
    SamplesOption,
    ThreadsOption,
    VerifyOption,
    WaitOption,
)

PlotOption = Annotated[
    Path | None,
    typer.Option("--plot", metavar="FILE.png|svg|pdf", help="Draw how the error grows."),
]


def compare(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL", help="The source: .onnx, one of PyTorch's models, or another bundle."
        ),
    ],
    bundle: Annotated[
        Path | None,
        typer.Argument(
            metavar="[BUNDLE]",
            help="The bundle that was made of it; without it one is made, for --runtime.",
        ),
    ] = None,
    device: OptionalDeviceOption = None,
    runtime: RuntimeNameOption = None,
    precision: PrecisionOption = "fp32",
    threads: ThreadsOption = "0",
    option: RuntimeOption = None,
    samples: SamplesOption = None,
    checkpoint: CheckpointOption = None,
    factory_args: FactoryArgumentsOption = "{}",
    accept_frozen: AcceptFrozenOption = False,
    wait: WaitOption = True,
    verify: VerifyOption = False,
    export: ExportOption = None,
    plot: PlotOption = None,
    json: JsonOption = False,
) -> None:
    """Show layer by layer how far a bundle is from its source. Exit code 12 where it differs.

    With --device the bundle runs on that board, in the --precision that is asked for.

    Example: deployx-edge compare examples/digits/digits_cnn.onnx digits --device pi
    """
    from deployx_edge.cli.console import draw_report, print_json, print_report, show_progress
    from deployx_edge.comparison import first_difference
    from deployx_edge.errors import VerificationError
    from deployx_edge.report.comparison import (
        comparison_document,
        comparison_report,
        plot_comparison,
    )
    from deployx_edge.workflows.convert.finiteness import refuse_not_finite
    from deployx_edge.workflows.measure.compare import compare as compare_workflow

    check_has_board(option, device)
    options = single_run_options(
        threads=threads, precision=precision, cores="all", accelerator="cpu", switches=option
    )
    with show_progress() as progress:
        found = compare_workflow(
            model,
            bundle,
            device=device,
            runtime=runtime,
            options=options,
            samples=samples or (),
            torch=torch_options(checkpoint, factory_args, "auto", None, "{}", accept_frozen),
            wait=wait,
            verify=verify,
            progress=progress,
        )
    where = f" on {found.device}" if found.device else ""
    where += f" in {found.ran}" if found.ran else ""
    title = f"{found.bundle}{where} beside {found.source}, {found.inputs} inputs"
    report = comparison_report(title, found.precision, found.layers)
    if json:
        print_json(
            comparison_document(
                title, found.precision, found.layers, ran=found.ran, warning=found.warning
            )
        )
    else:
        print_report(report)
        if found.warning:
            print_report(found.warning)
    if export:
        draw_report(report, export)
    if plot:
        plot_comparison(title, found.precision, found.layers, plot)
    refuse_not_finite(found.not_finite)
    first = first_difference(found.layers)
    if first is not None:
        raise VerificationError(
            f"'{first.check.output}' of the layer '{first.layer}' ({first.type}) is the first to "
            "differ from the source.",
            remedy=_remedy(found.precision, first.layer),
        )


def _remedy(precision: str, layer: str) -> str:
    """What can be done where the limits of that precision were passed."""
    if precision == "fp32":
        return "Convert the model again; where that does not help, report the operator."
    if precision == "int8":
        return (
            "Where `quantize` passed, its layers are right, and this is what eight bits cost: keep "
            f"the layer in float (quantize --keep-float {layer}), or see by `evaluate` what it "
            "matters."
        )
    return (
        "See whether it is rounding: compare with --precision fp32. Where that agrees, keep the "
        f"layer in fp32 (convert --keep-float {layer}); where not, report the operator."
    )
