"""Commands that do the same for several runtimes: one row each, also for those that refuse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployx_edge.errors import UsageError

if TYPE_CHECKING:
    from deployx_edge.bundle import Bundle
    from deployx_edge.progress import Progress
    from deployx_edge.quantization.report import Sensitivity
    from deployx_edge.workflows.convert.options import BundleOptions
    from deployx_edge.workflows.quantize.calibration import Quantized

    Quantization = tuple[Quantized, Sensitivity | None]
    MakeQuantization = Callable[[str, Path, Progress], Quantization]


def refuse_partition(partition: Sequence[str] | None) -> None:
    """UsageError: a cut names the runtimes of its parts itself."""
    if partition:
        raise UsageError(
            "--partition makes one sequence, and there are several runtimes or precisions.",
            remedy="Name the runtime of each part: --partition TENSOR=RUNTIME.",
        )


def convert_each(
    model: Path,
    output: Path,
    runtimes: Sequence[str],
    precisions: Sequence[str],
    options: BundleOptions,
    json: bool,
) -> None:
    """A bundle for each runtime and precision, in a folder of its name in ``output``.

    The name is the runtime's, followed by the precision where there are several of these.
    """
    from dataclasses import replace

    from deployx_edge.cli.console import print_json, print_report, show_progress
    from deployx_edge.report.several import BundleRow, bundles_document, bundles_table
    from deployx_edge.workflows.choose.candidates import usual_runtime
    from deployx_edge.workflows.choose.trying import check_parent, try_each
    from deployx_edge.workflows.convert.bundle import make_bundle

    check_parent(output)

    def make(runtime: str, precision: str) -> Bundle:
        name = runtime if len(precisions) < 2 else f"{runtime}-{precision}"
        stored = replace(options, runtime=runtime, precision=precision)
        return make_bundle(model, output / name, stored, progress=progress)

    with show_progress() as progress:
        tried = try_each(
            model,
            runtimes or [usual_runtime(model)],
            precisions or ["fp32"],
            make,
            progress,
        )
    rows = [BundleRow.of(each.runtime, each.precision, each.value, each.error) for each in tried]
    if json:
        print_json(bundles_document(rows))
    else:
        print_report(bundles_table(rows, f"{model.name} in {output}"))


def quantize_each(
    model: Path,
    output: Path,
    runtimes: Sequence[str],
    make: MakeQuantization,
    json: bool,
    export: Path | None,
) -> None:
    """An int8 bundle for each runtime, in a folder of its name in ``output``."""
    from deployx_edge.cli.console import draw_report, print_json, print_report, show_progress
    from deployx_edge.report.quantization import quantization_document
    from deployx_edge.report.several import BundleRow, bundles_document, bundles_table
    from deployx_edge.workflows.choose.trying import check_parent, try_each

    check_parent(output)
    with show_progress() as progress:
        tried = try_each(
            model,
            runtimes,
            ["int8"],
            lambda runtime, _: make(runtime, output / runtime, progress),
            progress,
        )
    rows = []
    documents: list[dict[str, Any] | None] = []
    for each in tried:
        made, found = each.value if each.value is not None else (None, None)
        bundle = None if made is None else made.bundle
        report = None if made is None else made.report
        rows.append(BundleRow.of(each.runtime, each.precision, bundle, each.error, report))
        documents.append(
            None if made is None else quantization_document(made.bundle, made.report, found)
        )
    shown = bundles_table(rows, f"{model.name} in {output}")
    if json:
        print_json(bundles_document(rows, documents))
    else:
        print_report(shown)
    if export:
        draw_report(shown, export)
