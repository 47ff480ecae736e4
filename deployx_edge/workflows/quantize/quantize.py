"""A model in float comes in, an int8 bundle and what it cost come out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from deployx_edge.bundle import check_output
from deployx_edge.progress import Progress, silent
from deployx_edge.quantization.report import write_report
from deployx_edge.runtimes import load_runtime
from deployx_edge.runtimes.quantizer import QuantizedModel
from deployx_edge.workflows.convert.conversion import check_soc
from deployx_edge.workflows.convert.kept_float import kept_notes
from deployx_edge.workflows.convert.models import exported_by
from deployx_edge.workflows.convert.unrun import unrun_notes
from deployx_edge.workflows.quantize.bundle_source import resolve
from deployx_edge.workflows.quantize.calibration import (
    OpenedCalibration,
    Quantized,
    QuantizeOptions,
    notes_of,
    open_calibration,
    source_notes,
)

__all__ = ["QuantizeOptions", "Quantized", "quantize", "write_quantized"]


def quantize(
    model: Path,
    calibration: Path,
    output: Path,
    options: QuantizeOptions | None = None,
    *,
    progress: Progress = silent,
) -> Quantized:
    """Write an int8 bundle of ``model`` to the folder ``output``.

    ``model`` may be a bundle whose source is available (see ``bundle_source``). ``calibration`` is
    any data set (labels are not needed). Raises UsageError for data that cannot calibrate,
    ModelError where the model is not available, VerificationError where the files do not compute
    what their scales say.
    """
    model, chosen = resolve(model, options or QuantizeOptions())
    check_soc(chosen.bundle)
    quantizer = load_runtime(chosen.bundle.chosen_runtime).make_quantizer()
    check_output(output.absolute())
    with open_calibration(model, calibration, chosen, progress=progress) as opened:
        made = quantizer.quantize(opened.material, chosen.int8, progress=progress)
        return write_quantized(opened, made, output, chosen.bundle.name)


def write_quantized(
    opened: OpenedCalibration, made: QuantizedModel, output: Path, name: str | None
) -> Quantized:
    """What came of it, as a bundle in the folder ``output``."""
    material = opened.material
    path = material.folder / "report.json"
    write_report(made.report, path)
    source = material.source
    bundle = opened.write(
        made.model,
        replace(made.verification, samples=material.verified_samples),
        (*made.tools, *exported_by(source.metadata)),
        path,
        output,
        name=name,
        notes=(
            *(*source_notes(source), *notes_of(made.report)),
            *(*kept_notes(made.model, ()), *unrun_notes(made.model.runtime)),
        ),
    )
    return Quantized(bundle=bundle, report=made.report)
