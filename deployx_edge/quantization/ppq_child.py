"""Find scales with PPQ, in a process of its own: it prints, it caches, it needs torch.

``python -m deployx_edge.quantization.ppq_child FOLDER`` reads ``job.json``, ``model.onnx`` and
``sample_<i>.npz`` there and writes ``layers.npz`` and ``result.json``. Lines ``phase: …`` on
standard output say how far it is. It is started by ``quantization/ppq.py`` only.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

with contextlib.redirect_stdout(io.StringIO()):  # it greets
    from esp_ppq.api import (
        QuantizationSettingFactory,
        dispatch_graph,
        export_ppq_graph,
        load_graph,
    )
    from esp_ppq.core import (
        NetworkFramework,
        OperationQuantizationConfig,
        QuantizationPolicy,
        QuantizationProperty,
        QuantizationStates,
        RoundingPolicy,
        TargetPlatform,
    )
    from esp_ppq.executor import TorchExecutor
    from esp_ppq.executor.torch import OPERATION_FORWARD_TABLE
    from esp_ppq.IR import (
        GraphCommand,
        GraphCommandType,
        GraphFormatter,
        GraphReplacer,
    )
    from esp_ppq.quantization.optim import (
        BiasCorrectionPass,
        LayerwiseEqualizationPass,
        LearnedStepSizePass,
        ParameterQuantizePass,
        QuantizationOptimizationPass,
        RuntimeCalibrationPass,
    )
    from esp_ppq.quantization.optim.training import RoundTuningPass
    from esp_ppq.quantization.quantizer import OnnxruntimeQuantizer
    from esp_ppq.quantization.quantizer.base import BaseQuantizer

_LARGEST_CODE = 127
# glibc keeps what large tensors leave behind when small ones, of observers, lie between: without
# this a run of each sample adds up, though nothing is held. Elsewhere there is no such call.
_TRIM = getattr(ctypes.CDLL(None), "malloc_trim", lambda _: 0)
_TOLD_EVERY = 2.0  # seconds
# Passes that go block by block run the model twice for each, and hold what goes in and out of it.
_BLOCKWISE = 32  # samples
# Of the float model in PPQ's own executor against ONNX Runtime.
_FLOAT_TOLERANCE = 1e-3
_BLOCK = 4
_LEARNING_RATE = 1e-5
# What a graph needs before PPQ can read it; nothing that adds or renames operators.
_FORMATS = (
    GraphCommandType.FORMAT_CONSTANT_INPUT,
    GraphCommandType.CONVERT_TO_TENSOR,
    GraphCommandType.FORMAT_PARAMETERS,
    GraphCommandType.FORMAT_CAST,
    GraphCommandType.FORMAT_SLICE,
    GraphCommandType.FORMAT_CLIP,
    GraphCommandType.FORMAT_PAD,
    GraphCommandType.FORMAT_RESIZE,
    GraphCommandType.DELETE_ISOLATED,
)


class Samples:
    """The calibration data, read from disk each time round: memory does not grow with it."""

    def __init__(self, folder: Path, count: int, names: list[str]) -> None:
        self._folder, self._count, self._names = folder, count, names
        self._seen, self._told, self.phase = 0, time.monotonic(), ""

    def first(self, count: int) -> Samples:
        """The first so many."""
        return Samples(self._folder, min(count, self._count), self._names)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        for index in range(self._count):
            self._seen += 1
            _TRIM(0)
            if time.monotonic() - self._told > _TOLD_EVERY:
                self._told = time.monotonic()
                print(f"phase: {self.phase}, {self._seen} samples so far", flush=True)
            with np.load(self._folder / f"sample_{index}.npz") as file:
                yield {
                    name: torch.from_numpy(file[f"input_{i}"]) for i, name in enumerate(self._names)
                }


class NcnnQuantizer(BaseQuantizer):  # type: ignore[misc]  # it has no types
    """What ncnn's int8 layers do: one symmetric step for what goes in, one an output for weights.

    PPQ's own for ncnn takes six bits for weights of 3x3 kernels, so that Winograd's sums do not
    overflow; here all have eight, and the emitter keeps Winograd from layers that could.
    """

    def __init__(self, graph: Any, layers: dict[str, dict[str, Any]]) -> None:
        super().__init__(graph=graph, verbose=False)
        self._layers = layers

    def init_quantize_config(self, operation: Any) -> OperationQuantizationConfig:
        """Which tensors of a layer have steps, and how they are found."""
        config = self.create_default_quant_config(
            policy=self.quantize_policy,
            rounding=RoundingPolicy.ROUND_HALF_FAR_FORM_ZERO,
            op=operation,
            num_of_bits=8,
            quant_max=_LARGEST_CODE,
            quant_min=-_LARGEST_CODE,
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
        """Symmetric, one step a tensor."""
        return QuantizationPolicy(
            QuantizationProperty.SYMMETRICAL
            + QuantizationProperty.LINEAR
            + QuantizationProperty.PER_TENSOR
        )


class SharedSteps(QuantizationOptimizationPass):  # type: ignore[misc]
    """Outputs of one group get the largest step among them, where the runtime has one a group."""

    def __init__(self, layers: dict[str, dict[str, Any]]) -> None:
        super().__init__(name="Shared steps")
        self._layers = layers

    def optimize(self, graph: Any, **others: Any) -> None:
        """Write the shared steps."""
        for name, layer in self._layers.items():
            if layer["per_output"] or layer["group"] == 1:
                continue
            config = graph.operations[name].config.input_quantization_config[1]
            by_group = config.scale.detach().reshape(layer["group"], -1)
            largest = by_group.max(dim=1, keepdim=True)[0].expand_as(by_group)
            config.scale = largest.reshape(-1).contiguous()


def _say(text: str, samples: Samples) -> None:
    samples.phase = text
    print(f"phase: {text}", flush=True)


def _passes(
    settings: dict[str, Any], layers: dict[str, Any], samples: int
) -> list[tuple[str, int, Any]]:
    """What is done, on how many samples at most, by which of PPQ's passes."""
    found: list[tuple[str, int, Any]] = [
        ("Weights", samples, ParameterQuantizePass(method=None)),
        ("Weights", samples, SharedSteps(layers)),
        ("Activations", samples, RuntimeCalibrationPass(method=settings["algorithm"])),
    ]
    if settings["tuning"] == "step-size":
        tuning = LearnedStepSizePass(
            steps=settings["tuning_steps"],
            lr=_LEARNING_RATE,
            block_size=_BLOCK,
            collecting_device="cpu",
        )
        found.append(("Tuning weights and steps", _BLOCKWISE, tuning))
        found.append(("Weights", samples, SharedSteps(layers)))
    elif settings["tuning"] == "rounding":
        tuning = RoundTuningPass(
            steps=settings["tuning_steps"], block_size=_BLOCK, collecting_device="cpu"
        )
        found.append(("Tuning the rounding", _BLOCKWISE, tuning))
    if settings["correct_bias"]:
        correction = BiasCorrectionPass(collecting_device="cpu", block_size=_BLOCK)
        found.append(("Biases", _BLOCKWISE, correction))
    return found


def _check_float(executor: Any, folder: Path, samples: Samples, names: list[str]) -> str | None:
    """Why PPQ's own executor cannot be trusted with this model; None where it can."""
    found = executor.forward(next(iter(samples)), output_names=names)
    with np.load(folder / "expected.npz") as file:
        for index, (name, tensor) in enumerate(zip(names, found, strict=True)):
            wanted = file[f"output_{index}"].astype(np.float64)
            got = tensor.detach().numpy().astype(np.float64)
            if got.size != wanted.size:
                return f"it gives '{name}' another shape"
            error = float(np.linalg.norm(got.reshape(-1) - wanted.reshape(-1)))
            if not error <= _FLOAT_TOLERANCE * max(float(np.linalg.norm(wanted)), 1e-12):
                return f"it computes '{name}' otherwise than ONNX Runtime"
    return None


def _codes(weight: torch.Tensor, steps: torch.Tensor, axis: int) -> torch.Tensor:
    shape = [1] * weight.ndim
    shape[axis] = -1
    scaled = weight / steps.reshape(shape)
    rounded = torch.sign(scaled) * torch.floor(scaled.abs() + 0.5)
    return torch.clamp(rounded, -_LARGEST_CODE, _LARGEST_CODE).to(torch.int8)


def _parameters(graph: Any) -> dict[tuple[str, int], torch.Tensor]:
    """Copies of the constants that operators compute with, by operator and place."""
    return {
        (operation.name, place): variable.value.detach().clone()
        for operation in graph.operations.values()
        if operation.is_computing_op
        for place, variable in enumerate(operation.inputs)
        if variable.is_parameter and isinstance(variable.value, torch.Tensor)
    }


def _equalized(common: dict[str, Any], folder: Path) -> list[tuple[str, int]]:
    """Equalize; the places of what changed, whose values are in ``changed.npz``."""
    before = _parameters(common["graph"])
    LayerwiseEqualizationPass(iterations=10, value_threshold=0.5, optimize_level=1).optimize(
        **common
    )
    after = _parameters(common["graph"])
    changed = [key for key, value in after.items() if not torch.equal(value, before[key])]
    arrays = {f"changed_{i}": after[key].numpy() for i, key in enumerate(changed)}
    np.savez(folder / "changed.npz", **arrays)  # type: ignore[arg-type]
    return changed


def _write(graph: Any, layers: dict[str, dict[str, Any]], folder: Path) -> dict[str, float]:
    """The layers' numbers into ``layers.npz``; the steps of what goes into them."""
    arrays = {}
    steps = {}
    for index, (name, layer) in enumerate(layers.items()):
        operation = graph.operations[name]
        entering, weight = operation.config.input_quantization_config[:2]
        values = operation.inputs[1].value.detach()
        weight_steps = weight.scale.detach().reshape(-1).abs()
        arrays[f"codes_{index}"] = _codes(values, weight_steps, layer["axis"]).numpy()
        arrays[f"steps_{index}"] = weight_steps.numpy()
        if operation.num_of_input > 2:
            arrays[f"bias_{index}"] = operation.inputs[2].value.detach().numpy()
        steps[name] = abs(float(entering.scale.detach().reshape(-1)[0]))
    np.savez(folder / "layers.npz", **arrays)  # type: ignore[arg-type]
    return steps


def _refuse(folder: Path, reason: str) -> int:
    (folder / "result.json").write_text(json.dumps({"error": reason}), encoding="utf-8")
    return 1


def _for_ncnn(job: dict[str, Any], common: dict[str, Any], folder: Path) -> dict[str, Any]:
    graph, executor, layers = common["graph"], common["executor"], job["layers"]
    for operation in graph.operations.values():
        operation.platform = (
            TargetPlatform.NCNN_INT8 if operation.name in layers else TargetPlatform.FP32
        )
    changed: list[tuple[str, int]] = []
    if job["settings"]["equalize"]:
        _say("Equalizing", common["dataloader"])
        changed = _equalized(common, folder)
    quantizer = NcnnQuantizer(graph, layers)
    executor.load_graph(graph)
    executor.tracing_operation_meta(inputs=next(iter(common["dataloader"])))
    for name in layers:
        quantizer.quantize_operation(name)
    executor.load_graph(graph)
    for text, most, each in _passes(job["settings"], layers, common["calib_steps"]):
        samples = common["dataloader"].first(most)
        _say(text, samples)
        each.optimize(**{**common, "dataloader": samples})
    return {"activation_steps": _write(graph, layers, folder), "changed": changed}


def _for_onnxruntime(job: dict[str, Any], common: dict[str, Any], folder: Path) -> dict[str, Any]:
    graph, settings = common["graph"], job["settings"]
    kept = set(job["keep_float"])
    setting = QuantizationSettingFactory.default_setting()
    setting.quantize_activation_setting.calib_algorithm = settings["algorithm"]
    setting.equalization = settings["equalize"]
    setting.convtranspose_decomposition = False  # its InsertZeros is no operator of ONNX
    setting.bias_correct = settings["correct_bias"]
    setting.bias_correct_setting.collecting_device = "cpu"
    setting.lsq_optimization = settings["tuning"] == "step-size"
    setting.lsq_optimization_setting.steps = settings["tuning_steps"]
    setting.lsq_optimization_setting.lr = _LEARNING_RATE
    setting.lsq_optimization_setting.collecting_device = "cpu"
    for name in kept:
        setting.dispatching_table.append(name, TargetPlatform.FP32)
    dispatch_graph(
        graph=graph,
        platform=TargetPlatform.ONNXRUNTIME,
        dispatcher=setting.dispatcher,
        dispatching_table=setting.dispatching_table,
    )
    quantizer = OnnxruntimeQuantizer(graph=graph)
    quantizer._verbose = False
    _say("Weights and activations", common["dataloader"])
    inputs = next(iter(common["dataloader"]))
    quantizer.quantize(
        inputs=inputs,
        calib_dataloader=common["dataloader"],
        executor=common["executor"],
        setting=setting,
        calib_steps=common["calib_steps"],
        collate_fn=None,
    )
    _say("Writing the model", common["dataloader"])
    export_ppq_graph(
        graph=graph,
        platform=TargetPlatform.ONNXRUNTIME,
        graph_save_to=str(folder / "exported.onnx"),
        config_save_to=None,
    )
    _restore_opset(folder / "exported.onnx", folder / "model.onnx")
    return {}


def _restore_opset(exported: Path, original: Path) -> None:
    """PPQ writes opset 13 whatever it read; the operators are still those of the original."""
    model = onnx.load(exported)
    (own,) = (e for e in model.opset_import if e.domain == "")
    wanted = next(e.version for e in onnx.load(original).opset_import if e.domain == "")
    own.version = max(own.version, wanted)
    onnx.save(model, exported)


def main(folder: Path) -> int:
    """Do the job in ``folder``; 0 where every layer has its scales."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    torch.manual_seed(job["settings"]["seed"])
    samples = Samples(folder, job["samples"], job["inputs"])
    _say("Reading the model", samples)
    graph = load_graph(str(folder / "model.onnx"), NetworkFramework.ONNX)
    formatter = GraphReplacer(GraphFormatter(graph))
    for command in _FORMATS:
        formatter(GraphCommand(command))
    unknown = sorted({o.type for o in graph.operations.values()} - _known_operators())
    if unknown:
        return _refuse(folder, f"it does not know the operator '{unknown[0]}'")
    for operation in graph.operations.values():
        operation.platform = TargetPlatform.FP32
    executor = TorchExecutor(graph=graph, device="cpu")
    reason = _check_float(executor, folder, samples, job["outputs"])
    if reason is not None:
        return _refuse(folder, reason)
    common = {
        "graph": graph,
        "dataloader": samples,
        "executor": executor,
        "calib_steps": len(samples),
        "collate_fn": None,
    }
    do = {"ncnn": _for_ncnn, "onnxruntime": _for_onnxruntime}[job["platform"]]
    result = do(job, common, folder)
    result["peak_bytes"] = _peak_bytes()
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return 0


def _peak_bytes() -> int:
    """The most memory that this process held; what getrusage says begins with its parent's."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _known_operators() -> set[str]:
    return set(OPERATION_FORWARD_TABLE[TargetPlatform.FP32])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
