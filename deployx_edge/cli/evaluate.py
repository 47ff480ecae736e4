"""``deployx-edge evaluate``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployx_edge.cli.bench_comparison import CalibrationOption
from deployx_edge.cli.fallback import (
    AllowFallbackOption,
    FailOnFallbackOption,
    fail_at_conversion,
    fallback_switches,
    refuse_fallback,
)
from deployx_edge.cli.option_values import (
    check_has_board,
    one_runtime,
    run_options,
    runtime_words,
    torch_options,
)
from deployx_edge.cli.options import (
    AcceptFrozenOption,
    CheckpointOption,
    ExportOption,
    FactoryArgumentsOption,
    ForceOption,
    ImagesOption,
    InputShapeOption,
    JsonOption,
    LikeOption,
    ModelArgument,
    PostprocessOption,
    PrecisionOption,
    PreprocessOption,
    RuntimeOption,
    RuntimesOption,
    SocOption,
    ThreadsOption,
    VerifyOption,
    WaitOption,
    complete_device,
)
from deployx_edge.errors import UsageError

if TYPE_CHECKING:
    from deployx_edge.evaluation.results import Evaluation
    from deployx_edge.progress import Progress

# What tells of the reference and of the figures, beside the boards.
_ALL = "this computer"
DatasetOption = Annotated[
    Path | None,
    typer.Option(
        "--dataset",
        metavar="FOLDER|FILE",
        help="A folder with a sub-folder a class or with images and masks, a .csv of file and "
        "label, COCO's .json, an .npz, or a dataset.yaml (docs/accuracy-on-your-board.md); without "
        "it MODEL is a folder with an .onnx, its …_test.npz and for int8 its …_calibration.npz.",
    ),
]
DevicesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--device",
        "-d",
        metavar="NAME|URI[,…]",
        help="The device to run on, as for bench, or several; without it, this computer.",
        autocompletion=complete_device,
    ),
]
ReferenceOption = Annotated[
    Path | None,
    typer.Option(
        "--reference", metavar="MODEL", help="The model that a bundle was made from: the reference."
    ),
]
MetricOption = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        help="top1, top5, map, map50, miou, mse, mae, psnr, ssim, or module:function.",
    ),
]
OutputNameOption = Annotated[
    str | None,
    typer.Option(
        "--output", metavar="NAME", help="The output that is measured, of a model with several."
    ),
]
LimitOption = Annotated[
    int | None, typer.Option("--limit", min=1, help="Use at most this number of samples.")
]
PerClassOption = Annotated[
    int | None,
    typer.Option("--per-class", min=1, help="Use at most this number of samples of each class."),
]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of the choice of samples.")]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Stop at a sample that cannot be read.")
]
MinimumOption = Annotated[
    list[str] | None,
    typer.Option(
        "--min",
        metavar="METRIC=VALUE",
        help="End with exit code 13 if the first metric is below this.",
    ),
]
MaxDropOption = Annotated[
    list[str] | None,
    typer.Option(
        "--max-drop",
        metavar="METRIC=VALUE",
        help="End with exit code 13 if the first metric is further below the reference than this.",
    ),
]
ReportOption = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="FOLDER",
        help="Write a page with figures and images: reference beside board.",
    ),
]
ShowOption = Annotated[bool, typer.Option("--show", help="Open that page in the browser.")]
SaveOutputsOption = Annotated[
    Path | None,
    typer.Option(
        "--save-outputs", metavar="FOLDER", help="Keep raw outputs, one .npz for each sample."
    ),
]
PredictionsOption = Annotated[
    Path | None,
    typer.Option("--predictions", metavar="FILE", help="Write what was found, in --format."),
]
FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format", help="The format of --predictions: csv (the default) or coco-results."
    ),
]


def evaluate(
    model: ModelArgument,
    dataset: DatasetOption = None,
    device: DevicesOption = None,
    runtime: RuntimesOption = None,
    soc: SocOption = None,
    reference: ReferenceOption = None,
    metric: MetricOption = None,
    output: OutputNameOption = None,
    preprocess: PreprocessOption = None,
    postprocess: PostprocessOption = None,
    like: LikeOption = None,
    images: ImagesOption = None,
    limit: LimitOption = None,
    per_class: PerClassOption = None,
    seed: SeedOption = 0,
    strict: StrictOption = False,
    minimum: MinimumOption = None,
    max_drop: MaxDropOption = None,
    precision: PrecisionOption = "fp32",
    threads: ThreadsOption = "0",
    input_shape: InputShapeOption = None,
    checkpoint: CheckpointOption = None,
    factory_args: FactoryArgumentsOption = "{}",
    accept_frozen: AcceptFrozenOption = False,
    calibration: CalibrationOption = None,
    report: ReportOption = None,
    show: ShowOption = False,
    save_outputs: SaveOutputsOption = None,
    predictions: PredictionsOption = None,
    form: FormatOption = None,
    option: RuntimeOption = None,
    allow_fallback: AllowFallbackOption = False,
    fail_on_fallback: FailOnFallbackOption = False,
    wait: WaitOption = True,
    verify: VerifyOption = False,
    force: ForceOption = False,
    export: ExportOption = None,
    json: JsonOption = False,
) -> None:
    """Measure a model's accuracy on boards, beside the reference on the same samples.

    With several runtimes or precisions, each is a row of one table.

    Shares are written as 0.95. A run that was interrupted goes on after its last sample.

    Example: deployx-edge evaluate examples/digits/digits_cnn.onnx
    --dataset examples/digits/digits_test.npz --device virtual:linux-arm64 --max-drop top1=0.01
    """
    from deployx_edge.cli.chip import chips_of
    from deployx_edge.cli.several_evaluations import EvaluateRequest, evaluate_each
    from deployx_edge.config import load_config
    from deployx_edge.workflows.convert.finiteness import refuse_not_finite, samples_sentence
    from deployx_edge.workflows.convert.options import BundleOptions
    from deployx_edge.workflows.evaluate.case import EvaluationOptions
    from deployx_edge.workflows.evaluate.evaluate import evaluate as evaluate_workflow
    from deployx_edge.workflows.evaluate.model_folder import read_model_folder
    from deployx_edge.workflows.evaluate.thresholds import check_thresholds, parse_thresholds

    if form is not None and predictions is None:
        raise UsageError("--format is that of --predictions, which is not given.")
    if show and report is None:
        raise UsageError("--show opens the report.", remedy="Say where it goes: --report FOLDER.")
    check_has_board(option, device)
    if dataset is None:
        folder = read_model_folder(model)
        model, dataset = folder.model, folder.dataset
        if calibration is None and "int8" in precision.split(","):
            calibration = folder.calibration
    runtimes = runtime_words(runtime)
    runs = run_options(
        threads=threads,
        precision=precision,
        cores="all",
        accelerator="cpu",
        switches=fallback_switches(allow_fallback, fail_on_fallback, option),
    )
    config = load_config()
    devices = [found for words in device or () for found in config.find_devices(words)]
    names = [found.name for found in devices]
    is_table = len(runtimes) > 1 or len(runs) > 1 or calibration is not None
    socs = {} if soc else chips_of(model, runtimes, devices, wait=wait)
    only = one_runtime(runtimes)
    options = EvaluationOptions(
        runtime=only,
        soc=None if is_table else soc or socs.get(only or ""),
        metrics=tuple(metric or ()),
        output=output,
        preprocess=tuple(preprocess or ()),
        postprocess=tuple(postprocess or ()),
        like=like,
        images=images,
        limit=limit,
        per_class=per_class,
        seed=seed,
        strict=strict,
        run=runs[0],
        report=report,
        outputs=save_outputs,
        predictions=predictions,
        format=form or "csv",
        wait=wait,
        verify=verify,
        force=force,
    )
    least = parse_thresholds(minimum or (), "--min")
    drops = parse_thresholds(max_drop or (), "--max-drop")
    torch = torch_options(checkpoint, factory_args, "auto", None, "{}", accept_frozen)
    if is_table:
        request = EvaluateRequest(
            model=model,
            dataset=dataset,
            devices=names,
            runtimes=runtimes,
            runs=runs,
            reference=reference,
            bundle=BundleOptions(
                soc=soc,
                input_shapes=tuple(input_shape or ()),
                torch=torch,
                allow_fallback=allow_fallback,
            ),
            socs=socs,
            calibration=calibration,
            options=options,
        )
        with fail_at_conversion(fail_on_fallback):
            several = evaluate_each(request, least, drops, json, export)
        _refuse_fallback(fail_on_fallback, several)
        return
    with fail_at_conversion(fail_on_fallback), _progress(names) as (progress, progress_of):
        found = evaluate_workflow(
            model,
            dataset,
            names,
            reference=reference,
            input_shapes=input_shape or (),
            torch=torch,
            options=options,
            progress=progress,
            progress_of=progress_of,
        )
    _tell(found, as_json=json, export=export)
    if show and report is not None and found.places:
        import webbrowser

        webbrowser.open((report / "index.html").resolve().as_uri())
    for failure in found.failures:
        print(f"error: {failure.place}: {failure.error}", file=sys.stderr)
    broken = [place for place in found.places if place.not_finite]
    refuse_not_finite([samples_sentence(each.not_finite, each.place) for each in broken])
    if found.places:
        check_thresholds(found, least, drops)
    for failure in found.failures:
        raise typer.Exit(failure.exit_code)
    _refuse_fallback(fail_on_fallback, [found])


def _refuse_fallback(fail: bool, found: Sequence[Evaluation]) -> None:
    refuse_fallback(fail, ((each.place, each.fell_back) for one in found for each in one.places))


@contextmanager
def _progress(names: Sequence[str]) -> Iterator[tuple[Progress, Callable[[str], Progress] | None]]:
    """What tells of all, and of each where there are several."""
    from deployx_edge.cli.console import show_progress, show_progress_of

    if len(names) < 2:
        with show_progress() as progress:
            yield progress, None
        return
    with show_progress_of([_ALL, *names]) as progress_of:
        yield progress_of(_ALL), progress_of


def _tell(found: Evaluation, *, as_json: bool, export: Path | None) -> None:
    from deployx_edge.cli.console import draw_report, print_json, print_report
    from deployx_edge.report.evaluation import evaluation_document, evaluation_report

    shown = evaluation_report(found)
    if as_json:
        print_json(evaluation_document(found))
    else:
        print_report(shown)
    if export:
        draw_report(shown, export)
