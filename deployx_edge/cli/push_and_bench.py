"""``deployx-edge push-and-bench``: the main job, with nothing to choose."""

from __future__ import annotations

from deployx_edge.cli.bench import IterationsOption, OutputOption, bench
from deployx_edge.cli.bench_comparison import AccuracyDataOption, CalibrationOption, TopOption
from deployx_edge.cli.fallback import AllowFallbackOption, FailOnFallbackOption
from deployx_edge.cli.options import (
    AcceptFrozenOption,
    AllOption,
    CheckpointOption,
    DevicesOption,
    ExportOption,
    FactoryArgumentsOption,
    FeedBackOption,
    ForceOption,
    ImagesOption,
    InputShapeOption,
    JsonOption,
    LikeOption,
    LinkCostOption,
    ModelArgument,
    PrecisionOption,
    RuntimeOption,
    RuntimesOption,
    ThreadsOption,
    VerifyOption,
    WaitOption,
)


def push_and_bench(
    model: ModelArgument,
    device: DevicesOption = None,
    everyone: AllOption = False,
    runtime: RuntimesOption = None,
    threads: ThreadsOption = "0",
    precision: PrecisionOption = "fp32",
    option: RuntimeOption = None,
    iterations: IterationsOption = None,
    feed_back: FeedBackOption = None,
    link: LinkCostOption = True,
    input_shape: InputShapeOption = None,
    like: LikeOption = None,
    checkpoint: CheckpointOption = None,
    factory_args: FactoryArgumentsOption = "{}",
    accept_frozen: AcceptFrozenOption = False,
    calibration: CalibrationOption = None,
    dataset: AccuracyDataOption = None,
    images: ImagesOption = None,
    top: TopOption = None,
    allow_fallback: AllowFallbackOption = False,
    fail_on_fallback: FailOnFallbackOption = False,
    wait: WaitOption = True,
    verify: VerifyOption = False,
    force: ForceOption = False,
    output: OutputOption = None,
    export: ExportOption = None,
    json: JsonOption = False,
) -> None:
    """Convert, build, push and measure a model on a board: everything in one command.

    With several runtimes or precisions, which of them is best.

    Example: deployx-edge push-and-bench model.onnx --device virtual:linux-arm64
    """
    bench(
        model,
        device,
        everyone,
        runtime=runtime,
        threads=threads,
        precision=precision,
        option=option,
        iterations=iterations,
        feed_back=feed_back,
        link=link,
        input_shape=input_shape,
        like=like,
        checkpoint=checkpoint,
        factory_args=factory_args,
        accept_frozen=accept_frozen,
        calibration=calibration,
        dataset=dataset,
        images=images,
        top=top,
        allow_fallback=allow_fallback,
        fail_on_fallback=fail_on_fallback,
        wait=wait,
        verify=verify,
        force=force,
        output=output,
        export=export,
        json=json,
    )
