"""int8 for ONNX Runtime: the model itself with QuantizeLinear and DequantizeLinear between.

PPQ finds the scales; what is written is the source's own graph, so that nothing that PPQ does
not know of it (domains, sub-graphs, integers, functions) is lost. Imported in the process with
PPQ only.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from esp_ppq.api import QuantizationSettingFactory, dispatch_graph
from esp_ppq.core import (
    QuantizationPolicy,
    QuantizationProperty,
    QuantizationStates,
    TargetPlatform,
)
from esp_ppq.IR import QuantableOperation
from esp_ppq.quantization.optim import (
    LayerwiseEqualizationPass,
    ParameterQuantizePass,
    PassiveParameterQuantizePass,
    QuantAlignmentPass,
    QuantizeFusionPass,
    QuantizeSimplifyPass,
)
from esp_ppq.quantization.qfunction.linear import PPQLinearQuant_toInt
from esp_ppq.quantization.quantizer import OnnxruntimeQuantizer
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from deployx_edge.quantization.ppq_operators import NodeError
from deployx_edge.quantization.ppq_passes import Job
from deployx_edge.quantization.values import NodeForm

_AXES_SINCE = 13  # the opset in which Q and DQ take a scale for each channel
_WIDE_SINCE = 21  # in which they take 16 bits
_BYTE = 8
_MICROSOFT = "com.microsoft"  # whose Q and DQ always did
_BIASED, _BIAS_PLACE = ("Conv", "ConvTranspose", "Gemm"), 2
_BIAS_LIMIT = 2.0**30  # half of what 32 bits hold: sums of products are added to it
_PREFIX = "deployx-int8"
_WHOLE = QuantizationProperty.LINEAR + QuantizationProperty.PER_TENSOR
_SIGNED = QuantizationPolicy(QuantizationProperty.SYMMETRICAL + _WHOLE)
_UNSIGNED = QuantizationPolicy(QuantizationProperty.ASYMMETRICAL + _WHOLE)


class _Quantizer(OnnxruntimeQuantizer):  # type: ignore[misc]  # it has no types
    """PPQ's own, for float tensors only, and with an output's scale for each output of Gemm."""

    def __init__(self, graph: Any, form: NodeForm) -> None:
        super().__init__(graph=graph)
        self._form = form
        self._num_of_bits = form.bits
        if form.unsigned:
            self._quant_min, self._quant_max = 0, 2**form.bits - 1

    @property
    def quantize_policy(self) -> QuantizationPolicy:
        """Of what lies between layers."""
        return _UNSIGNED if self._form.unsigned else _SIGNED

    def init_quantize_config(self, operation: Any) -> Any:
        config = super().init_quantize_config(operation)
        if operation.type == "Gemm":
            is_turned = operation.attributes.get("transB", 0)
            config.input_quantization_config[1].channel_axis = 0 if is_turned else 1
        if operation.type in _BIASED and operation.type not in self._form.per_output:
            config.input_quantization_config[1].policy = _SIGNED
        tensors = [*operation.inputs, *operation.outputs]
        configs = [*config.input_quantization_config, *config.output_quantization_config]
        for entry, tensor in zip(configs, tensors, strict=True):
            if not _is_float(tensor):
                entry.state = QuantizationStates.FP32
        if operation.is_computing_op and operation.inputs[1].is_parameter:
            _in_8_bits(config.input_quantization_config[1])
        return config


def _in_8_bits(weights: Any) -> None:
    """Weights are, whatever lies between layers is."""
    unsigned = weights.policy.has_property(QuantizationProperty.ASYMMETRICAL)
    weights.num_of_bits = 8
    weights.quant_min, weights.quant_max = (0, 255) if unsigned else (-128, 127)


def _is_float(tensor: Any) -> bool:
    if tensor.is_parameter:
        return isinstance(tensor.value, torch.Tensor) and tensor.value.dtype == torch.float32
    return bool(tensor.name) and tensor.dtype.value == onnx.TensorProto.FLOAT


def quantize_with_nodes(
    job: Job, keep_float: Sequence[str], form: NodeForm, model: onnx.ModelProto, folder: Path
) -> dict[str, Any]:
    """Write ``exported.onnx``: ``model`` in int8, but for those nodes and what PPQ errs at."""
    graph, executor = job.graph, job.executor
    if job.settings["equalize"]:
        job.teller.phase("Equalizing")
        job.run(LayerwiseEqualizationPass(iterations=10, value_threshold=0.5, optimize_level=1))
    _dispatch(graph, {*keep_float, *job.foreign})
    quantizer = _Quantizer(graph, form)
    executor.load_graph(graph)
    executor.tracing_operation_meta(inputs=next(iter(job.samples)))
    for name, operation in list(graph.operations.items()):
        if operation.platform != TargetPlatform.FP32 and _is_float(operation.outputs[0]):
            quantizer.quantize_operation(name)
        else:
            operation.platform = TargetPlatform.FP32
    executor.load_graph(graph)
    _find_scales(job, quantizer, form)
    _make_room_for_biases(graph)
    job.teller.phase("Writing the model")
    onnx.save(_Writer(model, form.bits).written(graph), folder / "exported.onnx")
    return {}


def _dispatch(graph: Any, in_float: set[str]) -> None:
    """Say which operations PPQ is to quantize: those it would, but for some."""
    setting = QuantizationSettingFactory.default_setting()
    for name in in_float:
        setting.dispatching_table.append(name, TargetPlatform.FP32)
    dispatch_graph(
        graph=graph,
        platform=TargetPlatform.ONNXRUNTIME,
        dispatcher=setting.dispatcher,
        dispatching_table=setting.dispatching_table,
    )
    known = OnnxruntimeQuantizer(graph=graph).quant_operation_types
    for operation in graph.operations.values():
        # PPQ leaves layers with weights in float where what is before them is no such layer.
        is_chosen = operation.platform == TargetPlatform.UNSPECIFIED or operation.is_computing_op
        can_be = operation.type in known and operation.name not in in_float
        operation.platform = (
            TargetPlatform.ONNXRUNTIME if is_chosen and can_be else TargetPlatform.FP32
        )


def _find_scales(job: Job, quantizer: _Quantizer, form: NodeForm) -> None:
    fusion = QuantizationSettingFactory.default_setting().fusion_setting
    job.teller.phase("Weights")
    job.run(
        QuantizeFusionPass(
            fuse_activation=fusion.fuse_activation,
            fuse_passive_op=fusion.fuse_passive_op,
            activation_type=quantizer.activation_fusion_types & set(form.fused),
        )
    )
    job.run(QuantizeSimplifyPass())
    job.run(ParameterQuantizePass(method=None))
    job.calibrate()
    job.run(
        QuantAlignmentPass(
            elementwise_alignment=fusion.align_elementwise_to,
            concat_alignment=fusion.align_concat_to,
            pooling_alignment=fusion.align_avgpooling_to,
            resize_alignment=fusion.align_resize_to,
            force_overlap=fusion.force_alignment_overlap,
        )
    )
    job.run(PassiveParameterQuantizePass())
    job.tune()
    job.correct_bias()


def _make_room_for_biases(graph: Any) -> None:
    """Enlarge the scales of weights by which a bias would not fit into 32 bits.

    ONNX Runtime keeps biases in units of the input's scale times the weight's. Of a channel whose
    weights are 0, or behind a tensor that is, that is next to nothing, and the bias would be cut
    in silence.
    """
    for operation in graph.operations.values():
        if not isinstance(operation, QuantableOperation) or operation.num_of_input <= _BIAS_PLACE:
            continue
        bias = operation.inputs[_BIAS_PLACE]
        if not (bias.is_parameter and _is_bias(operation, _BIAS_PLACE)):
            continue
        entering, weight = operation.config.input_quantization_config[:_BIAS_PLACE]
        channels = weight.scale.numel()
        largest = bias.value.detach().abs().reshape(-1)
        if largest.numel() % channels:
            largest = largest.max().reshape(1).expand(channels)
        by_channel = largest.reshape(-1, channels).max(dim=0)[0]
        least = by_channel / (float(entering.scale.detach().abs().max()) * _BIAS_LIMIT)
        weight.scale = torch.maximum(weight.scale.detach(), least.reshape(weight.scale.shape))


class _Writer:
    """The source with what PPQ found: each tensor is quantized once for each scale."""

    def __init__(self, model: onnx.ModelProto, bits: int) -> None:
        self._model = copy.deepcopy(model)
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        opset = next(e.version for e in model.opset_import if e.domain in ("", "ai.onnx"))
        since = _AXES_SINCE if bits == _BYTE else _WIDE_SINCE
        self._domain = "" if opset >= since else _MICROSOFT
        self._nodes: list[onnx.NodeProto] = []
        self._pairs: dict[tuple[str, bytes, bytes], str] = {}

    def written(self, graph: Any) -> onnx.ModelProto:
        """The model with Q and DQ where PPQ's ``graph`` has scales."""
        own = self._model.graph
        for node in own.node:
            operation = graph.operations.get(node.name)
            if operation is not None:
                self._inputs(node, operation)
            self._nodes.append(node)
            if isinstance(operation, QuantableOperation):
                self._outputs(node, operation)
        del own.node[:]
        own.node.extend(self._nodes)
        self._remove_unused()
        if self._domain and all(e.domain != _MICROSOFT for e in self._model.opset_import):
            self._model.opset_import.append(helper.make_opsetid(_MICROSOFT, 1))
        return self._model

    def _inputs(self, node: onnx.NodeProto, operation: Any) -> None:
        is_quantized = isinstance(operation, QuantableOperation)
        # The view has no inputs that are left out at the end, and more where there are sub-graphs.
        for place, (name, tensor) in enumerate(zip(node.input, operation.inputs, strict=False)):
            config = operation.config.input_quantization_config[place] if is_quantized else None
            if config is not None and config.can_export():
                _check_finite(operation, config)
                if name in self._constants:
                    node.input[place] = self._weight(node, place, tensor.value, config)
                else:
                    node.input[place] = self._pair(name, config)
            elif name in self._constants and isinstance(tensor.value, torch.Tensor):
                if is_quantized and self._domain and _is_bias(operation, place):
                    node.input[place] = self._bias(node, place, tensor.value, operation.config)
                else:
                    self._changed(node, place, tensor.value)

    def _outputs(self, node: onnx.NodeProto, operation: Any) -> None:
        configs = operation.config.output_quantization_config
        for place, (name, config) in enumerate(zip(node.output, configs, strict=False)):
            if name and config.can_export():
                _check_finite(operation, config)
                node.output[place] = f"{name}/{_PREFIX}-float"
                self._pair(node.output[place], config, name)

    def _changed(self, node: onnx.NodeProto, place: int, value: torch.Tensor) -> None:
        """A constant that stays float, but was equalized or corrected."""
        array = value.detach().numpy()
        before = numpy_helper.to_array(self._constants[node.input[place]])
        if array.shape != before.shape or not np.array_equal(array, before, equal_nan=True):
            own = f"{node.input[place]}/{node.name}"
            node.input[place] = self._constant(own, array.reshape(before.shape))

    def _weight(self, node: onnx.NodeProto, place: int, value: torch.Tensor, config: Any) -> str:
        scale, zero, axis = _numbers(config)
        quantized = PPQLinearQuant_toInt(tensor=value.detach(), config=config).numpy()
        base = f"{_PREFIX}/{node.name}/{place}"
        names = [
            self._constant(f"{base}/quantized", quantized.astype(zero.dtype)),
            self._constant(f"{base}/scale", scale),
            self._constant(f"{base}/zero", zero),
        ]
        self._add("DequantizeLinear", names, f"{base}/restored", axis)
        return f"{base}/restored"

    def _bias(self, node: onnx.NodeProto, place: int, value: torch.Tensor, config: Any) -> str:
        """A bias in the unit of its layer's sums.

        ONNX Runtime does so itself, also below opset 13, where it is not allowed to.
        """
        entering, weight = (_numbers(each) for each in config.input_quantization_config[:2])
        scale = np.asarray(entering[0] * weight[0], dtype=np.float32)
        array = value.detach().numpy().astype(np.float64)
        limits = np.iinfo(np.int32)
        quantized = np.clip(np.rint(array / scale), limits.min, limits.max).astype(np.int32)
        base = f"{_PREFIX}/{node.name}/{place}"
        names = [
            self._constant(f"{base}/quantized", quantized),
            self._constant(f"{base}/scale", scale),
            self._constant(f"{base}/zero", np.zeros(scale.shape, dtype=np.int32)),
        ]
        self._add("DequantizeLinear", names, f"{base}/restored", quantized.ndim - 1)
        return f"{base}/restored"

    def _pair(self, name: str, config: Any, result: str = "") -> str:
        """The tensor quantized and restored; the name of that, ``result`` where it is given."""
        scale, zero, axis = _numbers(config)
        key = (name, scale.tobytes(), zero.tobytes())
        if key in self._pairs:
            return self._pairs[key]
        base = f"{_PREFIX}/{name}/{len(self._pairs)}"
        made = result or f"{base}/restored"
        numbers = [self._constant(f"{base}/scale", scale), self._constant(f"{base}/zero", zero)]
        self._add("QuantizeLinear", [name, *numbers], f"{base}/quantized", axis)
        self._add("DequantizeLinear", [f"{base}/quantized", *numbers], made, axis)
        self._pairs[key] = made
        # What is quantized so already stays as it is.
        self._pairs[made, scale.tobytes(), zero.tobytes()] = made
        return made

    def _add(self, operator: str, inputs: Sequence[str], output: str, axis: int | None) -> None:
        name = f"{output}/{operator}"
        node = helper.make_node(operator, list(inputs), [output], name, domain=self._domain)
        if axis is not None:
            node.attribute.append(helper.make_attribute("axis", axis))
        self._nodes.append(node)

    def _constant(self, name: str, array: NDArray[Any]) -> str:
        # Scales of whole tensors have no axis, which ``ascontiguousarray`` would give them: ONNX
        # Runtime's QLinearAdd, which it makes of an Add on Arm, takes none with an axis.
        tensor = numpy_helper.from_array(np.array(array, order="C"), name)
        self._model.graph.initializer.append(tensor)
        return name

    def _remove_unused(self) -> None:
        graph = self._model.graph
        text = {name for node in graph.node for name in node.input}
        inner = any(a.HasField("g") or a.graphs for node in graph.node for a in node.attribute)
        text.update(value.name for value in graph.output)
        if not inner:  # sub-graphs may read any
            kept = [tensor for tensor in graph.initializer if tensor.name in text]
            del graph.initializer[:]
            graph.initializer.extend(kept)


def _check_finite(operation: Any, config: Any) -> None:
    if not bool(torch.isfinite(config.scale).all()):
        reason = "the calibration data leads to NaN or infinite values there"
        raise NodeError(operation.name, operation.type, reason)


def _is_bias(operation: Any, place: int) -> bool:
    """Whether it is added to sums of quantized values: what goes in may be quantized where it was
    made."""
    return (
        place == _BIAS_PLACE
        and operation.type in _BIASED
        and all(
            each.state != QuantizationStates.FP32 and isinstance(each.scale, torch.Tensor)
            for each in operation.config.input_quantization_config[:_BIAS_PLACE]
        )
    )


def _numbers(config: Any) -> tuple[NDArray[Any], NDArray[Any], int | None]:
    """Scale, zero point and axis, as Q and DQ take them."""
    is_by_channel = config.policy.has_property(QuantizationProperty.PER_CHANNEL)
    unsigned = config.policy.has_property(QuantizationProperty.ASYMMETRICAL)
    scale = config.scale.detach().numpy().astype(np.float32).reshape(-1)
    zero = np.rint(config.offset.detach().numpy()).reshape(-1)
    wide = config.num_of_bits > _BYTE
    zero = zero.astype(
        (np.uint16 if wide else np.uint8) if unsigned else (np.int16 if wide else np.int8)
    )
    if is_by_channel:
        return scale, zero, int(config.channel_axis)
    return scale.reshape(()), zero.reshape(()), None
