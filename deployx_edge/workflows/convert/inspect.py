"""What a model is made of, and how each operator would go in each runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from deployx_edge.comparison import structured_inputs
from deployx_edge.errors import ModelError, UsageError
from deployx_edge.graph.subgraphs import nodes_within
from deployx_edge.model import InputRequest, parse_inputs
from deployx_edge.progress import Progress, Stage, silent
from deployx_edge.runtimes.converter import ConversionRequest
from deployx_edge.runtimes.ncnn.native import Refusal
from deployx_edge.runtimes.ncnn.native.converter import EmitterConverter
from deployx_edge.runtimes.ncnn.native.graph import read_graph
from deployx_edge.runtimes.onnxruntime.converter import OnnxRuntimeConverter
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx.canonical import CanonicalModel
from deployx_edge.sources.onnx.file import OnnxSource, SourceTensor, read_onnx
from deployx_edge.sources.onnx.inspection import (
    Inspection,
    OperatorUse,
    RefusedNode,
    count_parameters,
    operator_uses,
)
from deployx_edge.sources.onnx.size import refuse_too_large
from deployx_edge.sources.onnx.value_ranges import WideTensor, wide_tensors
from deployx_edge.workflows.convert.conversion import source_outputs, source_preprocessing
from deployx_edge.workflows.convert.models import TorchOptions, opened_model
from deployx_edge.workflows.convert.samples import read_samples


def inspect_model(
    model: Path,
    *,
    input_shapes: Sequence[str] = (),
    samples: Sequence[Path] = (),
    torch: TorchOptions | None = None,
    progress: Progress = silent,
) -> Inspection:
    """Look at an ``.onnx`` file or one of PyTorch's models; nothing is written.

    ``samples`` are inputs to find values beyond fp16's range with, beside those made up.
    Raises UsageError or ModelError where it cannot be read or simplified.
    """
    requests = parse_inputs(input_shapes)
    with opened_model(model, torch or TorchOptions(), requests, progress=progress) as opened:
        if opened.path.suffix != ".onnx":
            raise UsageError(f"{model} is not an .onnx file nor one of PyTorch's models.")
        return _inspected(opened.path, requests, samples, progress)


def _inspected(
    path: Path,
    requests: Mapping[str, InputRequest],
    samples: Sequence[Path],
    progress: Progress,
) -> Inspection:
    source = read_onnx(path, requests)
    refuse_too_large(source)
    fixed = replace(source, inputs=tuple(replace(each, ranges=()) for each in source.inputs))
    in_runtime, outputs = _onnx_runtime(source, fixed)
    for note in source.notes:
        progress(Stage(text=note))
    progress(Stage(text=f"Simplifying {path.name}"))
    request = ConversionRequest(outputs=outputs, precision="fp32", folder=path.parent)
    examined = EmitterConverter().examine(fixed, request)
    made, refusals = examined.canonical, examined.emitted.refusals
    graph = read_graph(made.model, made.shapes)
    progress(Stage(text="Running it for values beyond fp16's range"))
    wide = () if in_runtime else _wide(source, samples)
    return Inspection(
        name=path.name,
        opset=graph.opset,
        nodes=len(source.nodes),
        inputs=source.inputs,
        outputs=tuple(
            SourceTensor(
                name=name, shape=graph.shapes.get(name, ()), dtype=source.output_dtypes[name]
            )
            for name in graph.outputs
        ),
        parameters=count_parameters(made),
        operators=(
            *(_with_refusals(use, refusals, in_runtime) for use in operator_uses(made)),
            *_rewritten(source, made),
        ),
        refused={"ncnn": _ncnn(source, refusals) or in_runtime, "onnxruntime": in_runtime},
        wide=wide,
        passes=made.applied,
    )


def _ncnn(source: OnnxSource, refusals: Sequence[Refusal]) -> str:
    """Why ncnn cannot have the model as a whole; what single nodes forbid is in their rows."""
    try:
        EmitterConverter().check(source)
    except ModelError as error:
        return error.message
    return "; ".join(refusal.reason for refusal in refusals if not refusal.operator)


def _onnx_runtime(source: OnnxSource, fixed: OnnxSource) -> tuple[str, tuple[SourceTensor, ...]]:
    """Why ONNX Runtime cannot run the model, without which no runtime gets it, and its outputs."""
    try:
        OnnxRuntimeConverter().check(source)
        given = Reference(source).run(structured_inputs(fixed.inputs)[-1])
        return "", source_outputs(source, given)
    except ModelError as error:
        return error.message, ()


def _wide(source: OnnxSource, samples: Sequence[Path]) -> tuple[WideTensor, ...]:
    steps = source_preprocessing(source)
    inputs = (
        *read_samples(samples, source.inputs, steps),
        *structured_inputs(source.inputs, steps),
    )
    return wide_tensors(source, inputs)


def _rewritten(source: OnnxSource, made: CanonicalModel) -> tuple[OperatorUse, ...]:
    """The file's operators of which the canonical model has none."""
    left = {node.op_type for node in nodes_within(made.model.graph.node)}
    gone: dict[str, int] = {}
    for node in source.nodes:
        if node.operator not in left:
            gone[node.operator] = gone.get(node.operator, 0) + 1
    return tuple(
        OperatorUse(operator=operator, count=count, macs=0, rewritten=True)
        for operator, count in sorted(gone.items())
    )


def _with_refusals(use: OperatorUse, refusals: Sequence[Refusal], in_runtime: str) -> OperatorUse:
    refused = tuple(
        RefusedNode(node=refusal.node, reason=refusal.reason)
        for refusal in refusals
        if refusal.operator == use.operator
    )
    # ONNX Runtime refuses a model as a whole; its reason names the node.
    whole = (RefusedNode(node="", reason=in_runtime),) if in_runtime else ()
    return replace(use, refused={"ncnn": refused, "onnxruntime": whole})
