"""``deployx-edge push-and-bench``: the main job, with nothing to choose."""

from __future__ import annotations

from deployx_edge.cli.bench import OutputOption, bench
from deployx_edge.cli.options import (
    AcceptFrozenOption,
    AllOption,
    CheckpointOption,
    DevicesOption,
    ExportOption,
    FactoryArgumentsOption,
    FeedBackOption,
    ForceOption,
    InputShapeOption,
    IterationsOption,
    JsonOption,
    LikeOption,
    LinkCostOption,
    ModelArgument,
    PrecisionOption,
    RuntimeNameOption,
    ThreadsOption,
    VerifyOption,
    WaitOption,
)


def push_and_bench(
    model: ModelArgument,
    device: DevicesOption = None,
    everyone: AllOption = False,
    runtime: RuntimeNameOption = None,
    threads: ThreadsOption = "0",
    precision: PrecisionOption = "fp32",
    iterations: IterationsOption = 100,
    feed_back: FeedBackOption = None,
    link: LinkCostOption = True,
    input_shape: InputShapeOption = None,
    like: LikeOption = None,
    checkpoint: CheckpointOption = None,
    factory_args: FactoryArgumentsOption = "{}",
    accept_frozen: AcceptFrozenOption = False,
    wait: WaitOption = True,
    verify: VerifyOption = False,
    force: ForceOption = False,
    output: OutputOption = None,
    export: ExportOption = None,
    json: JsonOption = False,
) -> None:
    """Convert, build, push and measure a model on a board: everything in one command.

    Example: deployx-edge push-and-bench model.onnx --device virtual:linux-arm64
    """
    bench(
        model,
        device,
        everyone,
        runtime=runtime,
        threads=threads,
        precision=precision,
        iterations=iterations,
        feed_back=feed_back,
        link=link,
        input_shape=input_shape,
        like=like,
        checkpoint=checkpoint,
        factory_args=factory_args,
        accept_frozen=accept_frozen,
        wait=wait,
        verify=verify,
        force=force,
        output=output,
        export=export,
        json=json,
    )
