"""What a model is made of, and how each operator would go in each runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from deployx_edge.errors import UsageError
from deployx_edge.model import parse_input_shapes
from deployx_edge.rewriting.passes import NCNN_PASSES
from deployx_edge.runtimes.emitter import Refusal, emit
from deployx_edge.runtimes.emitter.graph import read_graph
from deployx_edge.sources.canonical import canonical
from deployx_edge.sources.inspection import (
    Inspection,
    OperatorUse,
    RefusedNode,
    count_parameters,
    operator_uses,
)
from deployx_edge.sources.onnx_file import SourceTensor, read_onnx
from deployx_edge.workflows.progress import Progress, Stage, silent


def inspect_model(
    model: Path, *, input_shapes: Sequence[str] = (), progress: Progress = silent
) -> Inspection:
    """Look at an ``.onnx`` file; nothing is written.

    Raises UsageError or ModelError where it cannot be read or simplified.
    """
    if model.suffix != ".onnx":
        raise UsageError(f"{model} is not an .onnx file, which is what can be inspected.")
    if not model.is_file():
        raise UsageError(f"The model {model} does not exist.")
    source = read_onnx(model, parse_input_shapes(input_shapes))
    progress(Stage(text=f"Simplifying {model.name}"))
    made = canonical(source, NCNN_PASSES)
    progress(Stage(text="Looking up its operators"))
    graph = read_graph(made.model, made.shapes)
    refusals = emit(graph, "fp32").refusals
    return Inspection(
        name=model.name,
        opset=graph.opset,
        nodes=len(source.nodes),
        inputs=source.inputs,
        outputs=tuple(
            SourceTensor(name=name, shape=made.shapes.get(name, ())) for name in graph.outputs
        ),
        parameters=count_parameters(made),
        operators=tuple(_with_refusals(use, refusals) for use in operator_uses(made)),
    )


def _with_refusals(use: OperatorUse, refusals: Sequence[Refusal]) -> OperatorUse:
    refused = tuple(
        RefusedNode(node=refusal.node, reason=refusal.reason)
        for refusal in refusals
        if refusal.operator == use.operator
    )
    return replace(use, refused={"ncnn": refused})
