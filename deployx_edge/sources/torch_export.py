"""From PyTorch to ONNX by torch's own exporters, with names that people know from the model.

``torch.export`` (the exporter called dynamo) comes first. Where it fails, the older one by
TorchScript may still do, and the caller is told.
"""

from __future__ import annotations

import ast
import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployx_edge.errors import ModelError, UsageError
from deployx_edge.model import InputRequest
from deployx_edge.sources.marks import without_marks
from deployx_edge.sources.onnx_file import load_whole, one_line
from deployx_edge.sources.onnx_runtime import open_model

if TYPE_CHECKING:
    import onnx
    import torch
    from numpy.typing import NDArray

EXPORTERS = ("dynamo", "torchscript")
# With it layer norms and GELU are operators of their own; ONNX Runtime and ncnn know all of it.
_OPSET = 20
# Weights of more bytes go into a file of their own: a protobuf ends at 2 GiB.
_LARGE = 2**30
_SCOPES = "pkg.torch.onnx.name_scopes"
# fp32 on both sides, in another order of sums; folded batch norms were seen to cost 1e-5.
_EXPORT_LIMIT = 1e-3


@dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """``inputs`` in the order of the model's; ``exporter`` is one of EXPORTERS.

    ``arguments`` are more keyword arguments for torch.onnx.export.
    """

    inputs: Mapping[str, InputRequest]
    exporter: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


def exporters_for(model: Any) -> tuple[str, ...]:
    """The exporters that can take the model, the better first."""
    import torch

    if isinstance(model, torch.export.ExportedProgram):
        return ("dynamo",)
    return ("torchscript",) if isinstance(model, torch.jit.ScriptModule) else EXPORTERS


def example_outputs(model: Any, inputs: Mapping[str, InputRequest]) -> dict[str, NDArray[Any]]:
    """What the module gives for ``example_inputs``, by the names that the outputs will have.

    The keys of a dictionary, the fields of a named tuple; ``output`` for a single tensor,
    ``output_0`` … for several. Raises UsageError where the module does not run on these inputs.
    """
    import torch

    if not inputs:
        raise UsageError(
            "A model from PyTorch does not say the shapes of its inputs.",
            remedy="Give each: --input NAME:1x3x224x224, with :int64 behind it where it is "
            "no float32.",
        )
    flat = flattened(model, tuple(inputs))
    try:
        with torch.no_grad(), _silence():
            given = flat(*example_inputs(inputs))
    except Exception as error:  # the user's code may raise anything
        shapes = ", ".join(f"{name} {tuple(entry.shape)}" for name, entry in inputs.items())
        raise UsageError(
            f"The model does not run on {shapes}: {type(error).__name__}: {one_line(error)}.",
            remedy="Give other --input NAME:SHAPE:TYPE, in the order of its arguments.",
        ) from error
    return {
        f"{name}_out" if name in inputs else name: tensor.numpy(force=True)
        for name, tensor in zip(flat.output_names, given, strict=True)
    }


def check_export(
    path: Path, inputs: Mapping[str, InputRequest], expected: Mapping[str, NDArray[Any]]
) -> str:
    """Compare what was exported with what the module gave; a note where that cannot be done.

    Raises ModelError where an output is off by more than 0.1 % of its largest value: an
    exporter, or a rewriter, made another model of it.
    """
    import numpy as np

    arrays = {
        name: tensor.numpy(force=True)
        for name, tensor in zip(inputs, example_inputs(inputs), strict=True)
    }
    try:
        model = without_marks(load_whole(path))
        found = open_model(model.SerializeToString()).run(list(expected), arrays)
    except Exception as error:  # ONNX Runtime's exceptions share no base
        return f"What was exported could not be compared with PyTorch: {one_line(error)}."
    for (name, wanted), given in zip(expected.items(), found, strict=True):
        largest = float(np.abs(wanted).max(initial=0.0)) if wanted.size else 0.0
        if not np.isfinite(largest):
            continue
        off = float(np.abs(wanted - given).max(initial=0.0)) if wanted.shape == given.shape else 1.0
        if wanted.shape != given.shape or not off <= _EXPORT_LIMIT * max(largest, 1e-6):
            raise ModelError(
                f"What was exported computes something else than the module: the output '{name}' "
                f"is off by {off:.3g}, its largest value is {largest:.3g}.",
                remedy="Look at your rewriters, or try the other --exporter.",
            )
    return ""


def export_torch(model: Any, request: ExportRequest, outputs: Sequence[str], path: Path) -> None:
    """Write the model as ONNX to ``path``; ModelError where torch cannot export it.

    ``outputs`` are their names, as ``example_outputs`` gives them (not used for an exported
    program, which has its own).
    """
    import onnx
    import torch

    arguments: dict[str, Any] = {"verbose": False, **request.arguments}
    try:
        with torch.no_grad(), _silence():
            if isinstance(model, torch.export.ExportedProgram):
                _save(torch.onnx.export(model, dynamo=True, **arguments), path)
            elif request.exporter == "dynamo":
                _save(_by_dynamo(model, request, outputs, arguments), path)
            else:
                _by_torchscript(model, request, outputs, arguments, path)
    except Exception as error:  # the exporters raise all kinds
        raise ModelError(
            f"torch's exporter ({request.exporter}) cannot export the model: {_cause(error)}.",
            remedy="Rewrite what it stumbles over while exporting (docs/write-a-rewriter.md), or "
            "export it to ONNX by hand.",
        ) from error
    exported = onnx.load(path, load_external_data=False)
    name_by_modules(exported)
    onnx.save(exported, path)


def example_inputs(inputs: Mapping[str, InputRequest]) -> tuple[torch.Tensor, ...]:
    """Noise of the inputs' best shapes; zeros where the type is no float."""
    import torch

    generator = torch.Generator().manual_seed(0)
    return tuple(
        torch.rand(entry.shape, generator=generator).to(getattr(torch, entry.dtype or "float32"))
        for entry in inputs.values()
    )


def flattened(model: Any, names: Sequence[str]) -> Any:
    """The module behind another that takes and gives nothing but tensors, in order.

    Where all ``names`` are arguments of the module they are given by name, else in order.
    """
    import inspect

    import torch

    by_name = not isinstance(model, torch.jit.ScriptModule) and set(names) <= set(
        inspect.signature(model.forward).parameters
    )

    class Flattened(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = model
            self.output_names: tuple[str, ...] = ()

        def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
            if by_name:
                given = self.module(**dict(zip(names, tensors, strict=True)))
            else:
                given = self.module(*tensors)
            found = dict(_leaves("", given))
            self.output_names = tuple(found)
            return tuple(found.values())

    return Flattened().eval()


def name_by_modules(model: onnx.ModelProto) -> None:
    """Name nodes after the modules that they come from, and their tensors after the nodes.

    The older exporter's way: ``/features/0/Conv`` gives ``/features/0/Conv_output_0``. Inputs
    and outputs keep their names; what the exporter notes beside that is dropped, and so is
    the name of the module that ``flattened`` puts around.
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


def _by_dynamo(
    model: Any, request: ExportRequest, outputs: Sequence[str], arguments: Mapping[str, Any]
) -> Any:
    import torch

    axes = tuple(
        {e.axis: torch.export.Dim(f"{name}_{e.axis}", min=e.minimum, max=e.maximum) for e in ranges}
        for name, ranges in ((n, entry.ranges) for n, entry in request.inputs.items())
    )
    return torch.onnx.export(
        flattened(model, tuple(request.inputs)),
        example_inputs(request.inputs),
        input_names=list(request.inputs),
        output_names=list(outputs),
        dynamic_shapes={"tensors": axes} if any(axes) else None,
        opset_version=_OPSET,
        dynamo=True,
        **arguments,
    )


def _by_torchscript(
    model: Any,
    request: ExportRequest,
    outputs: Sequence[str],
    arguments: Mapping[str, Any],
    path: Path,
) -> None:
    import torch

    axes = {
        name: {e.axis: f"{name}_{e.axis}" for e in entry.ranges}
        for name, entry in request.inputs.items()
        if entry.ranges
    }
    # A trace cannot go through another module into what was traced before.
    scripted = isinstance(model, torch.jit.ScriptModule)
    torch.onnx.export(
        model if scripted else flattened(model, tuple(request.inputs)),
        example_inputs(request.inputs),
        str(path),
        input_names=list(request.inputs),
        output_names=list(outputs),
        dynamic_axes=axes or None,
        opset_version=_OPSET,
        dynamo=False,
        **arguments,
    )


def _save(program: Any, path: Path) -> None:
    size = sum(value.const_value.nbytes for value in program.model.graph.initializers.values())
    program.save(str(path), external_data=size > _LARGE)


def _leaves(name: str, value: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors in a nest of tuples, lists and dictionaries, with names; None is left out."""
    import torch

    if torch.is_tensor(value):
        yield name or "output", value
    elif isinstance(value, Mapping) or hasattr(value, "_asdict"):  # a named tuple
        for key, item in (value if isinstance(value, Mapping) else value._asdict()).items():
            yield from _leaves(f"{name}.{key}" if name else str(key), item)
    elif isinstance(value, (tuple, list)):
        for index, item in enumerate(value):
            yield from _leaves(f"{name or 'output'}_{index}" if len(value) > 1 else name, item)
    elif value is not None:
        raise TypeError(f"it gives {type(value).__name__} among its tensors")


def _cause(error: BaseException) -> str:
    """The first line of the innermost exception, which is the one that tells."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {one_line(lines[0] if lines else '')}"


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Without what the exporters print, log and warn of: failures come as exceptions."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
