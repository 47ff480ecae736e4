"""int8 for ncnn: PPQ's scales, layer by layer, in ncnn's own files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployx_edge.comparison import telling_inputs
from deployx_edge.errors import ModelError
from deployx_edge.graph.passes import NCNN_PASSES
from deployx_edge.progress import Progress, Stage, silent
from deployx_edge.quantization.ppq import PpqModel, PpqResult, quantize_layers
from deployx_edge.quantization.report import LayerReport, QuantizationReport, TensorCost
from deployx_edge.quantization.values import QuantizationSettings, WeightLayout
from deployx_edge.runtimes.converter import (
    ConversionRequest,
    ConvertedModel,
    HalfOverflows,
    LayerScales,
)
from deployx_edge.runtimes.local_comparison import END_TO_END, verify_locally
from deployx_edge.runtimes.ncnn.int8_reference import (
    int8_reference,
    run_time_weights,
    with_parameters,
)
from deployx_edge.runtimes.ncnn.native.converter import NativeConverter, quantizable_layers
from deployx_edge.runtimes.ncnn.native.quantized import QuantizableLayer
from deployx_edge.runtimes.quantizer import (
    Int8Options,
    LayerQuantizer,
    Material,
    PpqTold,
    QuantizableNode,
    QuantizedModel,
    check_activations,
    check_layers,
    foreign_nodes,
    make_folder,
    save_source,
    tensor_costs,
)
from deployx_edge.runtimes.reference import Reference
from deployx_edge.runtimes.verification import verify
from deployx_edge.sources.onnx.canonical import canonical
from deployx_edge.sources.onnx.file import OnnxSource
from deployx_edge.sources.onnx.value_ranges import wide_tensors

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class CalibratedModel:
    """``Calibrated`` for ncnn.

    ``model`` is the float model as the native converter reads it, equalized if that was asked
    for; ``wide`` are its tensors beyond what half floats hold, ``overflows`` what that is in ncnn.
    """

    material: Material
    model: onnx.ModelProto
    layers: tuple[QuantizableLayer, ...]
    result: PpqResult
    wide: frozenset[str]
    overflows: HalfOverflows

    @property
    def able(self) -> tuple[QuantizableNode, ...]:
        """See ``Calibrated``."""
        return tuple(
            QuantizableNode(node=layer.node, type=layer.type)
            for layer in self.layers
            if layer.mode != "float"
        )

    def float_model(self, folder: Path) -> OnnxSource:
        """See ``Calibrated``."""
        return save_source(self.model, folder, "float")

    def int8_in_floats(self, keep_float: Sequence[str], folder: Path) -> OnnxSource:
        """See ``Calibrated``."""
        return int8_model(self, keep_float, folder).reference

    def untested(self, keep_float: Sequence[str], folder: Path) -> ConvertedModel:
        """See ``Calibrated``."""
        int8 = int8_model(self, keep_float, folder)
        return _converted(self, int8.weights, make_folder(folder, "int8"), int8.scales)

    def finish(self, options: Int8Options, *, progress: Progress = silent) -> QuantizedModel:
        """See ``Calibrated``.

        The float model is compared with its source, then int8 in ncnn with the same arithmetic in
        floats, layer by layer.
        """
        own = self.material
        folder = make_folder(own.folder, "int8")
        plain = save_source(self.model, folder, "float")
        int8 = int8_model(self, options.keep_float, folder)
        inputs = own.inputs()
        progress(Stage(text="Comparing the float model with its source"))
        before = _converted(self, plain, make_folder(folder, "fp32"), {})
        accept = options.accept_unproven
        verify(before, Reference(own.source), inputs, accept_unproven=accept)
        progress(Stage(text="Comparing int8 in ncnn with the same arithmetic in floats"))
        after = _converted(self, int8.weights, make_folder(folder, "int8"), int8.scales)
        inside = verify_locally(after, int8.reference, inputs)
        verification = verify(
            after, Reference(int8.reference), inputs, accept_unproven=True, limits=END_TO_END
        )
        progress(Stage(text="Measuring what it costs, layer by layer"))
        sizes = (_weight_bytes(before), _weight_bytes(after))
        return QuantizedModel(
            model=after,
            verification=replace(verification, intermediates=inside),
            report=_report(self, plain, int8, options, sizes, progress),
            tools=NativeConverter().versions(),
        )


@dataclass(frozen=True, kw_only=True)
class Int8Model:
    """The model with restored weights, what its int8 layers compute in floats, and the scales."""

    weights: OnnxSource
    reference: OnnxSource
    scales: Mapping[str, LayerScales]


class NcnnQuantizer:
    """``Quantizer`` and ``LayerQuantizer`` for ncnn."""

    @property
    def by_layer(self) -> LayerQuantizer:
        """Itself: an int8 layer of ncnn does not depend on whether another is."""
        return self

    def tools(self) -> tuple[tuple[str, str], ...]:
        """See ``LayerQuantizer``."""
        return NativeConverter().versions()

    def quantize(
        self, material: Material, options: Int8Options, *, progress: Progress = silent
    ) -> QuantizedModel:
        """See ``Quantizer``."""
        return self.calibrate(material, options, progress=progress).finish(
            options, progress=progress
        )

    def calibrate(
        self, material: Material, options: Int8Options, *, progress: Progress = silent
    ) -> CalibratedModel:
        """See ``LayerQuantizer``."""
        converter = NativeConverter()
        check_activations(options.settings, converter.runtime, widest=8)
        converter.check(material.source)
        prepared = save_source(
            canonical(material.source, NCNN_PASSES).model, material.folder, material.name
        )
        layers = quantizable_layers(prepared)
        check_layers(options.keep_float, [layer.node for layer in layers])
        _check_able(layers, options.keep_float, material)
        result = _scales(prepared, layers, material, options.settings, progress)
        model = with_parameters(_loaded(prepared), result.floats)
        plain = save_source(model, make_folder(material.folder, "halves"), material.name)
        inputs = telling_inputs(material.inputs())
        return CalibratedModel(
            material=material,
            model=model,
            layers=layers,
            result=result,
            overflows=converter.find_overflows(plain, inputs, "int8"),
            wide=frozenset(i.tensor for i in wide_tensors(material.source, material.inputs())),
        )


def int8_model(found: CalibratedModel, keep_float: Sequence[str], folder: Path) -> Int8Model:
    """The models of a choice of layers: all that can be int8 but ``keep_float``."""
    values: dict[tuple[str, int], NDArray[Any]] = {}
    scales: dict[str, LayerScales] = {}
    weights = _weights(found.model)
    for layer in found.layers:
        if layer.mode == "float" or layer.node in keep_float:
            continue
        if layer.mode == "run-time":
            places = (1,) if layer.type == "Gemm" else (1, 2)
            for place in places:
                values[layer.node, place] = run_time_weights(
                    layer.type, weights[layer.node, place], axis=layer.axis
                )
            scales[layer.node] = LayerScales()
            continue
        numbers = found.result.layers[layer.node]
        values[layer.node, 1] = numbers.weights()
        if numbers.bias is not None:
            values[layer.node, 2] = numbers.bias
        scales[layer.node] = LayerScales(
            activation_scale=numbers.activation_scale, weight_scales=numbers.weight_scales
        )
    restored = with_parameters(found.model, values)
    return Int8Model(
        weights=save_source(restored, make_folder(folder, "weights"), found.material.name),
        reference=save_source(int8_reference(restored, scales), folder, "reference"),
        scales=scales,
    )


def _check_able(
    layers: Sequence[QuantizableLayer], keep_float: Sequence[str], material: Material
) -> None:
    if all(layer.mode == "float" or layer.node in keep_float for layer in layers):
        reasons = sorted({layer.reason for layer in layers if layer.reason})
        why = "; ".join(reasons) or ("all are kept in float" if layers else "it has no weights")
        raise ModelError(f"No layer of {material.name} can be int8 in ncnn: {why}.")


def _converted(
    found: CalibratedModel, model: OnnxSource, folder: Path, scales: Mapping[str, LayerScales]
) -> ConvertedModel:
    request = ConversionRequest(
        outputs=found.material.outputs,
        precision="int8" if scales else "fp32",
        folder=folder,
        wide=found.wide,
        overflows=found.overflows,
        scales=scales,
    )
    return NativeConverter().convert(model, request)


def weight_layouts(layers: Sequence[QuantizableLayer]) -> dict[str, WeightLayout]:
    """How the weights of the calibrated layers lie, by node."""
    return {
        layer.node: WeightLayout(
            axis=layer.axis, group=layer.group, per_output=layer.type != "ConvolutionDepthWise"
        )
        for layer in layers
        if layer.mode == "calibrated"
    }


def _scales(
    prepared: OnnxSource,
    layers: Sequence[QuantizableLayer],
    material: Material,
    settings: QuantizationSettings,
    progress: Progress,
) -> PpqResult:
    wanted = weight_layouts(layers)
    if not wanted:
        return PpqResult(layers={}, floats={}, exported=None, seconds=0.0, peak_bytes=0)
    first = next(iter(material.data))
    model = PpqModel(
        model=_loaded(prepared),
        inputs=tuple(tensor.name for tensor in prepared.inputs),
        expected=Reference(prepared).run(first.inputs),
    )
    return quantize_layers(
        model,
        (sample.inputs for sample in material.data),
        wanted,
        settings,
        PpqTold(progress),
    )


def _report(
    found: CalibratedModel,
    plain: OnnxSource,
    int8: Int8Model,
    options: Int8Options,
    sizes: tuple[int, int],
    progress: Progress,
) -> QuantizationReport:
    data = found.material.data
    tops = {node.name: _first_output(node) for node in found.model.graph.node}
    names = [tops[layer.node] for layer in found.layers]
    ends = [tensor.name for tensor in found.material.outputs]
    wanted = list(dict.fromkeys([*names, *ends]))
    costs = tensor_costs(plain, int8.reference, wanted, data, progress)
    return QuantizationReport(
        runtime="ncnn",
        preset=options.preset,
        settings=options.settings,
        calibration=found.material.calibration,
        layers=tuple(
            _layer_report(layer, int8.scales, options.keep_float, costs[tops[layer.node]])
            for layer in found.layers
        ),
        outputs=tuple(costs[name] for name in ends),
        compared=found.material.compared_samples,
        bytes_before=sizes[0],
        bytes_after=sizes[1],
        seconds=found.result.seconds,
        peak_bytes=found.result.peak_bytes,
        foreign=foreign_nodes(found.model, found.result),
    )


def _layer_report(
    layer: QuantizableLayer,
    scales: Mapping[str, LayerScales],
    keep_float: Sequence[str],
    cost: TensorCost,
) -> LayerReport:
    kept = layer.node in keep_float
    used = scales.get(layer.node)
    return LayerReport(
        layer=layer.node,
        type=layer.type,
        mode="float" if used is None else layer.mode,
        reason="kept in float on demand" if kept else layer.reason,
        activation_scale=None if used is None else used.activation_scale,
        cost=cost,
    )


def _weight_bytes(model: ConvertedModel) -> int:
    return sum(path.stat().st_size for role, path in model.files if role in ("param", "bin"))


def _weights(model: onnx.ModelProto) -> dict[tuple[str, int], NDArray[Any]]:
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    return {
        (node.name, place): numpy_helper.to_array(constants[name])
        for node in model.graph.node
        for place, name in enumerate(node.input)
        if name in constants
    }


def _first_output(node: onnx.NodeProto) -> str:
    """The first that is not left out; a recurrent layer may give its last state only."""
    return next(name for name in node.output if name)


def _loaded(source: OnnxSource) -> onnx.ModelProto:
    import onnx

    return onnx.load(source.path)
