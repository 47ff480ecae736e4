"""``deployx-edge bench`` and ``push-and-bench``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployx_edge.cli.options import (
    AcceleratorOption,
    CheckpointOption,
    CoresOption,
    DeviceOption,
    FactoryArgumentsOption,
    InputShapeOption,
    IterationsOption,
    JsonOption,
    MemoryLimitOption,
    ModelArgument,
    PauseOption,
    PictureOption,
    PrecisionOption,
    RuntimeOption,
    SecondsOption,
    ThreadsOption,
    WarmupOption,
    WatchdogOption,
    bench_plan,
    limits,
    run_options,
    torch_options,
)

if TYPE_CHECKING:
    from deployx_edge.measurement.values import BenchResult

CompareOption = Annotated[
    Path | None,
    typer.Option("--compare", metavar="OLD.json", help="Show ratios to an earlier result file."),
]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", metavar="FILE.json", help="Where to write samples and conditions."),
]
BatchOption = Annotated[int, typer.Option("--batch", min=1, help="Samples in one run.")]


def bench(
    model: ModelArgument,
    device: DeviceOption,
    threads: ThreadsOption = "0",
    precision: PrecisionOption = "fp32",
    cores: CoresOption = "all",
    accelerator: AcceleratorOption = "cpu",
    option: RuntimeOption = None,
    input_shape: InputShapeOption = None,
    checkpoint: CheckpointOption = None,
    factory_args: FactoryArgumentsOption = "{}",
    batch: BatchOption = 1,
    warmup: WarmupOption = 10,
    iterations: IterationsOption = 100,
    seconds: SecondsOption = 0.0,
    pause: PauseOption = 0.0,
    memory_limit: MemoryLimitOption = 0,
    watchdog: WatchdogOption = 60.0,
    compare: CompareOption = None,
    output: OutputOption = None,
    picture: PictureOption = None,
    json: JsonOption = False,
) -> None:
    """Measure how long a model runs on a board; raw samples and conditions are kept.

    What the board lacks (agent, worker, bundle) is brought to it first.

    Example: deployx-edge bench model.onnx --device pi --threads 1,2,4 --precision fp32,fp16
    """
    from deployx_edge.cli.console import draw_report, print_json, print_report, show_progress
    from deployx_edge.config import load_config
    from deployx_edge.measurement.files import bench_document, read_samples, write_document
    from deployx_edge.report.bench import bench_report
    from deployx_edge.workflows.bench import bench as bench_workflow
    from deployx_edge.workflows.bundle import BundleOptions, make_bundle
    from deployx_edge.workflows.session import open_session

    options = run_options(
        threads=threads,
        precision=precision,
        cores=cores,
        accelerator=accelerator,
        switches=option,
    )
    plan = bench_plan(warmup=warmup, iterations=iterations, seconds=seconds, pause=pause)
    chosen = load_config().find_device(device)
    old = read_samples(compare) if compare else []
    with show_progress() as progress:
        torch = torch_options(checkpoint, factory_args, "auto", None, "{}")
        wanted = BundleOptions(input_shapes=tuple(input_shape or ()), torch=torch)
        bundle = make_bundle(model, options=wanted, progress=progress)
        with open_session(chosen, progress=progress) as session:
            results = bench_workflow(
                session,
                bundle,
                options=options,
                plan=plan,
                limits=limits(memory_limit=memory_limit, watchdog=watchdog),
                batch=batch,
            )
    document = bench_document(results)
    written = output or _default_output(results)
    write_document(document, written)
    report = bench_report(results, old)
    if picture:
        draw_report(report, picture)
    if json:
        print_json(document)
        return
    print_report(report)
    print_report(f"Raw samples and conditions: {written}")


def _default_output(results: Sequence[BenchResult]) -> Path:
    """``deployx-results/`` of the current folder; the time keeps names apart."""
    first = results[0]
    words = (first.model.name, first.device.name, first.measured_at)
    name = "-".join("".join(c if c.isalnum() or c in "._" else "-" for c in w) for w in words)
    return Path("deployx-results") / f"{name}.json"
