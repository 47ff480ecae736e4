"""The toolkit's own calibration, for models of which it does not take PPQ's nodes.

On the same samples, as the model itself wants them. What comes of it is compared with the source:
there is no arithmetic of ours that it could be held against more closely.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from deployx_edge.bundle import Verification
from deployx_edge.errors import ModelError, VerificationError
from deployx_edge.progress import Progress, Stage, silent
from deployx_edge.quantization.report import LayerReport, QuantizationReport, TensorCost
from deployx_edge.runtime import ONNX_ROLE
from deployx_edge.runtimes.converter import ConvertedModel, input_specs, output_specs
from deployx_edge.runtimes.onnx_quantizer import OnnxQuantizer, layers_with_weights
from deployx_edge.runtimes.proof import ProofRequest, prove
from deployx_edge.runtimes.quantizer import (
    Int8Options,
    Material,
    QuantizedModel,
    make_folder,
    run_costs,
    save_source,
)
from deployx_edge.runtimes.reference import Reference
from deployx_edge.runtimes.rknn import toolkit
from deployx_edge.runtimes.rknn.converter import RKNN_ROLE, RknnConverter, write_onnx
from deployx_edge.runtimes.rknn.runner import RANGES_ROLE
from deployx_edge.runtimes.rknn.socs import PLATFORMS
from deployx_edge.runtimes.runner import open_for_proof
from deployx_edge.sources.onnx.canonical import simplified
from deployx_edge.sources.onnx.file import OnnxSource
from deployx_edge.sources.onnx.walk import SourceWalk

if TYPE_CHECKING:
    import onnx

_INT8 = "int8"


@dataclass(frozen=True, kw_only=True)
class _Ranges:
    """What the toolkit found: by tensor, what it computes it in and the value of one unit."""

    tensors: Mapping[str, Mapping[str, Any]]

    @classmethod
    def read(cls, path: Path) -> _Ranges:
        """Of the file that the toolkit wrote."""
        return cls(tensors=yaml.safe_load(path.read_text(encoding="utf-8"))["quantize_parameters"])

    def is_float(self, name: str) -> bool:
        """Whether the toolkit says so of the tensor; it renames some, and quantizes usually."""
        return bool(self._of(name).get("dtype", _INT8) != _INT8)

    def scale(self, name: str) -> float | None:
        """What one unit of it stands for."""
        found = self._of(name).get("scale")
        return float(found[0]) if found else None

    def _of(self, name: str) -> Mapping[str, Any]:
        """The model's inputs and outputs are in there in floats, with what they become beside."""
        return self.tensors.get(f"{name}_{_INT8}") or self.tensors.get(name, {})


class RknnQuantizer(OnnxQuantizer):
    """``Quantizer`` for Rockchip's NPUs: PPQ's scales, else the toolkit's own calibration."""

    def __init__(self) -> None:
        super().__init__(RknnConverter())

    def quantize(
        self, material: Material, options: Int8Options, *, progress: Progress = silent
    ) -> QuantizedModel:
        """See ``Quantizer``; RefusedError where the toolkit cannot have the model in floats
        either, or is to keep layers in float, which it does for PPQ's scales only."""
        try:
            return super().quantize(material, options, progress=progress)
        except toolkit.RefusedError as refusal:
            if options.keep_float:
                raise
            return _quantize(material, options, refusal, progress)


def _quantize(
    material: Material, options: Int8Options, refusal: ModelError, progress: Progress
) -> QuantizedModel:
    """The int8 model by the toolkit's own calibration, compared with its source."""
    samples = material.calibration.samples
    reason = refusal.message.rstrip(".")
    progress(Stage(text=f"{reason}: its own calibration takes PPQ's place, {samples} samples"))
    folder = make_folder(material.folder, "own-calibration")
    plain = save_source(simplified(material.source), folder, material.name)
    chip, written = write_onnx(_load(plain.path), options.soc, folder / "for-npu", material.name)
    made, ranges = written.with_suffix(f".{RKNN_ROLE}"), folder / "ranges.cfg"
    listed = _write_samples(material, make_folder(folder, "samples"))
    toolkit.calibrate(written, PLATFORMS[chip], made, ranges, listed)
    converted = ConvertedModel(
        runtime=toolkit.NAME,
        precision=_INT8,
        files=((RKNN_ROLE, made), (ONNX_ROLE, written), (RANGES_ROLE, ranges)),
        inputs=input_specs(material.source),
        outputs=output_specs(material.outputs, material.source.channels_last),
        soc=options.soc,
    )
    progress(Stage(text="Comparing int8 in the simulator with the source"))
    verification = _verify(converted, plain, material, options)
    progress(Stage(text="Measuring what it costs"))
    report = _report(plain, converted, material, options, reason, progress)
    tools = RknnConverter().versions()
    return QuantizedModel(model=converted, verification=verification, report=report, tools=tools)


def _verify(
    made: ConvertedModel, plain: OnnxSource, material: Material, options: Int8Options
) -> Verification:
    """On the user's own samples: beyond the ranges of these int8 cuts off, which is no error."""
    request = ProofRequest(
        inputs=material.inputs()[: material.verified_samples],
        inner=(),
        telling=(),
        known={},
        accept_unproven=options.accept_unproven,
    )
    try:
        return prove(made, SourceWalk(plain), request).verification
    except VerificationError as error:
        raise VerificationError(
            f"{toolkit.PACKAGE} takes no scales of PPQ's for {material.name}, and by its own "
            f"calibration int8 costs too much. {error.message}",
            remedy="Calibrate on more samples, give the part that loses most to another runtime "
            "with --partition, or stay with --precision fp16.",
        ) from error


def _write_samples(material: Material, folder: Path) -> Path:
    """The calibration data as the toolkit reads it: a line for each sample, a .npy an input."""
    import numpy as np

    lines = []
    for index, sample in enumerate(material.data):
        files = []
        for place, tensor in enumerate(material.source.inputs):
            files.append(folder / f"{index}-{place}.npy")
            np.save(files[-1], np.ascontiguousarray(sample.inputs[tensor.name], dtype=np.float32))
        lines.append(" ".join(map(str, files)))
    listed = folder / "samples.txt"
    listed.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return listed


def _report(
    plain: OnnxSource,
    made: ConvertedModel,
    material: Material,
    options: Int8Options,
    reason: str,
    progress: Progress,
) -> QuantizationReport:
    """What is inside is not told by the toolkit, so that only outputs have a cost."""
    names = [tensor.name for tensor in material.outputs]
    with open_for_proof(made) as opened:
        first = Reference(plain, tensors=names).run
        costs = run_costs(first, opened.run, names, material.data, progress)
    ranges = _Ranges.read(made.path(RANGES_ROLE))
    layers = layers_with_weights(_load(plain.path))
    return QuantizationReport(
        runtime=made.runtime,
        preset=None,
        settings=options.settings,
        calibration=material.calibration,
        layers=tuple(_layer(node, ranges, costs) for node in layers.values()),
        outputs=tuple(costs.values()),
        compared=material.compared_samples,
        bytes_before=plain.path.stat().st_size,
        bytes_after=made.path(RKNN_ROLE).stat().st_size,
        seconds=0.0,
        peak_bytes=0,
        own_calibration=f"{reason}; its own calibration found the scales",
    )


def _layer(node: onnx.NodeProto, ranges: _Ranges, costs: Mapping[str, TensorCost]) -> LayerReport:
    is_float = ranges.is_float(node.output[0])
    return LayerReport(
        layer=node.name,
        type=node.op_type,
        mode="float" if is_float else "calibrated",
        reason=f"{toolkit.PACKAGE} leaves it in float" if is_float else "",
        activation_scale=None if is_float else ranges.scale(node.input[0]),
        cost=costs.get(node.output[0]),
    )


def _load(path: Path) -> onnx.ModelProto:
    import onnx

    return onnx.load(path)
