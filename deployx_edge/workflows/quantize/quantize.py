"""A model in float comes in, an int8 bundle and what it cost come out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from deployx_edge.bundle import check_output
from deployx_edge.errors import UsageError
from deployx_edge.progress import Progress, silent
from deployx_edge.workflows.quantize import int8_ncnn, int8_onnxruntime
from deployx_edge.workflows.quantize.bundle_source import resolved
from deployx_edge.workflows.quantize.calibration import (
    Material,
    Quantized,
    QuantizeOptions,
    opened_material,
)

__all__ = ["QuantizeOptions", "Quantized", "quantize"]


def quantize(
    model: Path,
    calibration: Path,
    output: Path,
    options: QuantizeOptions | None = None,
    *,
    progress: Progress = silent,
) -> Quantized:
    """Write an int8 bundle of ``model`` to the folder ``output``.

    ``model`` may be a bundle whose source can be had (see ``bundle_source``). ``calibration`` is
    any data set (labels are not needed). Raises UsageError for data that cannot calibrate,
    ModelError where the model cannot be had, VerificationError where the files do not compute
    what their scales say.
    """
    model, chosen = resolved(model, options or QuantizeOptions())
    runtime = chosen.bundle.runtime
    if runtime not in _RUNTIMES:
        raise UsageError(f"int8 can be had for {' or '.join(_RUNTIMES)}, not for '{runtime}'.")
    check_output(output.absolute())
    with opened_material(model, calibration, chosen, progress=progress) as found:
        return _RUNTIMES[runtime](found, output, chosen, progress=progress)


def _for_ncnn(
    material: Material, output: Path, options: QuantizeOptions, *, progress: Progress = silent
) -> Quantized:
    calibrated = int8_ncnn.calibrated(material, options, progress=progress)
    return int8_ncnn.finished(calibrated, output, options, progress=progress)


_RUNTIMES: dict[str, Callable[..., Quantized]] = {
    "ncnn": _for_ncnn,
    "onnxruntime": int8_onnxruntime.quantized,
}
