"""int8 for runtimes that read ONNX: the model with QuantizeLinear and DequantizeLinear nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployx_edge.bundle import Verification
from deployx_edge.errors import UsageError
from deployx_edge.progress import Progress, Stage, silent
from deployx_edge.quantization.ppq import PpqModel, PpqResult, quantize_with_nodes
from deployx_edge.quantization.report import LayerReport, QuantizationReport, TensorCost
from deployx_edge.quantization.values import ACTIVATIONS, USUAL_FORM, NodeForm
from deployx_edge.runtime import find_runtime
from deployx_edge.runtimes.converter import ConvertedModel, input_specs, output_specs
from deployx_edge.runtimes.onnx_converter import OnnxConverter
from deployx_edge.runtimes.proof import ProofRequest, prove
from deployx_edge.runtimes.quantizer import (
    Int8Options,
    LayerQuantizer,
    Material,
    PpqTold,
    QuantizedModel,
    check_activations,
    check_layers,
    foreign_nodes,
    make_folder,
    save_source,
    tensor_costs,
)
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx.canonical import simplified
from deployx_edge.sources.onnx.file import OnnxSource, read_onnx, tensor_names
from deployx_edge.sources.onnx.walk import SourceWalk

if TYPE_CHECKING:
    import onnx

_INT8_SINCE = 10  # the opset
_RAISED_TO = (10, 13)  # which the model may change by, or not be converted to
_INNER = 2  # of the made-up inputs, which come last: those on which layers are compared
_WITH_WEIGHTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


class OnnxQuantizer:
    """``Quantizer`` for a runtime that reads ONNX; PPQ puts the nodes in."""

    by_layer: LayerQuantizer | None = None

    def __init__(self, converter: OnnxConverter, form: NodeForm = USUAL_FORM) -> None:
        self._converter = converter
        self._form = form

    def quantize(
        self, material: Material, options: Int8Options, *, progress: Progress = silent
    ) -> QuantizedModel:
        """See ``Quantizer``.

        The runtime's int8 kernels are compared with the same model run node by node in floats:
        on some processors they saturate.
        """
        self._converter.check_operators(material.source)
        check_activations(options.settings, self._converter.runtime, self._form.widest)
        model = _raised(simplified(material.source), material)
        plain = save_source(model, material.folder, material.name)
        layers = layers_with_weights(_loaded(plain.path))
        check_layers(options.keep_float, list(layers))
        if not options.allow_fallback:
            self._converter.check_before_scales(plain)
        result = _by_ppq(plain, material, options, self._form, progress)
        written = _exported(result, material.folder)
        int8 = self._adapted(written, material)
        allowed = options.allow_fallback
        converted = ConvertedModel(
            runtime=self._converter.runtime,
            precision="int8",
            files=self._converter.int8_files(int8.path, options.soc, allow_fallback=allowed),
            inputs=input_specs(material.source),
            outputs=output_specs(material.outputs, material.source.channels_last),
            operators=self._converter.own_operators(model),
            soc=options.soc,
            left=self._converter.left_nodes(int8.path, options.soc) if allowed else (),
        )
        title = find_runtime(self._converter.runtime).title
        progress(Stage(text=f"Comparing int8 in {title} with the same model in floats"))
        verification = _verified(converted, written, material)
        progress(Stage(text="Measuring what it costs, layer by layer"))
        report = _report(plain, int8, layers, result, material, options, progress)
        return QuantizedModel(
            model=converted,
            verification=verification,
            report=replace(report, runtime=self._converter.runtime),
            tools=self._converter.versions(),
        )

    def _adapted(self, written: OnnxSource, material: Material) -> OnnxSource:
        """The int8 model as the runtime wants it."""
        import onnx

        model = _loaded(written.path)
        self._converter.adapt(model, (), material.source.inputs)
        path = material.folder / "int8.onnx"
        onnx.save(model, path)
        return read_onnx(path, {})


def _exported(result: PpqResult, folder: Path) -> OnnxSource:
    """What PPQ gave."""
    assert result.exported is not None
    path = make_folder(folder, "written") / "int8.onnx"
    path.write_bytes(result.exported)
    return read_onnx(path, {})


def _verified(converted: ConvertedModel, written: OnnxSource, material: Material) -> Verification:
    inputs = material.inputs()
    request = ProofRequest(
        inputs=inputs,
        inner={0, *range(len(inputs))[-_INNER:]},
        telling=(),
        known={},
        accept_unproven=True,
        layer_remedy="Keep it in float: --keep-float with the layer's name.",
    )
    return prove(converted, SourceWalk(written), request).verification


def _raised(model: onnx.ModelProto, material: Material) -> onnx.ModelProto:
    """The model in an opset that has int8 operators; UsageError where it changes by that."""
    import onnx.version_converter

    opset = next(e.version for e in model.opset_import if e.domain in ("", "ai.onnx"))
    if opset >= _INT8_SINCE:
        return model
    sample = next(iter(material.data)).inputs
    wanted = Reference(material.source).run(sample)
    for version in _RAISED_TO:
        try:
            made: onnx.ModelProto = onnx.version_converter.convert_version(model, version)
            source = save_source(made, make_folder(material.folder, f"opset-{version}"), "model")
            found = Reference(source).run(sample)
        except Exception:  # the converter's errors share no base
            continue
        if all(_is_close(wanted[name], found[name]) for name in wanted):
            return made
    raise UsageError(
        f"{material.source.path.name} is of opset {opset}; ONNX Runtime has int8 operators from "
        f"opset {_INT8_SINCE} on.",
        remedy=f"Export it again with opset {_RAISED_TO[-1]}.",
    )


def _is_close(first: Any, second: Any) -> bool:
    import numpy as np

    return first.shape == second.shape and bool(np.allclose(first, second, rtol=1e-4, atol=1e-5))


def _by_ppq(
    plain: OnnxSource,
    material: Material,
    options: Int8Options,
    form: NodeForm,
    progress: Progress,
) -> PpqResult:
    model = PpqModel(
        model=_loaded(plain.path),
        inputs=tuple(tensor.name for tensor in plain.inputs),
        expected=Reference(plain).run(next(iter(material.data)).inputs),
    )
    return quantize_with_nodes(
        model,
        (sample.inputs for sample in material.data),
        (*options.keep_float, *_wrong_pools(model.model)),
        options.settings,
        PpqTold(progress),
        replace(form, bits=ACTIVATIONS[options.settings.activations]),
    )


def _wrong_pools(model: onnx.ModelProto) -> list[str]:
    """Average pools that round their size up: ONNX Runtime's in int8 averages them otherwise.

    Seen with 1.31.1, where it does so on Arm and not on x86.
    """
    return [
        node.name
        for node in model.graph.node
        if node.op_type == "AveragePool"
        and any(each.name == "ceil_mode" and each.i for each in node.attribute)
    ]


def _report(
    plain: OnnxSource,
    int8: OnnxSource,
    layers: Mapping[str, onnx.NodeProto],
    result: PpqResult,
    material: Material,
    options: Int8Options,
    progress: Progress,
) -> QuantizationReport:
    costs = _costs(plain, int8, layers, material, progress)
    modes = _modes(_loaded(int8.path))
    return QuantizationReport(
        runtime="",
        preset=options.preset,
        settings=options.settings,
        calibration=material.calibration,
        layers=tuple(
            _layer_report(node, modes, options.keep_float, costs, result.foreign)
            for node in layers.values()
        ),
        outputs=tuple(costs[tensor.name] for tensor in material.outputs),
        compared=material.compared_samples,
        bytes_before=plain.path.stat().st_size,
        bytes_after=int8.path.stat().st_size,
        seconds=result.seconds,
        peak_bytes=result.peak_bytes,
        foreign=foreign_nodes(_loaded(plain.path), result),
    )


def layers_with_weights(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """The nodes that have weights, by name."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return {
        node.name: node
        for node in model.graph.node
        if node.op_type in _WITH_WEIGHTS and node.input[1] in constants
    }


def _modes(model: onnx.ModelProto) -> dict[str, str]:
    """By node, whether its weights are stored quantized."""
    makers = {name: node.op_type for node in model.graph.node for name in node.output}
    return {
        node.name: "calibrated" if makers.get(node.input[1]) == "DequantizeLinear" else "float"
        for node in model.graph.node
        if node.op_type in _WITH_WEIGHTS
    }


def _costs(
    plain: OnnxSource,
    int8: OnnxSource,
    layers: Mapping[str, onnx.NodeProto],
    material: Material,
    progress: Progress,
) -> dict[str, TensorCost]:
    """Of the outputs, and of those layers' outputs that kept their names."""
    known = set(tensor_names(int8))
    names = [node.output[0] for node in layers.values() if node.output[0] in known]
    names += [tensor.name for tensor in material.outputs]
    return tensor_costs(plain, int8, list(dict.fromkeys(names)), material.data, progress)


def _layer_report(
    node: onnx.NodeProto,
    modes: Mapping[str, str],
    keep_float: tuple[str, ...],
    costs: Mapping[str, TensorCost],
    foreign: Mapping[str, str],
) -> LayerReport:
    mode = modes.get(node.name, "float")
    reason = foreign.get(node.name, "PPQ leaves it in float")
    if node.name in keep_float:
        reason = "kept in float on demand"
    return LayerReport(
        layer=node.name,
        type=node.op_type,
        mode=mode,
        reason=reason if mode == "float" else "",
        activation_scale=None,
        cost=costs.get(node.output[0]),
    )


def _loaded(path: Path) -> onnx.ModelProto:
    import onnx

    return onnx.load(path)
