"""The matrix of single operators, each between layers that can be int8.

An operator alone has nothing to quantize. So what it gives goes through a Gemm, whose scale comes
from what the operator computes on the calibration data; an image comes to it through a depthwise
convolution that changes nothing but that it is int8.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.integration.models.operators.case import Case

SAMPLES = 8
_OUTPUTS = 3
_IMAGE_AXES = 4
_OLD_GEMM = 7  # below it a bias is as large as the output


@dataclass(frozen=True, kw_only=True)
class QuantizeCase:
    """``layers`` are the nodes that are to be int8, each with the tensor that goes into it."""

    name: str
    model: onnx.ModelProto
    layers: dict[str, str]
    interval: tuple[float, float] | None


def between_layers(case: Case) -> QuantizeCase | None:
    """The case between int8 layers.

    None where ONNX Runtime cannot run it, or where it gives NaN or infinity on the data: there
    is nothing to calibrate on.
    """
    sizes = _output_sizes(case)
    if sizes is None:
        return None
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    graph, layers = model.graph, {}
    read = {name for node in graph.node for name in node.input}
    for value in list(graph.input):
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        is_image = len(shape) == _IMAGE_AXES and shape[0] == 1 and value.name in read
        if case.interval is None and is_image and _takes_zeros(case):
            layers[_identity(graph, value.name, shape[1])] = value.name
    opset = next(e.version for e in model.opset_import if e.domain == "")
    for name, size in sizes.items():
        layers[_gemm(graph, name, size, opset)] = name
    return QuantizeCase(name=case.name, model=model, layers=layers, interval=case.interval)


def arrays(case: Case | QuantizeCase, seed: int) -> dict[str, np.ndarray]:
    """One sample's inputs."""
    random = np.random.default_rng([seed, *case.name.encode()])
    made = {}
    for value in case.model.graph.input:
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        drawn = (
            random.standard_normal(shape)
            if case.interval is None
            else random.uniform(*case.interval, shape)
        )
        made[value.name] = np.asarray(drawn, dtype=np.float32)
    return made


def _output_sizes(case: Case) -> dict[str, int] | None:
    try:
        runs = [_run(case, arrays(case, index)) for index in range(SAMPLES)]
    except Exception:  # it has no base of its own; such a case is for the matrix of `convert`
        return None
    if not all(_is_finite(found) for found in runs):
        return None
    return {name: array.size for name, array in runs[0].items() if array.dtype == np.float32}


def _run(case: Case, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        case.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [value.name for value in case.model.graph.output]
    return dict(zip(names, session.run(names, inputs), strict=True))


def _is_finite(found: dict[str, np.ndarray]) -> bool:
    return all(bool(np.isfinite(array).all()) for array in found.values())


def _takes_zeros(case: Case) -> bool:
    """Whether small values may become 0, as their codes do."""
    zeros = {name: np.zeros_like(array) for name, array in arrays(case, 0).items()}
    return _is_finite(_run(case, zeros))


def _identity(graph: onnx.GraphProto, name: str, channels: int) -> str:
    """The input as it is, through a convolution of one weight a channel."""
    weight = f"{name}/ones"
    ones = np.ones((channels, 1, 1, 1), dtype=np.float32)
    graph.initializer.append(numpy_helper.from_array(ones, weight))
    for node in graph.node:
        for place, read in enumerate(node.input):
            if read == name:
                node.input[place] = f"{name}/passed"
    node = helper.make_node(
        "Conv", [name, weight], [f"{name}/passed"], name=f"{name}/before", group=channels
    )
    graph.node.insert(0, node)
    return node.name


def _gemm(graph: onnx.GraphProto, name: str, size: int, opset: int) -> str:
    """Three sums over the output, as one more output of the model."""
    random = np.random.default_rng(size)
    weight = (random.standard_normal((size, _OUTPUTS)) / np.sqrt(size)).astype(np.float32)
    bias = random.standard_normal((1, _OUTPUTS) if opset < _OLD_GEMM else _OUTPUTS)
    flat = {"flat": np.array([1, -1]), "weight": weight, "bias": bias.astype(np.float32)}
    graph.initializer.extend(
        numpy_helper.from_array(array, f"{name}/{key}") for key, array in flat.items()
    )
    graph.node.append(
        helper.make_node("Reshape", [name, f"{name}/flat"], [f"{name}/row"], name=f"{name}/reshape")
    )
    gemm = helper.make_node(
        "Gemm",
        [f"{name}/row", f"{name}/weight", f"{name}/bias"],
        [f"{name}/sums"],
        name=f"{name}/after",
    )
    graph.node.append(gemm)
    graph.output.append(
        helper.make_tensor_value_info(f"{name}/sums", TensorProto.FLOAT, [1, _OUTPUTS])
    )
    return gemm.name
