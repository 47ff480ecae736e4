"""What every quantization begins with: a model, and data to calibrate on that can serve."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from deployx_edge import __version__
from deployx_edge.bundle import Bundle, Verification
from deployx_edge.comparison import structured_inputs
from deployx_edge.errors import UsageError
from deployx_edge.evaluation.data.datasets import Dataset, open_dataset
from deployx_edge.model import PostProcessing, PreProcessing, parse_inputs
from deployx_edge.progress import Progress, Share, Stage, silent
from deployx_edge.quantization.ppq import ppq_version
from deployx_edge.quantization.report import (
    CalibrationData,
    QuantizationReport,
    too_few,
)
from deployx_edge.quantization.values import PRESETS, QuantizationSettings
from deployx_edge.runtimes.batches import takes_batches
from deployx_edge.runtimes.converter import ConvertedModel, input_specs
from deployx_edge.runtimes.quantizer import Int8Options, Material
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx.file import OnnxSource, SourceTensor, read_onnx
from deployx_edge.sources.onnx.foreign import refuse_foreign
from deployx_edge.workflows.convert.bundle import BundleOptions, write_made
from deployx_edge.workflows.convert.conversion import (
    Made,
    source_outputs,
    source_postprocessing,
    source_preprocessing,
)
from deployx_edge.workflows.convert.models import OpenedModel, notes_in, open_source_model
from deployx_edge.workflows.convert.presets import open_shapes

LEAST_SAMPLES = 8
_NAMED = 10  # of the samples that are left out


@dataclass(frozen=True, kw_only=True)
class QuantizeOptions:
    """How an int8 bundle is made.

    ``count`` samples of the calibration data are taken, the same for the same seed of
    ``settings``. ``preset`` is only told. ``keep_float`` names layers that stay floats.
    ``images`` is the folder of the images that a list names. ``bundle``: runtime, shapes, pre-
    and post-processing, name (see ``BundleOptions``).
    """

    count: int = 128
    preset: str | None = "balanced"
    settings: QuantizationSettings = PRESETS["balanced"]
    keep_float: tuple[str, ...] = ()
    images: Path | None = None
    bundle: BundleOptions = field(default_factory=BundleOptions)

    @property
    def int8(self) -> Int8Options:
        """What a runtime's quantizer is told of it."""
        return Int8Options(
            settings=self.settings,
            preset=self.preset,
            keep_float=self.keep_float,
            accept_unproven=self.bundle.accept_unproven,
            soc=self.bundle.soc or "",
            allow_fallback=self.bundle.allow_fallback,
        )


@dataclass(frozen=True, kw_only=True)
class Quantized:
    """The bundle, and what is to be told of it."""

    bundle: Bundle
    report: QuantizationReport


@dataclass(frozen=True, kw_only=True)
class OpenedCalibration:
    """A model with what it is calibrated on, where it came from, and what is done around it."""

    material: Material
    opened: OpenedModel
    preprocessing: tuple[PreProcessing, ...]
    postprocessing: tuple[PostProcessing, ...]

    def write(
        self,
        model: ConvertedModel,
        verification: Verification,
        tools: tuple[tuple[str, str], ...],
        report: Path,
        output: Path,
        *,
        name: str | None = None,
        notes: tuple[str, ...] = (),
    ) -> Bundle:
        """The bundle in the folder ``output``; ``report`` tells of how it was quantized."""
        made = Made(
            model=replace(model, files=(*model.files, ("quantization", report))),
            preprocessing=self.preprocessing,
            postprocessing=self.postprocessing,
            verification=verification,
            tools=(("deployx-edge", __version__), *tools, ("esp-ppq", ppq_version())),
            notes=notes,
        )
        return write_made(made, self.opened, output, name)


@contextmanager
def open_calibration(
    model: Path, calibration: Path, options: QuantizeOptions, *, progress: Progress = silent
) -> Iterator[OpenedCalibration]:
    """Open the model and its calibration data.

    Raises UsageError where the data cannot calibrate it, ModelError where it cannot be read.
    """
    ppq_version()
    requests = parse_inputs(options.bundle.input_shapes)
    with (
        tempfile.TemporaryDirectory(prefix="deployx-edge-int8-") as work,
        open_source_model(model, options.bundle.torch, requests, progress=progress) as opened,
    ):
        if opened.path.suffix != ".onnx":
            raise UsageError(
                f"{model} is not a model to quantize: scales are found on ONNX models, PyTorch's, "
                "and bundles whose source is available.",
                remedy="Name the source that it was converted from.",
            )
        if options.bundle.like:
            words = options.bundle.input_shapes
            shapes = open_shapes(options.bundle.like, opened.path, words, progress)
            requests = parse_inputs((*words, *shapes))
        source = read_onnx(opened.path, requests)
        refuse_foreign(source)
        for note in source_notes(source):
            progress(Stage(text=note))
        preprocessing = source_preprocessing(source, options.bundle, progress)
        reference = Reference(source)
        made_up = structured_inputs(source.inputs, preprocessing)
        results = [reference.run(arrays) for arrays in made_up]
        _check_single(source, source_outputs(source, results[0]))
        data, described = _calibration_data(calibration, source, preprocessing, options, progress)
        given = reference.run(next(iter(data)).inputs)
        material = Material(
            source=source,
            name=opened.name,
            data=data,
            calibration=described,
            outputs=source_outputs(source, given),
            made_up=tuple(a for a, found in zip(made_up, results, strict=True) if _finite(found)),
            folder=Path(work),
        )
        yield OpenedCalibration(
            material=material,
            opened=opened,
            preprocessing=preprocessing,
            postprocessing=source_postprocessing(source, given, options.bundle, progress),
        )


def source_notes(source: OnnxSource) -> tuple[str, ...]:
    """What is to be told of how the model came in, aloud and in the bundle."""
    return (*source.notes, *notes_in(source.metadata))


def _finite(outputs: Mapping[str, Any]) -> bool:
    import numpy as np

    return all(bool(np.isfinite(array).all()) for array in outputs.values())


def _check_single(source: OnnxSource, outputs: Sequence[SourceTensor]) -> None:
    if takes_batches(source, outputs):
        first = source.inputs[0]
        shape = "x".join(map(str, (1, *first.shape[1:])))
        raise UsageError(
            f"The input '{first.name}' takes {first.shape[0]} samples at once; a model is "
            "quantized for one.",
            remedy=f"Export it with an open batch axis, and give --input {first.name}:{shape}.",
        )


def _calibration_data(
    path: Path,
    source: OnnxSource,
    preprocessing: Sequence[PreProcessing],
    options: QuantizeOptions,
    progress: Progress,
) -> tuple[Dataset, CalibrationData]:
    """The data, and what a report says of it: known once all of it was read."""
    data = open_dataset(
        path,
        inputs=input_specs(source),
        preprocessing=preprocessing,
        limit=options.count,
        seed=options.settings.seed,
        labelled=False,
        varied=True,
        images=options.images,
    )
    progress(Stage(text="Reading the calibration data"))
    count = 0
    for count, _ in enumerate(data, start=1):
        progress(Share(done=count, total=len(data), of="samples"))
    for told in (*data.notes, *_left_out(data)):
        progress(Stage(text=told))
    reason = too_few(path, count, len(data.content_hashes()), LEAST_SAMPLES)
    if reason is not None:
        raise UsageError(
            reason, remedy="Give a hundred images as the model sees them in use (--calibration)."
        )
    described = CalibrationData(
        dataset=path.name,
        kind=data.kind,
        samples=count,
        skipped=len(data.skipped),
        sha256=data.digest,
        sample_sha256=tuple(sorted(data.content_hashes())),
    )
    return data, described


def _left_out(data: Dataset) -> Iterator[str]:
    for item in data.skipped[:_NAMED]:
        yield f"Left out: {item.name}: {item.reason}"
    if len(data.skipped) > _NAMED:
        yield f"Left out: {len(data.skipped) - _NAMED} more"


def notes_of(report: QuantizationReport) -> tuple[str, ...]:
    """What a bundle's manifest says of how it was quantized."""
    kept = sum(layer.mode == "float" for layer in report.layers)
    count = len(report.layers)
    data = report.calibration
    if report.own_calibration:
        return (
            f"int8: {count - kept} of {count} layers with weights, on {data.samples} samples of "
            f"{data.dataset}, not by PPQ: {report.own_calibration}. The comparison here is with "
            "the source, with what int8 costs in it.",
        )
    return (
        f"int8: {count - kept} of {count} layers with weights, calibrated on {data.samples} "
        f"samples of {data.dataset}. The comparison here is with the same arithmetic in floats; "
        "what int8 cost against the source is in the file of the role 'quantization'.",
    )
