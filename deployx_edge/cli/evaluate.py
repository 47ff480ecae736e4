"""``deployx-edge evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployx_edge.cli.options import (
    CheckpointOption,
    FactoryArgumentsOption,
    InputShapeOption,
    JsonOption,
    ModelArgument,
    PictureOption,
    PrecisionOption,
    ThreadsOption,
    complete_device,
    single_run_options,
    torch_options,
)

if TYPE_CHECKING:
    from deployx_edge.evaluation.results import Evaluation


def evaluate(
    model: ModelArgument,
    dataset: Annotated[
        Path,
        typer.Option(
            "--dataset",
            metavar="FOLDER|FILE",
            help="A folder with a sub-folder a class, a .csv of file and label, or an .npz with "
            "arrays named like the inputs and `labels`.",
        ),
    ],
    device: Annotated[
        list[str] | None,
        typer.Option(
            "--device",
            "-d",
            metavar="NAME|URI",
            help="As for bench; may be repeated. Without it, on this computer.",
            autocompletion=complete_device,
        ),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option("--reference", metavar="MODEL", help="The source of a bundle."),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", help="top1, top5, mse, mae, psnr, or module:function."),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", metavar="NAME", help="Which output is meant.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="So many samples.")] = None,
    per_class: Annotated[
        int | None, typer.Option("--per-class", min=1, help="At most so many of a class.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the choice of samples.")] = 0,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at a sample that cannot be read.")
    ] = False,
    minimum: Annotated[
        list[str] | None,
        typer.Option("--min", metavar="METRIC=VALUE", help="Exit code 13 below it."),
    ] = None,
    max_drop: Annotated[
        list[str] | None,
        typer.Option(
            "--max-drop", metavar="METRIC=VALUE", help="Exit code 13 further below the reference."
        ),
    ] = None,
    precision: PrecisionOption = "fp32",
    threads: ThreadsOption = "0",
    input_shape: InputShapeOption = None,
    checkpoint: CheckpointOption = None,
    factory_args: FactoryArgumentsOption = "{}",
    picture: PictureOption = None,
    json: JsonOption = False,
) -> None:
    """Measure a model's accuracy on boards, beside the reference on the same samples.

    Shares are written as 0.95. A run that was interrupted goes on behind its last sample.

    Example: deployx-edge evaluate examples/digits/digits_cnn.onnx
    --dataset examples/digits/digits_test.npz --device virtual:linux-arm64 --max-drop top1=0.01
    """
    from deployx_edge.cli.console import draw_report, print_json, print_report, show_progress
    from deployx_edge.report.evaluation import evaluation_document, evaluation_report
    from deployx_edge.workflows.evaluate import EvaluationOptions
    from deployx_edge.workflows.evaluate import evaluate as evaluate_workflow
    from deployx_edge.workflows.thresholds import check_thresholds, parse_thresholds

    run = single_run_options(
        threads=threads, precision=precision, cores="all", accelerator="cpu", switches=None
    )
    least, drops = (
        parse_thresholds(minimum or (), "--min"),
        parse_thresholds(max_drop or (), "--max-drop"),
    )
    with show_progress() as progress:
        found: Evaluation = evaluate_workflow(
            model,
            dataset,
            device or [],
            reference=reference,
            input_shapes=input_shape or (),
            torch=torch_options(checkpoint, factory_args, "auto", None, "{}"),
            options=EvaluationOptions(
                metrics=tuple(metric or ()),
                output=output,
                limit=limit,
                per_class=per_class,
                seed=seed,
                strict=strict,
                run=run,
            ),
            progress=progress,
        )
    report = evaluation_report(found)
    if json:
        print_json(evaluation_document(found))
    else:
        print_report(report)
    if picture:
        draw_report(report, picture)
    check_thresholds(found, least, drops)
