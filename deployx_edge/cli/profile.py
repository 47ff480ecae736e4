"""``deployx-edge profile``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployx_edge.cli.options import (
    AcceleratorOption,
    CoresOption,
    DeviceOption,
    ExportOption,
    InputShapeOption,
    IterationsOption,
    JsonOption,
    MemoryLimitOption,
    ModelArgument,
    PrecisionOption,
    PrepareLimitOption,
    RuntimeNameOption,
    RuntimeOption,
    ThreadsOption,
    VerifyOption,
    WaitOption,
    WarmupOption,
    WatchdogOption,
    limits,
    single_run_options,
)


def profile(
    model: ModelArgument,
    device: DeviceOption,
    runtime: RuntimeNameOption = None,
    threads: ThreadsOption = "0",
    precision: PrecisionOption = "fp32",
    cores: CoresOption = "all",
    accelerator: AcceleratorOption = "cpu",
    option: RuntimeOption = None,
    input_shape: InputShapeOption = None,
    warmup: WarmupOption = 5,
    iterations: IterationsOption = 50,
    memory_limit: MemoryLimitOption = 0,
    watchdog: WatchdogOption = 60.0,
    prepare_limit: PrepareLimitOption = 600.0,
    wait: WaitOption = True,
    verify: VerifyOption = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", metavar="FILE.json", help="Write it as JSON to this file as well."
        ),
    ] = None,
    export: ExportOption = None,
    json: JsonOption = False,
) -> None:
    """Show which layers the time goes to, and the precision that each really ran in.

    Example: deployx-edge profile model.onnx --device pi --threads 4
    """
    from deployx_edge.cli.console import draw_report, print_json, print_report, show_progress
    from deployx_edge.config import load_config
    from deployx_edge.measurement.files import profile_document, write_document
    from deployx_edge.report.profile import profile_report
    from deployx_edge.worker_facts import check_options
    from deployx_edge.workflows.boards.session import open_session
    from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
    from deployx_edge.workflows.convert.finiteness import refuse_not_finite
    from deployx_edge.workflows.measure.bench import profile as profile_workflow

    options = single_run_options(
        threads=threads,
        precision=precision,
        cores=cores,
        accelerator=accelerator,
        switches=option,
    )
    chosen = load_config().find_device(device)
    wanted = BundleOptions(runtime=runtime, input_shapes=tuple(input_shape or ()))
    with show_progress() as progress:
        bundle = make_bundle(model, options=wanted, progress=progress)
        check_options(bundle.runtime, options.named)
        purpose = f"profile {bundle.name}"
        with open_session(
            chosen, purpose=purpose, wait=wait, verify=verify, progress=progress
        ) as session:
            result = profile_workflow(
                session,
                bundle,
                options=options,
                warmup=warmup,
                iterations=iterations,
                limits=limits(memory_limit=memory_limit, watchdog=watchdog, prepare=prepare_limit),
            )
    document = profile_document(result)
    if output:
        write_document(document, output)
    if export:
        draw_report(profile_report(result), export)
    if json:
        print_json(document)
    else:
        print_report(profile_report(result))
    refuse_not_finite(result.not_finite)
