"""``deployx-edge bench`` and ``push-and-bench``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployx_edge.cli.options import (
    AcceleratorOption,
    AcceptFrozenOption,
    AllOption,
    CheckpointOption,
    CoresOption,
    DevicesOption,
    FactoryArgumentsOption,
    ForceOption,
    InputShapeOption,
    IterationsOption,
    JsonOption,
    KeepFloatOption,
    MemoryLimitOption,
    ModelArgument,
    PauseOption,
    PictureOption,
    PrecisionOption,
    RuntimeOption,
    SecondsOption,
    ThreadsOption,
    WaitOption,
    WarmupOption,
    WatchdogOption,
    bench_plan,
    limits,
    run_options,
    torch_options,
)

if TYPE_CHECKING:
    from deployx_edge.device import Device
    from deployx_edge.errors import DeployxError
    from deployx_edge.measurement.files import FailedRun, StoredSamples
    from deployx_edge.measurement.values import BenchResult, RunOptions
    from deployx_edge.workflows.bench import BenchJob

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
    device: DevicesOption = None,
    everyone: AllOption = False,
    threads: ThreadsOption = "0",
    precision: PrecisionOption = "fp32",
    cores: CoresOption = "all",
    accelerator: AcceleratorOption = "cpu",
    option: RuntimeOption = None,
    input_shape: InputShapeOption = None,
    checkpoint: CheckpointOption = None,
    factory_args: FactoryArgumentsOption = "{}",
    accept_frozen: AcceptFrozenOption = False,
    keep_float: KeepFloatOption = None,
    batch: BatchOption = 1,
    warmup: WarmupOption = 10,
    iterations: IterationsOption = 100,
    seconds: SecondsOption = 0.0,
    pause: PauseOption = 0.0,
    memory_limit: MemoryLimitOption = 0,
    watchdog: WatchdogOption = 60.0,
    wait: WaitOption = True,
    force: ForceOption = False,
    compare: CompareOption = None,
    output: OutputOption = None,
    picture: PictureOption = None,
    json: JsonOption = False,
) -> None:
    """Measure how long a model runs on a board, or on several; raw samples and conditions are kept.

    What a board lacks (agent, worker, bundle) is brought to it first.

    Example: deployx-edge bench model.onnx --device pi --threads 1,2,4 --precision fp32,fp16
    """
    from deployx_edge.cli.console import show_progress
    from deployx_edge.measurement.files import read_samples
    from deployx_edge.workflows.bench import BenchJob
    from deployx_edge.workflows.bundle import BundleOptions, make_bundle
    from deployx_edge.workflows.devices import chosen_devices
    from deployx_edge.workflows.finiteness import refuse_not_finite

    options = run_options(
        threads=threads,
        precision=precision,
        cores=cores,
        accelerator=accelerator,
        switches=option,
    )
    plan = bench_plan(warmup=warmup, iterations=iterations, seconds=seconds, pause=pause)
    devices = chosen_devices(device, everyone)
    old = read_samples(compare) if compare else []
    with show_progress() as progress:
        torch = torch_options(checkpoint, factory_args, "auto", None, "{}", accept_frozen)
        wanted = BundleOptions(
            input_shapes=tuple(input_shape or ()),
            torch=torch,
            keep_float=tuple(keep_float or ()),
        )
        bundle = make_bundle(model, options=wanted, progress=progress)
    job = BenchJob(
        bundle=bundle,
        options=options,
        plan=plan,
        limits=limits(memory_limit=memory_limit, watchdog=watchdog),
        batch=batch,
        wait=wait,
        force=force,
    )
    results, failures = _run(devices, job)
    _show(results, failures, len(devices), old, output, picture, json)
    for failure in failures:
        raise typer.Exit(failure.exit_code)
    refuse_not_finite([sentence for result in results for sentence in result.not_finite])


def _run(devices: Sequence[Device], job: BenchJob) -> tuple[list[BenchResult], list[FailedRun]]:
    """On one board an error that leaves nothing is the command's; on several it is a row."""
    from deployx_edge.cli.console import show_progress, show_progress_of
    from deployx_edge.workflows.bench import bench_device
    from deployx_edge.workflows.many import on_each

    if len(devices) == 1:
        with show_progress() as progress:
            results, found = bench_device(devices[0], job, progress=progress)
        if found and not results:
            raise found[0].error
        return results, [_failed(f.device, f.error, f.options) for f in found]
    results, failures = [], []
    with show_progress_of([device.name for device in devices]) as progress_of:
        outcomes = on_each(
            devices,
            lambda device, progress: bench_device(device, job, progress=progress),
            lambda device: progress_of(device.name),
        )
    for outcome in outcomes:
        if outcome.error is not None:
            failures.append(_failed(outcome.device, outcome.error, None))
        if outcome.value is not None:
            results += outcome.value[0]
            failures += [_failed(f.device, f.error, f.options) for f in outcome.value[1]]
    return results, failures


def _failed(device: Device, error: DeployxError, options: RunOptions | None) -> FailedRun:
    from deployx_edge.measurement.files import FailedRun

    return FailedRun(
        device=device.name,
        uri=device.uri,
        options=options,
        error=str(error),
        exit_code=error.exit_code,
    )


def _show(
    results: Sequence[BenchResult],
    failures: Sequence[FailedRun],
    boards: int,
    old: Sequence[StoredSamples],
    output: Path | None,
    picture: Path | None,
    json: bool,
) -> None:
    from deployx_edge.cli.console import draw_report, print_json, print_report
    from deployx_edge.measurement.files import bench_document, write_document
    from deployx_edge.report.bench import bench_report, boards_report

    document = bench_document(results, failures)
    written = output or _default_output(results)
    if written:
        write_document(document, written)
    several = boards > 1 or failures
    report = boards_report(results, failures, old) if several else bench_report(results, old)
    if picture:
        draw_report(report, picture)
    if json:
        print_json(document)
        return
    print_report(report)
    if written:
        print_report(f"Raw samples and conditions: {written}")


def _default_output(results: Sequence[BenchResult]) -> Path | None:
    """``deployx-results/`` of the current folder; the time keeps names apart."""
    if not results:
        return None
    first = results[0]
    boards = len({result.device.name for result in results})
    where = first.device.name if boards == 1 else f"{boards}-boards"
    words = (first.model.name, where, first.measured_at)
    name = "-".join("".join(c if c.isalnum() or c in "._" else "-" for c in w) for w in words)
    return Path("deployx-results") / f"{name}.json"
