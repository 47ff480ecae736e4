"""``deployx-edge bench`` and ``push-and-bench``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployx_edge.cli.bench_comparison import (
    AccuracyDataOption,
    AgainstOption,
    CalibrationOption,
    CompareOption,
    MaxSlowdownOption,
    RepeatOption,
    TopOption,
    check_comparison,
    judge,
    repeats,
)
from deployx_edge.cli.fallback import (
    AllowFallbackOption,
    FailOnFallbackOption,
    fail_at_conversion,
    fallback_switches,
    refuse_fallback,
)
from deployx_edge.cli.option_values import (
    limits,
    one_runtime,
    run_options,
    runtime_words,
    torch_options,
)
from deployx_edge.cli.options import (
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
    ImagesOption,
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
    RebuildOption,
    RuntimeOption,
    RuntimesOption,
    SecondsOption,
    ThreadsOption,
    VerifyOption,
    WaitOption,
    WatchdogOption,
)

if TYPE_CHECKING:
    from deployx_edge.bundle import Bundle
    from deployx_edge.cli.bench_results import Benched
    from deployx_edge.device import Device
    from deployx_edge.measurement.files import FailedRun
    from deployx_edge.measurement.values import BenchPlan, RunOptions
    from deployx_edge.workflows.convert.models import TorchOptions
    from deployx_edge.workflows.convert.options import BundleOptions
    from deployx_edge.workflows.measure.jobs import BenchJob

# Of one of many repeats where nobody said for how long.
SHORT_SECONDS = 0.2
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
    runtime: RuntimesOption = None,
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
    rebuild: RebuildOption = False,
    allow_fallback: AllowFallbackOption = False,
    fail_on_fallback: FailOnFallbackOption = False,
    wait: WaitOption = True,
    verify: VerifyOption = False,
    force: ForceOption = False,
    compare: CompareOption = None,
    against: AgainstOption = None,
    max_slowdown: MaxSlowdownOption = None,
    calibration: CalibrationOption = None,
    dataset: AccuracyDataOption = None,
    images: ImagesOption = None,
    top: TopOption = None,
    output: OutputOption = None,
    export: ExportOption = None,
    json: JsonOption = False,
) -> None:
    """Measure how long a model runs on a board, or on several; raw samples and conditions are kept.

    What a board lacks (agent, worker, bundle) is brought to it first. Several runtimes, or int8
    made of a source model, end in one table that says which is best.

    Example: deployx-edge bench model.onnx --device pi --threads 1,2,4 --precision fp32,fp16
    """
    from deployx_edge.bundle import is_sequence
    from deployx_edge.cli.bench_parts import bench_parts
    from deployx_edge.cli.bench_results import show_results
    from deployx_edge.measurement.fallback import allows_fallback
    from deployx_edge.measurement.files import read_runs
    from deployx_edge.workflows.boards.devices import chosen_devices
    from deployx_edge.workflows.convert.finiteness import refuse_not_finite
    from deployx_edge.workflows.measure.jobs import BenchJob

    limit = check_comparison(compare, against, max_slowdown)
    options = run_options(
        threads=threads,
        precision=precision,
        cores=cores,
        accelerator=accelerator,
        switches=fallback_switches(allow_fallback, fail_on_fallback, option),
    )
    request = BenchRequest(
        model=model,
        options=options,
        runtimes=runtime_words(runtime),
        bundle=_bundle_options(
            input_shape,
            keep_float,
            like,
            torch_options(checkpoint, factory_args, "auto", None, "{}", accept_frozen),
            allows_fallback(options[0].named),
        ),
        against=against,
        calibration=calibration,
        dataset=dataset,
        images=images,
        top=top,
        wait=wait,
    )
    times = repeats(repeat, compare, against, request.candidates)
    make_job = partial(
        BenchJob,
        options=options,
        plan=bench_plan(
            warmup=warmup,
            iterations=iterations,
            seconds=seconds,
            pause=pause,
            repeats=times,
            feed_back=feed_back,
        ),
        limits=limits(
            memory_limit=memory_limit, watchdog=watchdog, prepare=prepare_limit, rebuild=rebuild
        ),
        batch=batch,
        wait=wait,
        force=force,
        earlier=read_runs(compare) if compare else [],
        max_slowdown=limit,
        link=link,
        verify=verify,
    )
    devices = chosen_devices(device, everyone)
    if is_sequence(model):
        compared = against is not None or compare is not None
        files = (output, export)
        parts = bench_parts(
            model, devices, make_job, options, refused=compared, files=files, json=json
        )
        refuse_fallback(fail_on_fallback, ((r.device.name, r.fell_back) for r in parts))
        return
    with fail_at_conversion(fail_on_fallback):
        found = request.run(devices, make_job)
    comparisons = show_results(found, output, export, json)
    for failure in request.failures_of(found):
        raise typer.Exit(failure.exit_code)
    refuse_not_finite([sentence for result in found.results for sentence in result.not_finite])
    refuse_fallback(fail_on_fallback, ((r.device.name, r.fell_back) for r in found.results))
    if limit is not None:
        judge(comparisons, limit)


@dataclass(frozen=True, kw_only=True)
class BenchRequest:
    """What is to be benched: one bundle as it is, or candidates in a table."""

    model: Path
    options: Sequence[RunOptions]
    runtimes: tuple[str, ...]
    bundle: BundleOptions
    against: Path | None
    calibration: Path | None
    dataset: Path | None
    images: Path | None
    top: int | None
    wait: bool

    def __post_init__(self) -> None:
        from deployx_edge.cli.bench_table import check_table

        if self.is_table:
            check_table(self.against)

    @property
    def precisions(self) -> tuple[str, ...]:
        """Those that were asked for, each once."""
        return tuple(dict.fromkeys(each.precision for each in self.options))

    @property
    def is_table(self) -> bool:
        """Whether candidates are to be told apart."""
        from deployx_edge.cli.bench_table import is_table

        more = (self.calibration, self.dataset, self.top)
        return is_table(self.model, self.runtimes, self.precisions, more)

    @property
    def candidates(self) -> int:
        """How many run in turn; 0 without a table."""
        return max(1, len(self.runtimes)) * len(self.precisions) if self.is_table else 0

    def run(self, devices: Sequence[Device], make_job: Callable[..., BenchJob]) -> Benched:
        """Bring in the model, and bench it."""
        from deployx_edge.cli.bench_results import run_job
        from deployx_edge.cli.chip import chips_of

        socs = chips_of(self.model, self.runtimes, devices, wait=self.wait)
        if self.is_table:
            return self._run_table(devices, make_job, socs)
        runtime = one_runtime(self.runtimes)
        wanted = replace(self.bundle, runtime=runtime, soc=socs.get(runtime or ""))
        bundle, other = _bundles(self.model, self.against, wanted)
        return run_job(devices, make_job(bundle=bundle, against=other))

    def _run_table(
        self,
        devices: Sequence[Device],
        make_job: Callable[..., BenchJob],
        socs: Mapping[str, str],
    ) -> Benched:
        from deployx_edge.cli.bench_table import bench_table
        from deployx_edge.workflows.choose.candidates import Wanted, usual_runtime
        from deployx_edge.workflows.evaluate.case import EvaluationOptions

        runs = dict.fromkeys(replace(each, precision="fp32") for each in self.options)
        wanted = Wanted(
            model=self.model,
            runtimes=self.runtimes or (usual_runtime(self.model),),
            precisions=self.precisions,
            options=tuple(runs),
            bundle=self.bundle,
            socs=socs,
            calibration=self.calibration,
            images=self.images,
        )
        return bench_table(
            wanted,
            devices,
            make_job,
            dataset=self.dataset,
            evaluation=EvaluationOptions(images=self.images),
            top=self.top,
        )

    def failures_of(self, found: Benched) -> Sequence[FailedRun]:
        """Those that end the command with their exit code."""
        from deployx_edge.cli.bench_table import real_failures

        return real_failures(found.failures) if self.is_table else found.failures


def _bundle_options(
    input_shapes: Sequence[str] | None,
    keep_float: Sequence[str] | None,
    like: str | None,
    torch: TorchOptions,
    allow_fallback: bool,
) -> BundleOptions:
    from deployx_edge.workflows.convert.options import BundleOptions

    return BundleOptions(
        input_shapes=tuple(input_shapes or ()),
        keep_float=tuple(keep_float or ()),
        like=like,
        torch=torch,
        allow_fallback=allow_fallback,
    )


def bench_plan(
    *,
    warmup: int | None,
    iterations: int | None,
    seconds: float,
    pause: float,
    repeats: int = 1,
    feed_back: list[str] | None = None,
) -> BenchPlan:
    """What was not asked for (None, 0 seconds) is a plan of 100 runs, or short repeats."""
    from deployx_edge.feed_back import parse_feed_back
    from deployx_edge.measurement.values import BenchPlan

    if iterations is None and not seconds:
        iterations, seconds = (100, 0.0) if repeats == 1 else (0, SHORT_SECONDS)
    if warmup is None:
        warmup = 10 if repeats == 1 else 3
    return BenchPlan(
        warmup=warmup,
        iterations=0 if seconds else iterations or 0,
        seconds=seconds,
        pause_seconds=pause,
        repeats=repeats,
        feed_back=parse_feed_back(feed_back or ()),
    )


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
            usual = BundleOptions(
                runtime=wanted.runtime, input_shapes=wanted.input_shapes, soc=wanted.soc
            )
        return bundle, make_bundle(against, options=usual, progress=progress)
