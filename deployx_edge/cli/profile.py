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
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="layer|type",
            help="Sum up by layer or by type of layer, what takes longest first; by default layers "
            "in the order in which they run.",
        ),
    ] = None,
    top: Annotated[
        int | None, typer.Option("--top", min=1, help="Show this many rows at most.")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            "--against",
            metavar="MODEL",
            help="Another model or bundle, whose layers are shown beside those of the same names.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show which layers the time goes to, and the precision that each really ran in.

    Example: deployx-edge profile model.onnx --device pi --threads 4
    """
    from deployx_edge.cli.console import draw_report, print_json, print_report, show_progress
    from deployx_edge.config import load_config
    from deployx_edge.measurement.files import profile_document, write_document
    from deployx_edge.report.profile import check_view, profile_report, profiles_report
    from deployx_edge.worker_facts import check_options
    from deployx_edge.workflows.boards.session import open_session
    from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
    from deployx_edge.workflows.convert.finiteness import refuse_not_finite
    from deployx_edge.workflows.measure.bench import profile as profile_workflow

    check_view(by)
    options = single_run_options(
        threads=threads,
        precision=precision,
        cores=cores,
        accelerator=accelerator,
        switches=option,
    )
    chosen = load_config().find_device(device)
    wanted = BundleOptions(runtime=runtime, input_shapes=tuple(input_shape or ()))
    models = [model] if against is None else [model, against]
    with show_progress() as progress:
        bundles = [make_bundle(each, options=wanted, progress=progress) for each in models]
        for bundle in bundles:
            check_options(bundle.runtime, options.named)
        purpose = f"profile {bundles[0].name}"
        with open_session(
            chosen, purpose=purpose, wait=wait, verify=verify, progress=progress
        ) as session:
            results = [
                profile_workflow(
                    session,
                    bundle,
                    options=options,
                    warmup=warmup,
                    iterations=iterations,
                    limits=limits(
                        memory_limit=memory_limit, watchdog=watchdog, prepare=prepare_limit
                    ),
                )
                for bundle in bundles
            ]
    document = profile_document(*results)
    view = by or ("layer" if top else None)
    alone = len(results) == 1
    report = profile_report(results[0], view, top) if alone else profiles_report(results, view, top)
    if output:
        write_document(document, output)
    if export:
        draw_report(report, export)
    if json:
        print_json(document)
    else:
        print_report(report)
    refuse_not_finite([sentence for result in results for sentence in result.not_finite])
