"""What every quantization begins with: a model, and data to calibrate on that can serve."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployx_edge.bundle import Bundle
from deployx_edge.comparison import structured_inputs
from deployx_edge.errors import UsageError
from deployx_edge.evaluation.data.datasets import Dataset, open_dataset
from deployx_edge.model import PostProcessing, PreProcessing, parse_inputs
from deployx_edge.progress import Progress, Share, Stage, silent
from deployx_edge.quantization.ppq import PpqResult, ppq_version
from deployx_edge.quantization.report import (
    CalibrationData,
    ForeignNode,
    QuantizationReport,
    TensorCost,
    too_few,
)
from deployx_edge.quantization.values import PRESETS, QuantizationSettings
from deployx_edge.runtimes.converter import refuse_unknown
from deployx_edge.runtimes.ncnn.native.converter import takes_batches
from deployx_edge.runtimes.onnxruntime.converter import input_specs
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx.file import OnnxSource, SourceTensor, read_onnx
from deployx_edge.workflows.convert.bundle import BundleOptions
from deployx_edge.workflows.convert.conversion import (
    source_outputs,
    source_postprocessing,
    source_preprocessing,
)
from deployx_edge.workflows.convert.models import OpenedModel, noted, opened_model

if TYPE_CHECKING:
    import onnx

LEAST_SAMPLES = 8
_COMPARED = 32  # samples that a report's figures come from
_VERIFIED = 4  # of the calibration data, beside the inputs made up for it
_NAMED = 10  # of the samples that are left out


@dataclass(frozen=True, kw_only=True)
class QuantizeOptions:
    """How an int8 bundle is made.

    ``count`` samples of the calibration data are taken, the same for the same seed of
    ``settings``. ``preset`` is only told. ``keep_float`` names layers that stay floats.
    ``images`` is the folder of the pictures that a list names. ``bundle``: runtime, shapes, pre-
    and post-processing, name (see ``BundleOptions``).
    """

    count: int = 128
    preset: str | None = "balanced"
    settings: QuantizationSettings = PRESETS["balanced"]
    keep_float: tuple[str, ...] = ()
    images: Path | None = None
    bundle: BundleOptions = field(default_factory=BundleOptions)


@dataclass(frozen=True, kw_only=True)
class Quantized:
    """The bundle, and what is to be told of it."""

    bundle: Bundle
    report: QuantizationReport


@dataclass(frozen=True, kw_only=True)
class Material:
    """A model with what it is calibrated on; ``folder`` is for files, and deleted at the end."""

    source: OnnxSource
    opened: OpenedModel
    data: Dataset
    calibration: CalibrationData
    preprocessing: tuple[PreProcessing, ...]
    postprocessing: tuple[PostProcessing, ...]
    outputs: tuple[SourceTensor, ...]
    made_up: tuple[Mapping[str, Any], ...]
    folder: Path

    def inputs(self) -> list[dict[str, Any]]:
        """Some of the calibration data, then inputs made up: what conversions are verified on.

        Those for which the model gives NaN or infinity are left out: nothing can be compared.
        """
        own = [dict(sample.inputs) for sample in islice(iter(self.data), _VERIFIED)]
        return [*own, *map(dict, self.made_up)]

    @property
    def verified_samples(self) -> int:
        """How many of ``inputs`` are the user's own."""
        return min(_VERIFIED, self.calibration.samples)

    @property
    def compared_samples(self) -> int:
        """How many samples a report's figures come from."""
        return min(_COMPARED, self.calibration.samples)


@dataclass(frozen=True)
class PpqTold:
    """Passes on how far PPQ is."""

    progress: Progress

    def phase(self, text: str) -> None:
        """A phase begins."""
        self.progress(Stage(text=f"PPQ: {text}"))

    def share(self, done: int, total: int) -> None:
        """So much of it is done."""
        self.progress(Share(done=done, total=total))


@contextmanager
def opened_material(
    model: Path, calibration: Path, options: QuantizeOptions, *, progress: Progress = silent
) -> Iterator[Material]:
    """Open the model and its calibration data.

    Raises UsageError where the data cannot calibrate it, ModelError where it cannot be read.
    """
    ppq_version()
    requests = parse_inputs(options.bundle.input_shapes)
    with (
        tempfile.TemporaryDirectory(prefix="deployx-edge-int8-") as work,
        opened_model(model, options.bundle.torch, requests, progress=progress) as opened,
    ):
        if opened.path.suffix != ".onnx":
            raise UsageError(
                f"{model} is not a model to quantize: scales are found on ONNX models, PyTorch's, "
                "and bundles whose source can be had.",
                remedy="Name the source that it was converted from.",
            )
        source = read_onnx(opened.path, requests)
        for note in source_notes(source):
            progress(Stage(text=note))
        preprocessing = source_preprocessing(source, options.bundle)
        reference = Reference(source)
        made_up = structured_inputs(source.inputs, preprocessing)
        results = [reference.run(arrays) for arrays in made_up]
        _check_single(source, source_outputs(source, results[0]))
        data, described = _calibration_data(calibration, source, preprocessing, options, progress)
        given = reference.run(next(iter(data)).inputs)
        yield Material(
            source=source,
            opened=opened,
            data=data,
            calibration=described,
            preprocessing=preprocessing,
            postprocessing=source_postprocessing(source, given, options.bundle),
            outputs=source_outputs(source, given),
            made_up=tuple(a for a, found in zip(made_up, results, strict=True) if _finite(found)),
            folder=Path(work),
        )


def source_notes(source: OnnxSource) -> tuple[str, ...]:
    """What is to be told of how the model came in, aloud and in the bundle."""
    return (*source.notes, *noted(source.metadata))


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
    reason = too_few(count, len(data.content_hashes()), LEAST_SAMPLES)
    if reason is not None:
        raise UsageError(
            f"{reason} ({path})", remedy="A hundred pictures as the model sees them in use will do."
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


def check_layers(names: Sequence[str], known: Sequence[str]) -> None:
    """UsageError for a name that is no layer's, with the nearest that are."""
    remedy = "`deployx-edge quantize` lists the layers by name."
    refuse_unknown(names, known, remedy=remedy)


def tensor_costs(
    plain: OnnxSource,
    int8: OnnxSource,
    names: Sequence[str],
    data: Dataset,
    progress: Progress = silent,
) -> dict[str, TensorCost]:
    """How far tensors of the one are from the other's, over the first samples of ``data``.

    Values that are NaN or infinite in one of them do not count.
    """
    import numpy as np

    first, second = Reference(plain, tensors=names), Reference(int8, tensors=names)
    sums = {name: np.zeros(4) for name in names}
    total = min(_COMPARED, len(data))
    for index, sample in enumerate(islice(iter(data), _COMPARED)):
        progress(Share(done=index, total=total, of="samples"))
        wanted, got = first.run(sample.inputs), second.run(sample.inputs)
        for name in names:
            a, b = (array[name].astype(np.float64).reshape(-1) for array in (wanted, got))
            usable = np.isfinite(a) & np.isfinite(b)
            a, b = a[usable], b[usable]
            sums[name] += (a @ a, b @ b, a @ b, (a - b) @ (a - b))
    return {name: _cost(name, *values) for name, values in sums.items()}


def _cost(name: str, first: float, second: float, product: float, error: float) -> TensorCost:
    import math

    norm = math.sqrt(first * second)
    return TensorCost(
        tensor=name,
        snr_db=10.0 * math.log10(max(first, 1e-30) / error) if error > 0 else None,
        cosine=float(product / norm) if norm > 0 else 1.0,
    )


def foreign_nodes(model: onnx.ModelProto, result: PpqResult) -> tuple[ForeignNode, ...]:
    """What a report says of the nodes that PPQ cannot compute."""
    return tuple(
        ForeignNode(node=node.name, type=node.op_type, reason=result.foreign[node.name])
        for node in model.graph.node
        if node.name in result.foreign
    )


def notes_of(report: QuantizationReport) -> tuple[str, ...]:
    """What a bundle's manifest says of how it was quantized."""
    kept = sum(layer.mode == "float" for layer in report.layers)
    count = len(report.layers)
    data = report.calibration
    return (
        f"int8: {count - kept} of {count} layers with weights, calibrated on {data.samples} "
        f"samples of {data.dataset}. The comparison here is with the same arithmetic in floats; "
        "what int8 cost against the source is in the file of the role 'quantization'.",
    )


def saved(model: onnx.ModelProto, folder: Path, name: str) -> OnnxSource:
    """The model as a file, read like any other. Every node has a name of its own."""
    import onnx

    taken: set[str] = set()
    for index, node in enumerate(model.graph.node):
        name_of_node = node.name or next(iter(node.output), "node")
        node.name = f"{name_of_node}_{index}" if name_of_node in taken else name_of_node
        taken.add(node.name)
    path = folder / f"{name}.onnx"
    onnx.save(model, path)
    return read_onnx(path, {})


def fresh(folder: Path, name: str) -> Path:
    """An empty folder of that name inside."""
    path = folder / name
    path.mkdir()
    return path
