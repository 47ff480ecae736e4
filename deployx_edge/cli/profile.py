"""``deployx-edge profile``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
    precision_words,
    runtime_words,
    single_run_options,
)
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
    RebuildOption,
    RuntimeOption,
    RuntimesOption,
    ThreadsOption,
    VerifyOption,
    WaitOption,
    WarmupOption,
    WatchdogOption,
)
from deployx_edge.errors import UsageError

if TYPE_CHECKING:
    from deployx_edge.workflows.choose.trying import Tried


def profile(
    model: ModelArgument,
    device: DeviceOption,
    runtime: RuntimesOption = None,
    threads: ThreadsOption = "0",
    precision: PrecisionOption = "fp32",
    cores: CoresOption = "all",
    accelerator: AcceleratorOption = "cpu",
    option: RuntimeOption = None,
    allow_fallback: AllowFallbackOption = False,
    fail_on_fallback: FailOnFallbackOption = False,
    input_shape: InputShapeOption = None,
    warmup: WarmupOption = 5,
    iterations: IterationsOption = 50,
    memory_limit: MemoryLimitOption = 0,
    watchdog: WatchdogOption = 60.0,
    prepare_limit: PrepareLimitOption = 600.0,
    rebuild: RebuildOption = False,
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

    Of several runtimes or precisions side by side; int8 of a source takes its scales from inputs
    that are made up, as only its times are told.

    Example: deployx-edge profile model.onnx --device pi --threads 4
    """
    from functools import partial
    from tempfile import TemporaryDirectory

    from deployx_edge.cli.chip import chips_of
    from deployx_edge.cli.console import draw_report, print_json, print_report, show_progress
    from deployx_edge.cli.several_profiles import make_each, profile_each
    from deployx_edge.config import load_config
    from deployx_edge.measurement.fallback import allows_fallback
    from deployx_edge.measurement.files import profile_document, write_document
    from deployx_edge.report.profile import check_view, profile_report, profiles_report
    from deployx_edge.report.refusals import refusal_document, with_refusals
    from deployx_edge.workflows.boards.left_nodes import check_run
    from deployx_edge.workflows.boards.session import open_session
    from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
    from deployx_edge.workflows.convert.finiteness import refuse_not_finite
    from deployx_edge.workflows.measure.bench import profile as profile_workflow

    check_view(by)
    switches = fallback_switches(allow_fallback, fail_on_fallback, option)
    precisions = precision_words(precision)
    options, *_ = (
        single_run_options(
            threads=threads,
            precision=each,
            cores=cores,
            accelerator=accelerator,
            switches=switches,
        )
        for each in precisions
    )
    chosen = load_config().find_device(device)
    runtimes = runtime_words(runtime)
    several = len(runtimes) > 1 or len(precisions) > 1
    if against is not None and several:
        raise UsageError(
            "--against is another model, and there are several runtimes or precisions already."
        )
    socs = chips_of(model, runtimes, [chosen], wait=wait)
    only = one_runtime(runtimes)
    wanted = BundleOptions(
        runtime=only,
        soc=None if several else socs.get(only or ""),
        input_shapes=tuple(input_shape or ()),
        allow_fallback=allows_fallback(options.named),
    )
    models = [model] if against is None else [model, against]
    refused: list[Tried[Any]] = []
    with (
        fail_at_conversion(fail_on_fallback),
        show_progress() as progress,
        TemporaryDirectory(prefix="deployx-edge-") as folder,
    ):
        if several:
            ways = (runtimes, precisions)
            made, refused = make_each(model, ways, options, wanted, socs, Path(folder), progress)
            bundles = [each.bundle for each in made]
        else:
            bundles = [make_bundle(each, options=wanted, progress=progress) for each in models]
            for bundle in bundles:
                check_run(bundle, options.named)
        purpose = f"profile {bundles[0].name}"
        with open_session(
            chosen, purpose=purpose, wait=wait, verify=verify, progress=progress
        ) as session:
            profile_one = partial(
                profile_workflow,
                session,
                warmup=warmup,
                iterations=iterations,
                limits=limits(
                    memory_limit=memory_limit,
                    watchdog=watchdog,
                    prepare=prepare_limit,
                    rebuild=rebuild,
                ),
            )
            if several:
                results, more = profile_each(model, made, profile_one, progress)
                refused += more
            else:
                results = [profile_one(bundle, options=options) for bundle in bundles]
    document = profile_document(*results)
    if several:
        document["refused"] = [refusal_document(each) for each in refused]
    view = by or ("layer" if top else None)
    alone = len(results) == 1
    report = profile_report(results[0], view, top) if alone else profiles_report(results, view, top)
    report = with_refusals(report, refused)
    if output:
        write_document(document, output)
    if export:
        draw_report(report, export)
    if json:
        print_json(document)
    else:
        print_report(report)
    refuse_not_finite([sentence for result in results for sentence in result.not_finite])
    refuse_fallback(fail_on_fallback, ((r.device.name, r.fell_back) for r in results))
