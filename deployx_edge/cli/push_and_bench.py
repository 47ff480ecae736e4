"""``deployx-edge push-and-bench``: the main job, with nothing to choose."""

from __future__ import annotations

from deployx_edge.cli.bench import OutputOption, bench
from deployx_edge.cli.options import (
    DeviceOption,
    InputShapeOption,
    IterationsOption,
    JsonOption,
    ModelArgument,
    PictureOption,
    PrecisionOption,
    ThreadsOption,
)


def push_and_bench(
    model: ModelArgument,
    device: DeviceOption,
    threads: ThreadsOption = "0",
    precision: PrecisionOption = "fp32",
    iterations: IterationsOption = 100,
    input_shape: InputShapeOption = None,
    output: OutputOption = None,
    picture: PictureOption = None,
    json: JsonOption = False,
) -> None:
    """Convert, build, push and measure a model on a board: everything in one command.

    Example: deployx-edge push-and-bench model.onnx --device virtual:linux-arm64
    """
    bench(
        model,
        device,
        threads=threads,
        precision=precision,
        iterations=iterations,
        input_shape=input_shape,
        output=output,
        picture=picture,
        json=json,
    )
