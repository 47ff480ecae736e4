"""From PyTorch to ONNX by torch's own exporters, with names that people know from the model.

``torch.export`` (the exporter called dynamo) comes first. Where it fails, the older one by
TorchScript may still do, and the caller is told.
"""

from __future__ import annotations

import ast
import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployx_edge.errors import ModelError
from deployx_edge.sources.onnx.loading import one_line
from deployx_edge.sources.torch.function import example_inputs, function_of, silence
from deployx_edge.sources.torch.source import EXPORTERS
from deployx_edge.sources.torch.state import StatefulError, refuse_state
from deployx_edge.sources.torch.trials import TorchInput, size_variants
from deployx_edge.sources.torch.watch import FrozenValue, Watch

if TYPE_CHECKING:
    import onnx

# With it layer norms and GELU are operators of their own; ONNX Runtime and ncnn know all of it.
_OPSET = 20
# Weights of more bytes go into a file of their own: a protobuf ends at 2 GiB.
_LARGE = 2**30
_SCOPES = "pkg.torch.onnx.name_scopes"


@dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """``inputs`` in the order of the model's; ``exporter`` is one of EXPORTERS.

    ``arguments`` are more keyword arguments for torch.onnx.export.
    """

    inputs: Sequence[TorchInput]
    exporter: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


def exporters_for(model: Any) -> tuple[str, ...]:
    """The exporters that can take the model, the better first."""
    import torch

    if isinstance(model, torch.export.ExportedProgram):
        return ("dynamo",)
    return ("torchscript",) if isinstance(model, torch.jit.ScriptModule) else EXPORTERS


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What is to be told of an export: the values that it keeps, and other notes."""

    frozen: tuple[FrozenValue, ...] = ()
    notes: tuple[str, ...] = ()


def export_torch(
    model: Any, request: ExportRequest, outputs: Sequence[str], path: Path
) -> Exported:
    """Write the model as ONNX to ``path``; ModelError where torch cannot export it.

    ``outputs`` are their names, as ``output_names`` gives them (not used for an exported
    program, which has its own).
    """
    import onnx
    import torch

    try:
        with torch.no_grad(), silence():
            by = _by_dynamo if request.exporter == "dynamo" else _by_torchscript
            exported = by(model, request, outputs, path)
    except StatefulError:
        raise
    except Exception as error:  # the exporters raise all kinds
        raise ModelError(
            f"torch's exporter ({request.exporter}) cannot export the model: {_cause(error)}.",
            remedy="Rewrite what it stumbles over while exporting (docs/write-a-rewriter.md), or "
            "export it to ONNX by hand.",
        ) from error
    written = onnx.load(path, load_external_data=False)
    name_by_modules(written)
    onnx.save(written, path)
    return exported


def name_by_modules(model: onnx.ModelProto) -> None:
    """Name nodes after the modules that they come from, and their tensors after the nodes.

    The older exporter's way: ``/features/0/Conv`` gives ``/features/0/Conv_output_0``. Inputs
    and outputs keep their names; what the exporter notes beside that is dropped, and so is
    the name of the module that ``function_of`` puts around.
    """
    graph = model.graph
    kept = {value.name for value in (*graph.input, *graph.output)}
    made = [name for node in graph.node for name in node.output]
    renamed = {
        name: name.removeprefix("/module").removeprefix("module.")
        for name in (*made, *(tensor.name for tensor in graph.initializer))
        if name not in kept
    }
    used: set[str] = set()
    for node in graph.node:
        scope = _scope(node)
        if scope is None:
            node.name = node.name.removeprefix("/module")
        else:
            node.name = _unused(f"{scope}/{node.op_type}", used)
        used.add(node.name)
        for index, name in enumerate(node.output if scope is not None else ()):
            if name and name not in kept:
                renamed[name] = f"{node.name}_output_{index}"
        del node.metadata_props[:]
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    for value in (*graph.value_info, *graph.input, *graph.output):
        value.name = renamed.get(value.name, value.name)
        del value.metadata_props[:]
    for tensor in graph.initializer:
        tensor.name = renamed.get(tensor.name, tensor.name)
        del tensor.metadata_props[:]


def _scope(node: onnx.NodeProto) -> str | None:
    """The path of the module that a node comes from, as ``/features/0``."""
    noted = next((entry.value for entry in node.metadata_props if entry.key == _SCOPES), None)
    if noted is None:
        return None
    scopes = ast.literal_eval(noted)[:-1]  # the last is the operator itself
    words = str(scopes[-1] if scopes else "").split(".")
    return "".join(f"/{word}" for word in words if word and word != "module")


def _unused(name: str, used: set[str]) -> str:
    count, candidate = 1, name
    while candidate in used:
        candidate, count = f"{name}_{count}", count + 1
    return candidate


def _by_dynamo(model: Any, request: ExportRequest, outputs: Sequence[str], path: Path) -> Exported:
    import torch

    arguments = {"dynamo": True, "verbose": False, **request.arguments}
    if isinstance(model, torch.export.ExportedProgram):
        program = torch.onnx.export(model, **arguments)
    else:
        axes = tuple(
            {
                e.axis: torch.export.Dim(f"{tensor.name}_{e.axis}", min=e.minimum, max=e.maximum)
                for e in tensor.ranges
            }
            for tensor in request.inputs
        )
        names = [tensor.name for tensor in request.inputs]
        program = torch.onnx.export(
            function_of(model, names),
            example_inputs(request.inputs),
            input_names=names,
            output_names=list(outputs),
            dynamic_shapes={"tensors": axes} if any(axes) else None,
            opset_version=_OPSET,
            **arguments,
        )
    assert program is not None and program.exported_program is not None  # dynamo gives them
    notes = refuse_state(program.exported_program)
    _save(program, path)
    return Exported(notes=notes)


def _by_torchscript(
    model: Any, request: ExportRequest, outputs: Sequence[str], path: Path
) -> Exported:
    import torch

    names = [tensor.name for tensor in request.inputs]
    axes = {
        tensor.name: {e.axis: f"{tensor.name}_{e.axis}" for e in tensor.ranges}
        for tensor in request.inputs
        if tensor.ranges
    }
    # A trace cannot go through another module into what was traced before.
    scripted = isinstance(model, torch.jit.ScriptModule)
    torch.onnx.export(
        model if scripted else function_of(model, names),
        example_inputs(request.inputs),
        str(path),
        input_names=names,
        output_names=list(outputs),
        dynamic_axes=axes or None,
        opset_version=_OPSET,
        dynamo=False,
        **{"verbose": False, **request.arguments},
    )
    return Exported(frozen=() if scripted else _frozen(model, request.inputs))


def _frozen(model: Any, inputs: Sequence[TorchInput]) -> tuple[FrozenValue, ...]:
    """What a trace keeps that depends on the inputs: on their values, or on open sizes."""
    best, *others = [sized for sized, _ in size_variants(inputs)]
    watch = _watch(model, best)
    watches = [_watch(model, sized) for sized in others] if watch.sized() else []
    # Where the model does not run, nothing can be wrong.
    return (*watch.by_values(), *watch.by_sizes([each for each in watches if each.is_whole]))


def _watch(model: Any, inputs: Sequence[TorchInput]) -> Watch:
    """What is read while the model is traced at these sizes, as the exporter traces it."""
    import torch

    watch, function = Watch(), function_of(model, [tensor.name for tensor in inputs])
    watch.attach(function, [not tensor.values for tensor in inputs])
    with contextlib.suppress(Exception):  # it ends in one, whatever happens
        torch.onnx.export(
            function, example_inputs(inputs), os.devnull, opset_version=_OPSET, dynamo=False
        )
    return watch


def _save(program: Any, path: Path) -> None:
    size = sum(value.const_value.nbytes for value in program.model.graph.initializers.values())
    program.save(str(path), external_data=size > _LARGE)


def _cause(error: BaseException) -> str:
    """The first line of the innermost exception, which is the one that tells."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {one_line(lines[0] if lines else '')}"
