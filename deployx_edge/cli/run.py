"""``deployx-edge run``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployx_edge.cli.fallback import AllowFallbackOption, fallback_switches
from deployx_edge.cli.option_values import limits, single_run_options, torch_options
from deployx_edge.cli.options import (
    AcceleratorOption,
    AcceptFrozenOption,
    CheckpointOption,
    CoresOption,
    FactoryArgumentsOption,
    FeedBackOption,
    JsonOption,
    LikeOption,
    MemoryLimitOption,
    ModelArgument,
    OptionalDeviceOption,
    PostprocessOption,
    PrecisionOption,
    PrepareLimitOption,
    PreprocessOption,
    RebuildOption,
    RuntimeNameOption,
    RuntimeOption,
    ThreadsOption,
    VerifyOption,
    WaitOption,
    WatchdogOption,
)
from deployx_edge.errors import DeployxError, UsageError

if TYPE_CHECKING:
    from deployx_edge.cli.console import JsonLines
    from deployx_edge.processing.findings import SampleFound
    from deployx_edge.report.outputs import FoundTables
    from deployx_edge.workflows.measure.recognize import RunSummary
    from deployx_edge.workflows.measure.requests import RunRequest
    from deployx_edge.workflows.measure.streaming import AskedSteps


def run(
    model: ModelArgument,
    input: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            "-i",
            metavar="FILE|FOLDER|NAME:SHAPE|NAME=VALUE",
            help="An image, a folder of images, a video, an .npz with arrays named like the "
            "inputs, or an input's shape where the model leaves it open, or a value that it is "
            "fixed to; may be repeated.",
        ),
    ] = None,
    device: OptionalDeviceOption = None,
    runtime: RuntimeNameOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", metavar="FILE.npz", help="The .npz file that outputs are written to."
        ),
    ] = None,
    preprocess: PreprocessOption = None,
    postprocess: PostprocessOption = None,
    like: LikeOption = None,
    show_dir: Annotated[
        Path | None,
        typer.Option(
            "--show-dir",
            metavar="FOLDER",
            help="A folder for each image with what was found drawn on it; a video becomes one.",
        ),
    ] = None,
    every: Annotated[
        int, typer.Option("--every", min=1, metavar="N", help="Run each Nth frame of a video.")
    ] = 1,
    dump: Annotated[
        list[str] | None,
        typer.Option("--dump", metavar="TENSOR", help="Give a tensor inside the model as well."),
    ] = None,
    feed_back: FeedBackOption = None,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps",
            min=1,
            help="The number of runs with --feed-back; by default that of the arrays given, which "
            "then have an axis of steps in front.",
        ),
    ] = None,
    threads: ThreadsOption = "0",
    precision: PrecisionOption = "fp32",
    cores: CoresOption = "all",
    accelerator: AcceleratorOption = "cpu",
    option: RuntimeOption = None,
    allow_fallback: AllowFallbackOption = False,
    memory_limit: MemoryLimitOption = 0,
    watchdog: WatchdogOption = 60.0,
    prepare_limit: PrepareLimitOption = 600.0,
    rebuild: RebuildOption = False,
    checkpoint: CheckpointOption = None,
    factory_args: FactoryArgumentsOption = "{}",
    accept_frozen: AcceptFrozenOption = False,
    wait: WaitOption = True,
    verify: VerifyOption = False,
    json: JsonOption = False,
) -> None:
    """Run a model on inputs of your own and say what it finds: on a board, or here.

    Classes, boxes and masks are printed as its post-processing has them, by labels and in the
    image's own pixels. Without --device nothing is converted: ONNX Runtime runs the model on this
    computer, which is what a board's outputs are compared with. A bundle runs by its own runtime's
    package.

    Example: deployx-edge run detector -i photos --show-dir drawn --device pi
    """
    from deployx_edge.cli.console import JsonLines, print_report, show_progress
    from deployx_edge.feed_back import parse_feed_back
    from deployx_edge.report.outputs import FoundTables, sample_document
    from deployx_edge.workflows.convert.finiteness import refuse_not_finite
    from deployx_edge.workflows.measure.recognize import RunFiles, recognize
    from deployx_edge.workflows.measure.requests import RunRequest
    from deployx_edge.workflows.measure.run import split_inputs, write_outputs
    from deployx_edge.workflows.measure.streaming import AskedSteps

    stepping = bool(feed_back) or steps is not None
    shapes, files = split_inputs(input or (), may_be_none=stepping)
    request = RunRequest(
        model=model,
        device=device,
        runtime=runtime,
        shapes=tuple(shapes),
        options=single_run_options(
            threads=threads,
            precision=precision,
            cores=cores,
            accelerator=accelerator,
            switches=fallback_switches(allow_fallback, False, option),
        ),
        limits=limits(
            memory_limit=memory_limit, watchdog=watchdog, prepare=prepare_limit, rebuild=rebuild
        ),
        dump=tuple(dump or ()),
        torch=torch_options(checkpoint, factory_args, "auto", None, "{}", accept_frozen),
        preprocess=tuple(preprocess or ()),
        postprocess=tuple(postprocess or ()),
        like=like,
        wait=wait,
        verify=verify,
    )
    if stepping and show_dir is not None:
        raise UsageError("--show-dir draws on images, and the steps of --feed-back have none.")
    if stepping:
        asked = AskedSteps(feeds=parse_feed_back(feed_back or ()), steps=steps, files=tuple(files))
        _run_steps(request, asked, output, json)
        return
    given = RunFiles(paths=files, every=every, show_folder=show_dir, keep=output is not None)
    tables = FoundTables()
    with JsonLines() as lines:

        def take(sample: SampleFound) -> None:
            if json:
                lines.add(sample_document(sample))
            else:
                tables.add(sample)

        try:
            with show_progress() as progress:
                summary = recognize(request, given, take, progress)
        except DeployxError:
            # What was found before is not lost with what went wrong.
            if tables.samples:
                print_report(tables.report())
            raise
        if output:
            write_outputs(summary.arrays, output)
        if json:
            _print_document(summary, lines)
        else:
            _print_tables(summary, tables, output)
    if summary.unreadable is not None:
        raise summary.unreadable
    refuse_not_finite(summary.not_finite)


def _run_steps(request: RunRequest, asked: AskedSteps, output: Path | None, json: bool) -> None:
    """One step after the other, summed up; what images are found to be is not asked of these."""
    from deployx_edge.cli.console import print_json, print_report, show_progress
    from deployx_edge.report.outputs import outputs_document
    from deployx_edge.report.steps import steps_table
    from deployx_edge.workflows.convert.finiteness import refuse_not_finite
    from deployx_edge.workflows.measure.run import write_outputs
    from deployx_edge.workflows.measure.streaming import run_stream

    with show_progress() as progress:
        done = run_stream(request, asked, progress)
    if output:
        write_outputs(done.arrays, output)
    if json:
        document = outputs_document(done.arrays, emulated=done.emulated)
        print_json({**document, "steps": done.steps})
    else:
        print_report(steps_table(done.arrays, done.steps))
        if output:
            print_report(f"Outputs: {output}")
    refuse_not_finite(done.not_finite)


def _print_document(summary: RunSummary, lines: JsonLines) -> None:
    from deployx_edge.report.outputs import outputs_document

    document = outputs_document(
        summary.arrays,
        [(each.name, each.reason) for each in summary.skipped],
        summary.notes,
        [str(path) for path in summary.drawn],
        emulated=summary.emulated,
    )
    lines.print_in(document, "samples")


def _print_tables(summary: RunSummary, tables: FoundTables, output: Path | None) -> None:
    from deployx_edge.cli.console import print_report

    skipped = [(each.name, each.reason) for each in summary.skipped]
    print_report(tables.report(skipped, summary.notes, emulated=summary.emulated))
    if output:
        print_report(f"Outputs: {output}")
    if summary.drawn:
        print_report(f"Drawn: {_listed(summary.drawn)}")


def _listed(drawn: Sequence[Path]) -> str:
    if len(drawn) == 1:
        return str(drawn[0])
    return f"{len(drawn)} files in {drawn[0].parent}"
