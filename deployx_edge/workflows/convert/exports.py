"""PyTorch's models become ONNX files, by the first exporter that can, and are compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

from deployx_edge.errors import ModelError, UsageError
from deployx_edge.model import InputRequest
from deployx_edge.operator_facts import all_operators
from deployx_edge.operator_file import SYMBOLIC_FILE
from deployx_edge.progress import Progress, Stage
from deployx_edge.rewriting import RewriteRequest, load_rewriters, rewriting
from deployx_edge.sources.torch.check import check_export
from deployx_edge.sources.torch.export import (
    Exported,
    ExportRequest,
    export_torch,
    exporters_for,
)
from deployx_edge.sources.torch.function import function_of, is_program, output_names
from deployx_edge.sources.torch.model import load_torch, traced_note
from deployx_edge.sources.torch.source import EXPORTER_KEY, TorchSource
from deployx_edge.sources.torch.state import StatefulError
from deployx_edge.sources.torch.trials import exported_inputs, input_tensors
from deployx_edge.workflows.convert.models import NOTES_KEY, TorchOptions, json_object


def export(
    source: TorchSource,
    options: TorchOptions,
    inputs: Mapping[str, InputRequest],
    runtime: str,
    path: Path,
    progress: Progress,
) -> None:
    """Write the ONNX of ``source`` to ``path``; ModelError where none comes out."""
    progress(Stage(text=f"Loading {source.reference}"))
    model = load_torch(source)
    load_rewriters((*options.rewriters, *map(str, _symbolics())))
    possible = exporters_for(model)
    if options.exporter != "auto" and options.exporter not in possible:
        raise UsageError(f"{source.reference} can only be exported by {possible[0]}.")
    wanted = possible if options.exporter == "auto" else (options.exporter,)
    tensors = input_tensors(inputs)
    # An exported program says itself what goes in and out.
    outputs = output_names(model, tensors) if "torchscript" in possible else ()
    notes: list[str] = []
    for exporter in wanted:
        progress(Stage(text=f"Exporting {source.name} to ONNX ({exporter})"))
        request = ExportRequest(inputs=tensors, exporter=exporter)
        try:
            if _is_python(model) or options.rewriters:
                exported = _export_rewritten(model, request, outputs, path, runtime, options)
            else:
                exported = export_torch(model, request, outputs, path)
            progress(Stage(text="Comparing what was exported with PyTorch"))
            notes += _checked(exported, model, inputs, path, accept_frozen=options.accept_frozen)
        except StatefulError:
            raise
        except ModelError as error:
            if exporter == wanted[-1]:
                raise
            notes.append(f"{error.message} The exporter {wanted[-1]} could.")
            progress(Stage(text=error.message))
            continue
        _note(path, exporter, [*notes, *traced_note(source.name, model)])
        return


def _symbolics() -> list[Path]:
    """What functions of operators of our own become in ONNX."""
    places = [facts.folder / SYMBOLIC_FILE for facts in all_operators().values()]
    return [place for place in places if place.is_file()]


def _checked(
    exported: Exported,
    model: Any,
    inputs: Mapping[str, InputRequest],
    path: Path,
    *,
    accept_frozen: bool,
) -> list[str]:
    """What is to be told of an export; ModelError where it is another model than the module."""
    frozen = "; ".join(map(str, exported.frozen))
    if frozen and not accept_frozen:
        raise ModelError(
            f"The trace keeps one value of what depends on the inputs: {frozen}.",
            remedy="Write it with tensors (torch.where, masks), or as a rewriter; "
            "--accept-frozen says that every input goes the way of the example that is traced "
            "(noise of 0 … 1, of the best sizes).",
        )
    # A program's inputs are named and sized by itself.
    tensors = exported_inputs(path, inputs) if is_program(model) else input_tensors(inputs)
    function = function_of(model, [tensor.name for tensor in tensors])
    return [
        *exported.notes,
        *((f"The trace keeps, as accepted (--accept-frozen): {frozen}.",) if frozen else ()),
        *check_export(path, function, tensors, accept_frozen=bool(frozen)),
    ]


def _is_python(model: Any) -> bool:
    """Whether the model is code that rewriters and marks can work on."""
    import torch

    return isinstance(model, torch.nn.Module) and not isinstance(model, torch.jit.ScriptModule)


def _export_rewritten(
    model: Any,
    request: ExportRequest,
    outputs: tuple[str, ...],
    path: Path,
    runtime: str,
    options: TorchOptions,
) -> Exported:
    """Export under the rewriters for the runtime; what is to be told of them comes beside."""
    rewriters = rewriting(
        RewriteRequest(
            runtime=runtime,
            intermediate="onnx",
            exporter=request.exporter,
            config=json_object(options.settings, "--settings"),
        ),
        model,
    )
    with rewriters as rewritten:
        arguments = rewriters.export_arguments()
        exported = export_torch(rewritten, replace(request, arguments=arguments), outputs, path)
    unused = [
        f"The {use.kind} rewriter of {use.path} found nothing to do."
        for use in rewriters.unused()
        if not use.missing
    ]
    return replace(exported, notes=(*exported.notes, *unused))


def _note(path: Path, exporter: str, notes: list[str]) -> None:
    import onnx

    model = onnx.load(path, load_external_data=False)
    for key, value in (
        (EXPORTER_KEY, f"{metadata.version('torch')} {exporter}"),
        (NOTES_KEY, json.dumps(notes)),
    ):
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, path)
