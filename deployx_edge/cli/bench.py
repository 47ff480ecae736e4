"""``deployx-edge bench`` and ``push-and-bench``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployx_edge.cli.bench_comparison import (
    AgainstOption,
    CompareOption,
    MaxSlowdownOption,
    RepeatOption,
    check_comparison,
    judge,
    repeats,
)
from deployx_edge.cli.options import (
    SHORT_SECONDS,
    AcceleratorOption,
    AcceptFrozenOption,
    AllOption,
    CheckpointOption,
    CoresOption,
    DevicesOption,
    ExportOption,
    FactoryArgumentsOption,
    FeedBackOption,
    ForceOption,
    InputShapeOption,
    JsonOption,
    KeepFloatOption,
    LikeOption,
    LinkCostOption,
    MemoryLimitOption,
    ModelArgument,
    PauseOption,
    PrecisionOption,
    PrepareLimitOption,
    RuntimeNameOption,
    RuntimeOption,
    SecondsOption,
    ThreadsOption,
    VerifyOption,
    WaitOption,
    WatchdogOption,
    bench_plan,
    limits,
    run_options,
    torch_options,
)

if TYPE_CHECKING:
    from deployx_edge.bundle import Bundle
    from deployx_edge.device import Device
    from deployx_edge.errors import DeployxError
    from deployx_edge.measurement.comparisons import Comparison
    from deployx_edge.measurement.files import FailedRun
    from deployx_edge.measurement.values import BenchResult, RunOptions
    from deployx_edge.workflows.convert.bundle import BundleOptions
    from deployx_edge.workflows.measure.rounds import BenchJob

WarmupOption = Annotated[
    int | None,
    typer.Option("--warmup", min=0, help="Runs before the timed ones: 10, or 3 of each repeat."),
]
IterationsOption = Annotated[
    int | None,
    typer.Option(
        "--iterations",
        "-n",
        min=0,
        help=f"Timed runs of each repeat: 100, or with repeats what fits into {SHORT_SECONDS} s.",
    ),
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output", metavar="FILE.json", help="The file that samples and conditions are written to."
    ),
]
BatchOption = Annotated[
    int, typer.Option("--batch", min=1, help="The number of samples in one run.")
]


def bench(
    model: ModelArgument,
    device: DevicesOption = None,
    everyone: AllOption = False,
    runtime: RuntimeNameOption = None,
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
    like: LikeOption = None,
    batch: BatchOption = 1,
    feed_back: FeedBackOption = None,
    warmup: WarmupOption = None,
    iterations: IterationsOption = None,
    seconds: SecondsOption = 0.0,
    pause: PauseOption = 0.0,
    repeat: RepeatOption = None,
    link: LinkCostOption = True,
    memory_limit: MemoryLimitOption = 0,
    watchdog: WatchdogOption = 60.0,
    prepare_limit: PrepareLimitOption = 600.0,
    wait: WaitOption = True,
    verify: VerifyOption = False,
    force: ForceOption = False,
    compare: CompareOption = None,
    against: AgainstOption = None,
    max_slowdown: MaxSlowdownOption = None,
    output: OutputOption = None,
    export: ExportOption = None,
    json: JsonOption = False,
) -> None:
    """Measure how long a model runs on a board, or on several; raw samples and conditions are kept.

    What a board lacks (agent, worker, bundle) is brought to it first.

    Example: deployx-edge bench model.onnx --device pi --threads 1,2,4 --precision fp32,fp16
    """
    from deployx_edge.bundle import is_sequence
    from deployx_edge.cli.bench_parts import bench_parts
    from deployx_edge.measurement.files import read_runs
    from deployx_edge.workflows.boards.devices import chosen_devices
    from deployx_edge.workflows.convert.bundle import BundleOptions
    from deployx_edge.workflows.convert.finiteness import refuse_not_finite
    from deployx_edge.workflows.measure.rounds import BenchJob

    limit = check_comparison(compare, against, max_slowdown)
    options = run_options(
        threads=threads,
        precision=precision,
        cores=cores,
        accelerator=accelerator,
        switches=option,
    )
    plan = bench_plan(
        warmup=warmup,
        iterations=iterations,
        seconds=seconds,
        pause=pause,
        repeats=repeats(repeat, compare, against),
        feed_back=feed_back,
    )
    devices = chosen_devices(device, everyone)
    earlier = read_runs(compare) if compare else []
    wanted = BundleOptions(
        runtime=runtime,
        input_shapes=tuple(input_shape or ()),
        torch=torch_options(checkpoint, factory_args, "auto", None, "{}", accept_frozen),
        keep_float=tuple(keep_float or ()),
        like=like,
    )
    make_job = partial(
        BenchJob,
        options=options,
        plan=plan,
        limits=limits(memory_limit=memory_limit, watchdog=watchdog, prepare=prepare_limit),
        batch=batch,
        wait=wait,
        force=force,
        earlier=earlier,
        max_slowdown=limit,
        link=link,
        verify=verify,
    )
    if is_sequence(model):
        compared = against is not None or compare is not None
        bench_parts(
            model, devices, make_job, _run, refused=compared, files=(output, export), json=json
        )
        return
    bundle, other = _bundles(model, against, wanted)
    job = make_job(bundle=bundle, against=other)
    results, failures = _run(devices, job)
    comparisons = _show(results, failures, job, len(devices), output, export, json)
    for failure in failures:
        raise typer.Exit(failure.exit_code)
    refuse_not_finite([sentence for result in results for sentence in result.not_finite])
    if limit is not None:
        judge(comparisons, limit)


def _bundles(
    model: Path, against: Path | None, wanted: BundleOptions
) -> tuple[Bundle, Bundle | None]:
    """Of the model, and of the one that it runs against, which takes the inputs' shapes too
    where it is not a bundle yet."""
    from deployx_edge.cli.console import show_progress
    from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle

    with show_progress() as progress:
        bundle = make_bundle(model, options=wanted, progress=progress)
        if against is None:
            return bundle, None
        usual = BundleOptions()
        if not against.is_dir():
            usual = BundleOptions(runtime=wanted.runtime, input_shapes=wanted.input_shapes)
        return bundle, make_bundle(against, options=usual, progress=progress)


def _run(devices: Sequence[Device], job: BenchJob) -> tuple[list[BenchResult], list[FailedRun]]:
    """On one board an error that leaves nothing is the command's; on several it is a row."""
    from deployx_edge.cli.console import show_progress, show_progress_of
    from deployx_edge.workflows.boards.several import run_on_devices
    from deployx_edge.workflows.measure.bench import bench_device

    if len(devices) == 1:
        with show_progress() as progress:
            results, found = bench_device(devices[0], job, progress=progress)
        if found and not results:
            raise found[0].error
        return results, [_failed(f.device, f.error, f.options) for f in found]
    results, failures = [], []
    with show_progress_of([device.name for device in devices]) as progress_of:
        outcomes = run_on_devices(
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
    job: BenchJob,
    boards: int,
    output: Path | None,
    export: Path | None,
    json: bool,
) -> Sequence[Comparison]:
    from deployx_edge.cli.console import draw_report, print_json, print_report
    from deployx_edge.measurement.files import bench_document, write_document
    from deployx_edge.report.bench import bench_report, boards_report
    from deployx_edge.workflows.measure.rounds import compare_results

    comparisons = compare_results(results, job.earlier)
    document = bench_document(results, failures, comparisons)
    written = output or _default_output(results)
    if written:
        write_document(document, written)
    several = boards > 1 or failures
    report = (
        boards_report(results, failures, comparisons)
        if several
        else bench_report(results, comparisons)
    )
    if export:
        draw_report(report, export)
    if json:
        print_json(document)
        return comparisons
    print_report(report)
    if written:
        print_report(f"Raw samples and conditions: {written}")
    return comparisons


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
