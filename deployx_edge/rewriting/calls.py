"""Calls that torch's exporters take up as one thing, to be written as ONNX by code of ours.

torch is imported here; import this module late.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from deployx_edge.errors import DeployxError, UsageError
from deployx_edge.model import MARK_DOMAIN, MARK_OPERATOR
from deployx_edge.rewriting.nests import leaves, map_leaves

_LIBRARY = "deployx_edge"
_OPERATOR = "call"


def _tracing() -> bool:
    """Whether the exporter at work is the one by TorchScript."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def exporting() -> bool:
    """Whether a model is being exported right now, by one exporter or the other."""
    return torch.onnx.is_in_onnx_export() or torch.compiler.is_exporting()


@dataclass(frozen=True, kw_only=True)
class Slot:
    """Stands for the tensor of that number."""

    number: int


@dataclass(kw_only=True)
class Call:
    """One call of a function while exporting.

    ``path`` is what a rewriter calls the function. ``args`` and ``kwargs`` have Slots for
    tensors. ``write`` gets what makes the graph (the exporter's own) and the graph's values
    for the tensors, and gives the values of the results. What is known once the original has
    run: ``result``, with Slots for tensors, and ``types`` of these, as TorchScript has them.
    """

    path: str
    original: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    write: Callable[[Any, Call, Sequence[Any]], Sequence[Any]]
    result: Any = None
    types: tuple[Any, ...] = field(default=())


# The exporters' graphs hold numbers only; the calls under way are found by them here.
_calls: dict[int, Call] = {}
_numbers = itertools.count()
# How many originals run at the moment to see what they give.
_originals = 0


def within_original() -> bool:
    """Whether a call's original runs at the moment only to see what it gives."""
    return _originals > 0


@contextmanager
def keeping_calls() -> Iterator[None]:
    """Forget, at the end, the calls that were made in the block."""
    before = set(_calls)
    try:
        yield
    finally:
        for number in _calls.keys() - before:
            del _calls[number]


def make_call(
    path: str,
    original: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    write: Callable[[Any, Call, Sequence[Any]], Sequence[Any]],
) -> Any:
    """Call the original so that the exporter takes it up as one thing, which ``write`` writes."""
    tensors = leaves([list(args), dict(kwargs)], torch.Tensor)
    counter = itertools.count()
    slotted = map_leaves(
        [list(args), dict(kwargs)], torch.Tensor, lambda _, tensor: Slot(number=next(counter))
    )
    call = Call(
        path=path, original=original, args=tuple(slotted[0]), kwargs=slotted[1], write=write
    )
    number = next(_numbers)
    _calls[number] = call
    found = _taken_up(number, tensors)
    return filled(call.result, found)


def _taken_up(number: int, tensors: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
    """The results, which the exporter sees coming out of one node."""
    if _tracing():
        traced: tuple[torch.Tensor, ...] = _TracedCall.apply(number, *tensors)  # type: ignore[no-untyped-call]
        return traced
    found: list[torch.Tensor] = call_operator()(tensors, number)
    return found


def filled(nest: Any, values: Sequence[Any]) -> Any:
    """The nest with values in the place of Slots."""
    return map_leaves(nest, Slot, lambda _, slot: values[slot.number])


def call_of(number: int) -> Call:
    """The call that a graph means by a number."""
    return _calls[number]


_operator: list[Any] = []


def call_operator() -> Any:
    """The operator that stands for calls in torch.export's graphs.

    ``call(Tensor[] tensors, int number) -> Tensor[]``. It is defined when first needed and
    stays; without the call of that number it cannot run.
    """
    if not _operator:
        library: Any = torch.library.Library(_LIBRARY, "FRAGMENT")  # type: ignore[no-untyped-call]
        library.define(f"{_OPERATOR}(Tensor[] tensors, int number) -> Tensor[]")
        library.impl(_OPERATOR, _copied, "CompositeExplicitAutograd")
        torch.library.register_fake(f"{_LIBRARY}::{_OPERATOR}", _copied, lib=library)
        # The library is kept with it: torch undefines an operator when its library goes.
        _operator.extend((getattr(torch.ops, _LIBRARY).call.default, library))
    return _operator[0]


def _run(tensors: Sequence[torch.Tensor], number: int) -> list[torch.Tensor]:
    """What the original gives, noted in the call; under torch.export only shapes and types."""
    global _originals
    call = _calls[number]
    _originals += 1
    try:
        with torch.no_grad():
            result = call.original(
                *filled(call.args, tensors), **filled(dict(call.kwargs), tensors)
            )
    finally:
        _originals -= 1
    counter = itertools.count()
    call.result = map_leaves(result, torch.Tensor, lambda _, tensor: Slot(number=next(counter)))
    return leaves(result, torch.Tensor)


def _copied(tensors: Sequence[torch.Tensor], number: int) -> list[torch.Tensor]:
    """An operator's results may not be its inputs, nor share memory with them."""
    try:
        return [tensor.clone() for tensor in _run(tensors, number)]
    except DeployxError:
        raise
    except Exception as error:  # the user's code may raise anything
        raise UsageError(
            f"'{_calls[number].path}' has a symbolic rewriter, but cannot be run on tensors "
            "without values, as the exporter dynamo has to, to see what it gives: "
            f"{type(error).__name__}: {error}.",
            remedy="Take the exporter torchscript.",
        ) from error


@contextmanager
def _untraced() -> Iterator[None]:
    """Without TorchScript's trace: it fails on an autograd.Function within another's forward."""
    state = torch._C._get_tracing_state()
    torch._C._set_tracing_state(None)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch._C._set_tracing_state(state)  # type: ignore[attr-defined]


class _TracedCall(torch.autograd.Function):
    """Stands for calls in TorchScript's graphs."""

    @staticmethod
    def forward(ctx: Any, number: int, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        with _untraced():
            found = _run(tensors, number)
        _calls[number].types = tuple(torch._C.TensorType.create_from_tensor(t) for t in found)
        # The copies are traced: what no trace leads to cannot come out of a function.
        return tuple(tensor.clone() for tensor in found)

    @staticmethod
    def symbolic(graph: Any, number: int, *values: Any) -> Any:
        call = _calls[number]
        return tuple(call.write(graph, call, values))


class _TracedMark(torch.autograd.Function):
    """Stands for a mark in TorchScript's graphs."""

    @staticmethod
    def forward(
        ctx: Any, tensor: torch.Tensor, name: str, kind: str, label: str, call: int
    ) -> torch.Tensor:
        return tensor.clone()

    @staticmethod
    def symbolic(graph: Any, value: Any, name: str, kind: str, label: str, call: int) -> Any:
        made = graph.op(
            f"{MARK_DOMAIN}::{MARK_OPERATOR}",
            value,
            name_s=name,
            kind_s=kind,
            tensor_s=label,
            call_i=call,
        )
        made.setType(value.type())
        return made


def leave_mark(
    tensor: torch.Tensor, *, name: str, kind: str, label: str, call: int
) -> torch.Tensor:
    """The tensor, with a mark behind it in the graph that is being exported."""
    if _tracing():
        marked: torch.Tensor = _TracedMark.apply(tensor, name, kind, label, call)  # type: ignore[no-untyped-call]
        return marked
    return torch.onnx.ops.symbolic(
        f"{MARK_DOMAIN}::{MARK_OPERATOR}",
        (tensor,),
        {"name": name, "kind": kind, "tensor": label, "call": call},
        dtype=tensor.dtype,
        shape=tensor.shape,
        version=1,
    )
