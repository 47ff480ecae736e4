"""Scales as ncnn's int8 layers take them. Imported in the process with PPQ only."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from esp_ppq.core import (
    OperationQuantizationConfig,
    QuantizationPolicy,
    QuantizationProperty,
    QuantizationStates,
    RoundingPolicy,
    TargetPlatform,
)
from esp_ppq.quantization.optim import (
    LayerwiseEqualizationPass,
    ParameterQuantizePass,
    QuantizationOptimizationPass,
)
from esp_ppq.quantization.quantizer.base import BaseQuantizer

from deployx_edge.quantization.ppq_operators import NodeError
from deployx_edge.quantization.ppq_passes import Job

_INT8_LARGEST = 127


class NcnnQuantizer(BaseQuantizer):  # type: ignore[misc]  # it has no types
    """What ncnn's int8 layers do: one symmetric scale for what goes in, one an output for weights.

    PPQ's own for ncnn takes six bits for weights of 3x3 kernels, so that Winograd's sums do not
    overflow; here all have eight, and the native converter keeps Winograd from layers that could.
    """

    def __init__(self, graph: Any, layers: dict[str, dict[str, Any]]) -> None:
        super().__init__(graph=graph, verbose=False)
        self._layers = layers

    def init_quantize_config(self, operation: Any) -> OperationQuantizationConfig:
        """Which tensors of a layer have scales, and how they are found."""
        config = self.create_default_quant_config(
            policy=self.quantize_policy,
            rounding=RoundingPolicy.ROUND_HALF_FAR_FORM_ZERO,
            op=operation,
            num_of_bits=8,
            quant_max=_INT8_LARGEST,
            quant_min=-_INT8_LARGEST,
            observer_algorithm="percentile",
        )
        weight = config.input_quantization_config[1]
        weight.policy = QuantizationPolicy(
            QuantizationProperty.SYMMETRICAL
            + QuantizationProperty.LINEAR
            + QuantizationProperty.PER_CHANNEL
        )
        weight.channel_axis = self._layers[operation.name]["axis"]
        weight.observer_algorithm = "minmax"
        for rest in (*config.input_quantization_config[2:], *config.output_quantization_config):
            rest.state = QuantizationStates.FP32
        return config

    @property
    def quant_operation_types(self) -> set[str]:
        """The operators that ncnn has int8 layers for."""
        return {"Conv", "Gemm", "MatMul"}

    @property
    def quantize_policy(self) -> QuantizationPolicy:
        """Symmetric, one scale a tensor."""
        return QuantizationPolicy(
            QuantizationProperty.SYMMETRICAL
            + QuantizationProperty.LINEAR
            + QuantizationProperty.PER_TENSOR
        )


class SharedScales(QuantizationOptimizationPass):  # type: ignore[misc]
    """Outputs of one group get the largest scale among them, where the runtime has one a group."""

    def __init__(self, layers: dict[str, dict[str, Any]]) -> None:
        super().__init__(name="Shared scales")
        self._layers = layers

    def optimize(self, graph: Any, **others: Any) -> None:
        """Write the shared scales."""
        for name, layer in self._layers.items():
            if layer["per_output"] or layer["group"] == 1:
                continue
            config = graph.operations[name].config.input_quantization_config[1]
            by_group = config.scale.detach().reshape(layer["group"], -1)
            largest = by_group.max(dim=1, keepdim=True)[0].expand_as(by_group)
            config.scale = largest.reshape(-1).contiguous()


def quantize_layers(job: Job, layers: dict[str, dict[str, Any]], folder: Path) -> dict[str, Any]:
    """The numbers of the layers into ``layers.npz``; what else is to be told of them."""
    graph, executor = job.graph, job.executor
    for name in layers:
        graph.operations[name].platform = TargetPlatform.NCNN_INT8
    changed: list[tuple[str, int]] = []
    if job.settings["equalize"]:
        job.teller.phase("Equalizing")
        changed = _equalized(job, folder)
    quantizer = NcnnQuantizer(graph, layers)
    executor.load_graph(graph)
    executor.tracing_operation_meta(inputs=next(iter(job.samples)))
    for name in layers:
        quantizer.quantize_operation(name)
    executor.load_graph(graph)
    job.teller.phase("Weights")
    job.run(ParameterQuantizePass(method=None))
    job.run(SharedScales(layers))
    job.calibrate()
    if job.tune():
        job.run(SharedScales(layers))
    job.correct_bias()
    return {"activation_scales": _write(graph, layers, folder), "changed": changed}


def _parameters(graph: Any) -> dict[tuple[str, int], torch.Tensor]:
    """Copies of the constants that operators compute with, by operator and place."""
    return {
        (operation.name, place): variable.value.detach().clone()
        for operation in graph.operations.values()
        if operation.is_computing_op
        for place, variable in enumerate(operation.inputs)
        if variable.is_parameter and isinstance(variable.value, torch.Tensor)
    }


def _equalized(job: Job, folder: Path) -> list[tuple[str, int]]:
    """Equalize; the places of what changed, whose values are in ``changed.npz``."""
    before = _parameters(job.graph)
    job.run(LayerwiseEqualizationPass(iterations=10, value_threshold=0.5, optimize_level=1))
    after = _parameters(job.graph)
    changed = [key for key, value in after.items() if not torch.equal(value, before[key])]
    arrays = {f"changed_{i}": after[key].numpy() for i, key in enumerate(changed)}
    np.savez(folder / "changed.npz", **arrays)  # type: ignore[arg-type]
    return changed


def _write(graph: Any, layers: dict[str, dict[str, Any]], folder: Path) -> dict[str, float]:
    """The layers' numbers into ``layers.npz``; the scales of what goes into them."""
    arrays = {}
    scales = {}
    for index, (name, layer) in enumerate(layers.items()):
        operation = graph.operations[name]
        entering, weight = operation.config.input_quantization_config[:2]
        values = operation.inputs[1].value.detach()
        weight_scales = weight.scale.detach().reshape(-1).abs()
        arrays[f"quantized_{index}"] = _quantize(values, weight_scales, layer["axis"]).numpy()
        arrays[f"scales_{index}"] = weight_scales.numpy()
        if operation.num_of_input > 2 and operation.inputs[2].is_parameter:
            arrays[f"bias_{index}"] = operation.inputs[2].value.detach().numpy()
        scales[name] = abs(float(entering.scale.detach().reshape(-1)[0]))
        if not math.isfinite(scales[name]):
            reason = "the calibration data leads to NaN or infinite values before it"
            raise NodeError(name, operation.type, reason)
    np.savez(folder / "layers.npz", **arrays)  # type: ignore[arg-type]
    return scales


def _quantize(weight: torch.Tensor, scales: torch.Tensor, axis: int) -> torch.Tensor:
    shape = [1] * weight.ndim
    shape[axis] = -1
    scaled = weight / scales.reshape(shape)
    rounded = torch.sign(scaled) * torch.floor(scaled.abs() + 0.5)
    return torch.clamp(rounded, -_INT8_LARGEST, _INT8_LARGEST).to(torch.int8)
