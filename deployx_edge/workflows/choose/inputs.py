"""Inputs of a source model where the user gave none, and what the source gives for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from deployx_edge.comparison import LEAST_INPUTS, is_finite, structured_inputs
from deployx_edge.errors import UsageError
from deployx_edge.evaluation.data.datasets import open_dataset
from deployx_edge.model import PreProcessing, parse_inputs
from deployx_edge.progress import Progress, Stage, silent
from deployx_edge.runtimes.converter import input_specs
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx.file import OnnxSource, read_onnx
from deployx_edge.workflows.convert.conversion import source_preprocessing
from deployx_edge.workflows.convert.models import open_source_model
from deployx_edge.workflows.convert.options import BundleOptions
from deployx_edge.workflows.convert.presets import open_shapes
from deployx_edge.workflows.quantize.bundle_source import resolve
from deployx_edge.workflows.quantize.calibration import QuantizeOptions

if TYPE_CHECKING:
    from deployx_edge.model import Array

# Series of made-up inputs, six sets each: to calibrate on, and to hold outputs against each other.
_CALIBRATION_SERIES = range(1, 5)
_ERROR_SERIES = range(2)
_ERROR_INPUTS = 12


@dataclass(frozen=True, kw_only=True)
class SourceSide:
    """What a source gives for some inputs; ``described`` says which: "12 inputs made up"."""

    inputs: tuple[Mapping[str, Array], ...]
    outputs: tuple[Mapping[str, Array], ...]
    described: str


def write_calibration(model: Path, options: BundleOptions, path: Path) -> None:
    """Made-up inputs as a data set to calibrate on, in the ``.npz`` file ``path``."""
    import numpy as np

    with _open(model, options) as (source, preprocessing):
        sets = [
            arrays
            for series in _CALIBRATION_SERIES
            for arrays in structured_inputs(source.inputs, preprocessing, series=series)
        ]
        content = {}
        for spec in input_specs(source):
            arrays = [each[spec.name] for each in sets]
            axis = spec.batch_axis
            content[spec.name] = (
                np.stack(arrays) if axis is None else np.concatenate(arrays, axis=axis)
            )
    np.savez(path, **content)  # type: ignore[arg-type]


def source_side(
    model: Path, options: BundleOptions, data: Path | None, images: Path | None, progress: Progress
) -> SourceSide | None:
    """What the model's source gives for samples of ``data``, or for inputs that are made up.

    None where the source is not available: a runtime's own files, a bundle without it.
    """
    progress(Stage(text="Running the source in ONNX Runtime"))
    try:
        with _open(model, options) as (source, preprocessing):
            return _run(source, preprocessing, data, images)
    except UsageError:
        if model.is_dir() or model.suffix != ".onnx":
            return None
        raise


def _run(
    source: OnnxSource,
    preprocessing: Sequence[PreProcessing],
    data: Path | None,
    images: Path | None,
) -> SourceSide:
    inputs, described = _samples(source, preprocessing, data, images)
    reference = Reference(source)
    both = [(arrays, reference.run(arrays)) for arrays in inputs]
    usable = [(a, outputs) for a, outputs in both if is_finite(outputs.values())]
    return SourceSide(
        inputs=tuple(arrays for arrays, _ in usable),
        outputs=tuple(outputs for _, outputs in usable),
        described=f"{len(usable)} {described}",
    )


def _samples(
    source: OnnxSource,
    preprocessing: Sequence[PreProcessing],
    data: Path | None,
    images: Path | None,
) -> tuple[Sequence[Mapping[str, Array]], str]:
    if data is not None:
        found = open_dataset(
            data,
            inputs=input_specs(source),
            preprocessing=preprocessing,
            limit=_ERROR_INPUTS,
            labelled=False,
            images=images,
        )
        inputs = [dict(sample.inputs) for sample in islice(iter(found), _ERROR_INPUTS)]
        if len(inputs) >= LEAST_INPUTS:
            return inputs, f"samples of {data.name}"
    made_up = [
        arrays
        for series in _ERROR_SERIES
        for arrays in structured_inputs(source.inputs, preprocessing, series=series)
    ]
    return made_up, "inputs made up"


@contextmanager
def _open(
    model: Path, options: BundleOptions
) -> Iterator[tuple[OnnxSource, tuple[PreProcessing, ...]]]:
    """The source with its pre-processing; UsageError where it is not available."""
    model, chosen = resolve(model, QuantizeOptions(bundle=options))
    requests = parse_inputs(chosen.bundle.input_shapes)
    with open_source_model(model, chosen.bundle.torch, requests) as opened:
        if opened.path.suffix != ".onnx":
            raise UsageError(f"{model} is not an .onnx file nor one of PyTorch's models.")
        if chosen.bundle.like:
            words = chosen.bundle.input_shapes
            shapes = open_shapes(chosen.bundle.like, opened.path, words, silent)
            requests = parse_inputs((*words, *shapes))
        source = read_onnx(opened.path, requests)
        yield source, source_preprocessing(source, chosen.bundle)
