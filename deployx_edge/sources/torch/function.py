"""A model from PyTorch as a function of tensors in order, whatever it takes and gives itself."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deployx_edge.errors import UsageError
from deployx_edge.sources.onnx.loading import one_line

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from deployx_edge.sources.torch.trials import TorchInput


def function_of(model: Any, names: Sequence[str]) -> Any:
    """The module behind another that takes and gives nothing but tensors, in order.

    Where all ``names`` are arguments of the module they are given by name, else in order; what
    else an exported program takes (numbers, None) is what it was exported with. The names of
    what it gives are its ``output_names``, once it ran.
    """
    import torch

    call = _call_program(model) if is_program(model) else _call_module(model, names)

    class Function(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = model.module() if is_program(model) else model
            self.output_names: tuple[str, ...] = ()

        def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
            found = dict(_leaves("", call(self.module, tensors)))
            self.output_names = tuple(found)
            return tuple(found.values())

    function = Function()
    return function if is_program(model) else function.eval()


def example_inputs(inputs: Sequence[TorchInput]) -> tuple[torch.Tensor, ...]:
    """What a model is traced with: the first of its trials."""
    import torch

    from deployx_edge.sources.torch.trials import trials

    return tuple(torch.from_numpy(array) for array in next(trials(inputs)).arrays)


def output_names(model: Any, inputs: Sequence[TorchInput]) -> tuple[str, ...]:
    """The names that the outputs will have: keys of a dictionary, fields of a named tuple.

    ``output`` for a single tensor, ``output_0`` … for several. Raises UsageError where the module
    does not run on ``example_inputs``.
    """
    if not inputs:
        raise UsageError(
            "A model from PyTorch does not say the shapes of its inputs.",
            remedy="Give each: --input NAME:1x3x224x224, with :int64 after it if it is not "
            "float32.",
        )
    names = [tensor.name for tensor in inputs]
    function = function_of(model, names)
    try:
        run(function, example_inputs(inputs))
    except Exception as error:  # the user's code may raise anything
        shapes = ", ".join(f"{tensor.name} {tensor.shape}" for tensor in inputs)
        raise UsageError(
            f"The model does not run on {shapes}: {type(error).__name__}: {one_line(error)}.",
            remedy="Give other --input NAME:SHAPE:TYPE, in the order of its arguments.",
        ) from error
    return tuple(f"{name}_out" if name in names else name for name in function.output_names)


def run(function: Any, tensors: Sequence[torch.Tensor]) -> list[NDArray[Any]]:
    """What the function gives, as arrays of their own; the user's exceptions pass."""
    import torch

    with torch.no_grad(), silence():
        # Whatever the model does to its inputs in place, it does to a copy.
        given = function(*(tensor.clone() for tensor in tensors))
    return [tensor.detach().clone().numpy(force=True) for tensor in given]


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Without what torch prints, logs and warns of: failures come as exceptions."""
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


def is_program(model: Any) -> bool:
    """Whether it is a program of torch.export."""
    import torch

    return isinstance(model, torch.export.ExportedProgram)


def _call_module(model: Any, names: Sequence[str]) -> Any:
    import inspect

    import torch

    by_name = not isinstance(model, torch.jit.ScriptModule) and set(names) <= set(
        inspect.signature(model.forward).parameters
    )

    def call(module: Any, tensors: Sequence[torch.Tensor]) -> Any:
        return module(**dict(zip(names, tensors, strict=True))) if by_name else module(*tensors)

    return call


def _call_program(program: torch.export.ExportedProgram) -> Any:
    from torch.export.graph_signature import ConstantArgument, InputKind
    from torch.utils import _pytree

    taken = [
        spec.arg
        for spec in program.graph_signature.input_specs
        if spec.kind is InputKind.USER_INPUT
    ]

    def call(module: Any, tensors: Sequence[torch.Tensor]) -> Any:
        waiting = iter(tensors)
        leaves = [
            argument.value if isinstance(argument, ConstantArgument) else next(waiting)
            for argument in taken
        ]
        words, named = _pytree.tree_unflatten(leaves, program.call_spec.in_spec)
        return module(*words, **named)

    return call


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
