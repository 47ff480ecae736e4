"""``deployx-edge quantize``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployx_edge.cli.chip import SocOfOption, chosen_soc
from deployx_edge.cli.convert import (
    AcceptUnprovenOption,
    NameOption,
    OutputOption,
    PostprocessOption,
    PreprocessOption,
)
from deployx_edge.cli.fallback import ConversionFallbackOption, check_conversion
from deployx_edge.cli.option_values import one_runtime, runtime_words, torch_options
from deployx_edge.cli.options import (
    AcceptFrozenOption,
    CheckpointOption,
    ExporterOption,
    ExportOption,
    FactoryArgumentsOption,
    InputShapeOption,
    JsonOption,
    LikeOption,
    OptionalDeviceOption,
    RewriterOption,
    RuntimesOption,
    SettingsOption,
    SocOption,
    VerifyOption,
    WaitOption,
)

if TYPE_CHECKING:
    from deployx_edge.cli.several_runtimes import Quantization
    from deployx_edge.progress import Progress
    from deployx_edge.quantization.values import QuantizationSettings
    from deployx_edge.workflows.quantize.sensitivity import AccuracyGoal

_ModelArgument = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL",
        help="An .onnx file, one of PyTorch's (.pt, .pt2, package.module:factory), or a bundle "
        "whose source lies in it, beside it or here.",
    ),
]
_SEARCH = "With --sensitivity"


def quantize(
    model: _ModelArgument,
    calibration: Annotated[
        Path,
        typer.Option(
            "--calibration",
            metavar="FOLDER|FILE",
            help="Images in any folders, a list (.csv) or an .npz with arrays named like the "
            "inputs. Not what you measure accuracy on.",
        ),
    ],
    output: OutputOption,
    runtime: RuntimesOption = None,
    soc: SocOption = None,
    soc_of: SocOfOption = None,
    count: Annotated[
        int, typer.Option("--count", min=1, help="The number of samples of it that are used.")
    ] = 128,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the choice of samples.")] = 0,
    preset: Annotated[
        str, typer.Option("--preset", help="fast, balanced or best; the next options change it.")
    ] = "balanced",
    algorithm: Annotated[
        str | None,
        typer.Option(
            "--algorithm",
            help="How ranges of activations are found: minmax, percentile, kl or mse.",
        ),
    ] = None,
    equalize: Annotated[
        bool | None,
        typer.Option(
            "--equalize/--no-equalize",
            help="Even out the ranges of channels over neighbouring layers first.",
        ),
    ] = None,
    correct_bias: Annotated[
        bool | None,
        typer.Option(
            "--bias-correction/--no-bias-correction",
            help="Correct biases by the mean error that quantization leaves.",
        ),
    ] = None,
    activations: Annotated[
        str | None,
        typer.Option(
            "--activations",
            help="The values between layers: int8, or int16 where the runtime has them; weights "
            "are int8.",
        ),
    ] = None,
    tuning: Annotated[
        str | None, typer.Option("--tuning", help="Train weights: none, lsq or adaround.")
    ] = None,
    tuning_steps: Annotated[
        int | None,
        typer.Option("--tuning-steps", min=1, help="Steps of training for each block of layers."),
    ] = None,
    keep_float: Annotated[
        list[str] | None,
        typer.Option(
            "--keep-float", metavar="LAYER", help="A layer that stays in float; may be repeated."
        ),
    ] = None,
    sensitivity: Annotated[
        bool, typer.Option("--sensitivity", help="Rank the layers by what each alone costs.")
    ] = False,
    dataset: Annotated[
        Path | None,
        typer.Option(
            "--dataset",
            metavar="FOLDER|FILE",
            help=f"{_SEARCH}: measure accuracy on it, and keep as few layers in float as will do.",
        ),
    ] = None,
    max_drop: Annotated[
        str | None,
        typer.Option(
            "--max-drop",
            metavar="METRIC=VALUE",
            help=f"{_SEARCH}: the largest drop of the metric below the reference.",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help=f"{_SEARCH}: the number of its samples that are used."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            "--images",
            metavar="FOLDER",
            help="The folder of the images that a list names, of --calibration and of --dataset.",
        ),
    ] = None,
    device: OptionalDeviceOption = None,
    wait: WaitOption = True,
    verify: VerifyOption = False,
    input_shape: InputShapeOption = None,
    checkpoint: CheckpointOption = None,
    factory_args: FactoryArgumentsOption = "{}",
    accept_frozen: AcceptFrozenOption = False,
    exporter: ExporterOption = "auto",
    rewriter: RewriterOption = None,
    settings: SettingsOption = "{}",
    preprocess: PreprocessOption = None,
    postprocess: PostprocessOption = None,
    like: LikeOption = None,
    name: NameOption = None,
    allow_fallback: ConversionFallbackOption = False,
    accept_unproven: AcceptUnprovenOption = False,
    export: ExportOption = None,
    json: JsonOption = False,
) -> None:
    """Make an int8 bundle with scales from your data, and say what it costs layer by layer.

    With several runtimes each gets a folder of its name in the output.

    Example: deployx-edge quantize examples/digits/digits_cnn.onnx
    --calibration examples/digits/digits_calibration.npz -o digits-int8
    """
    from dataclasses import replace

    from deployx_edge.cli.console import draw_report, print_json, print_report, show_progress
    from deployx_edge.cli.several_runtimes import quantize_each
    from deployx_edge.report.quantization import quantization_document, quantization_report
    from deployx_edge.workflows.convert.bundle import BundleOptions
    from deployx_edge.workflows.quantize.quantize import QuantizeOptions
    from deployx_edge.workflows.quantize.quantize import quantize as quantize_workflow
    from deployx_edge.workflows.quantize.sensitivity import quantize_by_sensitivity

    chosen, is_preset = _settings(
        preset, algorithm, equalize, correct_bias, activations, tuning, tuning_steps, seed
    )
    goal = _goal(sensitivity, dataset, max_drop, limit, device, wait, verify, images)
    options = QuantizeOptions(
        count=count,
        preset=preset if is_preset else None,
        settings=chosen,
        keep_float=tuple(keep_float or ()),
        images=images,
        bundle=BundleOptions(
            soc=chosen_soc(soc, soc_of, runtime_words(runtime)),
            input_shapes=tuple(input_shape or ()),
            preprocess=tuple(preprocess or ()),
            postprocess=tuple(postprocess or ()),
            like=like,
            accept_unproven=accept_unproven,
            allow_fallback=allow_fallback,
            name=name,
            torch=torch_options(
                checkpoint, factory_args, exporter, rewriter, settings, accept_frozen
            ),
        ),
    )

    def make(runtime: str | None, folder: Path, progress: Progress) -> Quantization:
        own = replace(options, bundle=replace(options.bundle, runtime=runtime))
        if sensitivity:
            made, found = quantize_by_sensitivity(
                model, calibration, folder, own, goal, progress=progress
            )
            return made, found
        return quantize_workflow(model, calibration, folder, own, progress=progress), None

    runtimes = runtime_words(runtime)
    check_conversion(allow_fallback, runtimes or (None,))
    if len(runtimes) > 1:
        quantize_each(model, output, runtimes, make, json, export)
        return
    with show_progress() as progress:
        made, found = make(one_runtime(runtimes), output, progress)
    if json:
        print_json(quantization_document(made.bundle, made.report, found))
    else:
        print_report(quantization_report(made.bundle, made.report, found))
    if export:
        draw_report(quantization_report(made.bundle, made.report, found), export)


def _settings(
    preset: str,
    algorithm: str | None,
    equalize: bool | None,
    correct_bias: bool | None,
    activations: str | None,
    tuning: str | None,
    tuning_steps: int | None,
    seed: int,
) -> tuple[QuantizationSettings, bool]:
    """The preset with what was said besides; whether nothing was."""
    from dataclasses import replace

    from deployx_edge.errors import UsageError
    from deployx_edge.quantization.values import ACTIVATIONS, ALGORITHMS, PRESETS, TUNINGS

    for option, value, known in (
        ("--preset", preset, tuple(PRESETS)),
        ("--algorithm", algorithm, ALGORITHMS),
        ("--activations", activations, tuple(ACTIVATIONS)),
        ("--tuning", tuning, TUNINGS),
    ):
        if value is not None and value not in known:
            raise UsageError(f"{option} is {', '.join(known)}, not '{value}'.")
    said = {
        "algorithm": algorithm,
        "equalize": equalize,
        "correct_bias": correct_bias,
        "activations": activations,
        "tuning": tuning,
        "tuning_steps": tuning_steps,
    }
    changes = {key: value for key, value in said.items() if value is not None}
    return replace(PRESETS[preset], seed=seed, **changes), not changes  # type: ignore[arg-type]


def _goal(
    sensitivity: bool,
    dataset: Path | None,
    max_drop: str | None,
    limit: int | None,
    device: str | None,
    wait: bool,
    verify: bool,
    images: Path | None,
) -> AccuracyGoal | None:
    from deployx_edge.errors import UsageError
    from deployx_edge.workflows.evaluate.thresholds import parse_thresholds
    from deployx_edge.workflows.quantize.sensitivity import AccuracyGoal

    if not sensitivity and (dataset or max_drop or limit or device):
        raise UsageError(
            "--dataset, --max-drop, --limit and --device belong to --sensitivity.",
            remedy="To measure the bundle afterwards: deployx-edge evaluate.",
        )
    if (dataset is None) != (max_drop is None):
        raise UsageError("--dataset and --max-drop belong together, for instance top1=0.01.")
    if dataset is None or max_drop is None:
        if device or limit:
            raise UsageError("--device and --limit need --dataset and --max-drop.")
        return None
    ((metric, value),) = parse_thresholds([max_drop], "--max-drop").items()
    return AccuracyGoal(
        dataset=dataset,
        metric=metric,
        max_drop=value,
        device=device,
        wait=wait,
        verify=verify,
        limit=limit,
        images=images,
    )
