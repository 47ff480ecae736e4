"""What a model is made of, and how each operator would go in each runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from deployx_edge.comparison import structured_inputs
from deployx_edge.errors import ModelError, UsageError
from deployx_edge.graph.links import opset_of
from deployx_edge.graph.subgraphs import nodes_within
from deployx_edge.model import InputRequest, parse_inputs
from deployx_edge.processing.presets import ModelFacts, fits
from deployx_edge.progress import Progress, Stage, silent
from deployx_edge.runtime import RUNTIMES, find_runtime
from deployx_edge.runtimes import load_runtime
from deployx_edge.runtimes.inspected import Inspected
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx.canonical import CanonicalModel, canonical
from deployx_edge.sources.onnx.file import OnnxSource, SourceTensor, read_onnx
from deployx_edge.sources.onnx.foreign import refuse_foreign
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
from deployx_edge.workflows.convert.models import TorchOptions, open_source_model
from deployx_edge.workflows.convert.presets import stated_shapes
from deployx_edge.workflows.convert.samples import read_samples

if TYPE_CHECKING:
    from deployx_edge.model import Array


def inspect_model(
    model: Path,
    *,
    runtime: str | None = None,
    runtimes: Sequence[str] = (),
    input_shapes: Sequence[str] = (),
    samples: Sequence[Path] = (),
    torch: TorchOptions | None = None,
    progress: Progress = silent,
) -> Inspection:
    """Look at an ``.onnx`` file or one of PyTorch's models; nothing is written.

    ``runtime`` is the only one to look at, ``runtimes`` are several; without them all.
    ``samples`` are inputs to find values beyond fp16's range with, beside those made up.
    Raises UsageError or ModelError where it cannot be read or simplified.
    """
    requests = parse_inputs(input_shapes)
    with open_source_model(model, torch or TorchOptions(), requests, progress=progress) as opened:
        if opened.path.suffix != ".onnx":
            raise UsageError(f"{model} is not an .onnx file nor one of PyTorch's models.")
        shapes = stated_shapes(opened.path, input_shapes, progress)
        requests = parse_inputs((*input_shapes, *shapes))
        wanted = (*([runtime] if runtime is not None else []), *runtimes) or _ready()
        names = [find_runtime(name).name for name in wanted]
        return _inspected(opened.path, names, requests, samples, progress)


def _ready() -> list[str]:
    """The runtimes that this computer has all of: nobody can ask another about a model."""
    return [
        name
        for name in RUNTIMES
        if all(need.present for need in load_runtime(name).setup().needs())
    ]


def _inspected(
    path: Path,
    names: Sequence[str],
    requests: Mapping[str, InputRequest],
    samples: Sequence[Path],
    progress: Progress,
) -> Inspection:
    source = read_onnx(path, requests)
    refuse_too_large(source)
    in_reference, outputs, arrays = _in_reference(source)
    for note in source.notes:
        progress(Stage(text=note))
    progress(Stage(text=f"Simplifying {path.name}"))
    found = {name: _inspected_for(name, source, outputs) for name in names}
    forms = (each.canonical for each in found.values() if each.canonical is not None)
    made = next(forms, None) or canonical(source)
    progress(Stage(text="Running it for values beyond fp16's range"))
    wide = () if in_reference else _wide(source, samples)
    return Inspection(
        name=path.name,
        opset=opset_of(made.model),
        nodes=len(source.nodes),
        inputs=source.inputs,
        outputs=tuple(
            SourceTensor(
                name=value.name,
                shape=made.shapes.get(value.name, ()),
                dtype=source.output_dtypes[value.name],
            )
            for value in made.model.graph.output
        ),
        parameters=count_parameters(made),
        operators=(
            *(_with_refusals(use, found, in_reference) for use in operator_uses(made)),
            *_rewritten(source, made),
        ),
        refused={name: each.whole or in_reference for name, each in found.items()},
        wide=wide,
        own={name: each.own for name, each in found.items() if each.own},
        passes={name: each.passes for name, each in found.items() if each.canonical is not None},
        presets=_presets(source, outputs, arrays),
    )


def _presets(
    source: OnnxSource, outputs: Sequence[SourceTensor], arrays: Mapping[str, Array]
) -> dict[str, str]:
    """What speaks against each preset; nothing is known of a model that does not run."""
    if not outputs:
        return {}
    facts = ModelFacts(
        inputs=source.inputs, outputs=outputs, metadata=source.metadata, values=arrays
    )
    return {fit.name: fit.against for fit in fits(facts)}


def _inspected_for(name: str, source: OnnxSource, outputs: Sequence[SourceTensor]) -> Inspected:
    """How it goes in that runtime; one whose package is missing here refuses all of it."""
    try:
        return load_runtime(name).inspect(source, outputs)
    except ImportError as error:
        package = error.name or find_runtime(name).package
        return Inspected(whole=f"the Python package {package} is not installed here")


def _in_reference(
    source: OnnxSource,
) -> tuple[str, tuple[SourceTensor, ...], Mapping[str, Array]]:
    """Why the reference cannot run the model, without which no runtime gets it; its outputs."""
    fixed = [replace(each, ranges=()) for each in source.inputs]
    try:
        refuse_foreign(source)
        given = Reference(source).run(structured_inputs(fixed)[-1])
        return "", source_outputs(source, given), given
    except ModelError as error:
        return str(error), (), {}


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


def _with_refusals(
    use: OperatorUse, found: Mapping[str, Inspected], in_reference: str
) -> OperatorUse:
    return replace(
        use,
        refused={name: _refused(use, each, in_reference) for name, each in found.items()},
    )


def _refused(use: OperatorUse, found: Inspected, in_reference: str) -> tuple[RefusedNode, ...]:
    """The nodes of an operator that a runtime refuses; one without a name where it refuses all.

    One that reads ONNX as it is refuses a model as a whole, and its reason names the node.
    """
    reason = found.whole or in_reference
    if found.canonical is None:
        return (RefusedNode(node="", reason=reason),) if reason else ()
    return tuple(
        RefusedNode(node=item.node, reason=item.reason)
        for item in found.refused
        if item.operator == use.operator
    )
