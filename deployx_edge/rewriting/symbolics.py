"""Symbolic rewriters: what a function, an autograd.Function or an operator becomes in ONNX."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from deployx_edge.errors import UsageError
from deployx_edge.rewriting.functions import Running, called_by_torch
from deployx_edge.rewriting.graphs import DynamoGraph, Graph, NotConstant, TorchScriptGraph
from deployx_edge.rewriting.nests import leaves
from deployx_edge.rewriting.patching import Place, Target, locate
from deployx_edge.rewriting.registry import Rewriter, RewriterContext

# The older exporter looks for the newest entry that is not above the opset of the export.
_FIRST_OPSET = 7
_OPERATOR = re.compile(r"(?P<domain>[A-Za-z_]\w*)::(?P<name>[A-Za-z_]\w*)")


@dataclass(frozen=True, kw_only=True, eq=False)
class SymbolicWriter:
    """A symbolic rewriter in an export; ``count`` is called each time that it writes."""

    rewriter: Rewriter
    context: RewriterContext
    count: Callable[[], None]

    def write(self, graph: Graph, values: Sequence[Any], named: Mapping[str, Any]) -> list[Any]:
        """Let it write its nodes for arguments by position and by name; what it gives back.

        Raises UsageError where the arguments do not fit what the rewriter says of them.
        """
        code = inspect.signature(self.rewriter.code)
        try:
            bound = code.bind(graph, *values, **named)
        except TypeError as error:
            raise UsageError(
                f"{self._who} cannot take the arguments that it is called with: {error}.",
                remedy="After graph it takes what the original takes, in the same order.",
            ) from error
        given = [*bound.args[1:], *bound.kwargs.values()]
        inputs = self.rewriter.inputs
        if inputs is not None and len(given) > len(inputs):
            raise UsageError(
                f"{self._who} describes {len(inputs)} arguments by inputs=, and is called with "
                f"{len(given)}.",
                remedy="Describe each of them.",
            )
        # Without descriptors, each is "any".
        fitted = [
            self._fitted(graph, position, value, inputs[position] if inputs else "any")
            for position, value in enumerate(given)
        ]
        by_position = len(bound.args) - 1
        found = self.rewriter.code(
            graph,
            *fitted[:by_position],
            **dict(zip(bound.kwargs, fitted[by_position:], strict=True)),
        )
        results = list(found) if isinstance(found, (tuple, list)) else [found]
        if not all(graph.holds(result) for result in results):
            raise UsageError(
                f"{self._who} gives {found!r}, not tensors of the graph.",
                remedy="Return what graph.op gave.",
            )
        self.count()
        return results

    @property
    def _who(self) -> str:
        return f"The symbolic rewriter of '{self.rewriter.path}' ({self.rewriter.where})"

    def check_results(self, results: Sequence[Any], wanted: int) -> None:
        """UsageError where there are more or fewer results than the original has."""
        if len(results) != wanted:
            raise UsageError(
                f"{self._who} gives {len(results)} tensors, the original gives {wanted}."
            )

    def _fitted(self, graph: Graph, position: int, value: Any, descriptor: str) -> Any:
        """The argument in the form that the descriptor says."""
        if descriptor == "tensor":
            if value is None or graph.holds(value):
                constant = None if value is None else graph.constant(value)
                return None if constant is None else value
            raise self._unfit(position, value, descriptor)
        known = graph.constant(value) if graph.holds(value) else value
        if isinstance(known, NotConstant):
            if descriptor == "any":
                return value
            raise self._unfit(position, "a tensor that is computed", descriptor)
        fitted = converted(known, descriptor)
        if isinstance(fitted, NotConstant):
            raise self._unfit(position, known, descriptor)
        return fitted

    def _unfit(self, position: int, value: Any, descriptor: str) -> UsageError:
        names = list(inspect.signature(self.rewriter.code).parameters)[1:]
        name = f" ('{names[position]}')" if position < len(names) else ""
        return UsageError(
            f"{self._who} describes argument {position}{name} as '{descriptor}'; "
            f"it is called with {value if isinstance(value, str) else repr(value)}.",
            remedy="Change the descriptor in inputs=, or what the model calls.",
        )


def converted(value: Any, descriptor: str) -> Any:
    """The Python value as the descriptor says, a NotConstant where it does not fit."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    items = list(value) if isinstance(value, (list, tuple)) else [value]
    numbers = all(isinstance(i, (int, float)) and not isinstance(i, bool) for i in items)
    whole = numbers and all(isinstance(i, int) for i in items)
    made: Mapping[str, tuple[bool, Callable[[], Any]]] = {
        "any": (True, lambda: value),
        "none": (value is None, lambda: None),
        "bool": (isinstance(value, bool), lambda: value),
        "string": (isinstance(value, str), lambda: value),
        "int": (is_number and isinstance(value, int), lambda: value),
        "float": (is_number, lambda: float(value)),
        "ints": (whole, lambda: tuple(items)),
        "floats": (numbers, lambda: tuple(float(item) for item in items)),
    }
    fits, convert = made[descriptor]
    return convert() if fits else NotConstant()


def is_operator(path: str) -> bool:
    """Whether a path names an operator of torch rather than something in Python."""
    return "::" in path


def callable_place(rewriter: Rewriter) -> Place | None:
    """Where calls of a function or an autograd.Function are caught; None where it is missing."""
    import torch

    place = locate(rewriter.path, optional=rewriter.optional)
    if place is None:
        return None
    found = place.value
    if isinstance(found, type) and issubclass(found, torch.autograd.Function):
        return Place(path=rewriter.path, holder=found, name="apply")
    return place


def written_function(writer: SymbolicWriter, target: Target) -> Callable[..., Any]:
    """What takes the target's place: outside of an export it is the original."""
    from deployx_edge.rewriting.calls import (
        Call,
        Slot,
        exporting,
        filled,
        make_call,
        within_original,
    )

    running = Running(writer.rewriter.path)
    skipped = 1 if target.takes_class else 0

    def write(graph: Any, call: Call, tensors: Sequence[Any]) -> Sequence[Any]:
        positional, named = _ordered(target.original, call.args, call.kwargs)
        values = filled(positional[skipped:], tensors)
        made = graph if isinstance(graph, Graph) else TorchScriptGraph(writer.context, graph)
        results = writer.write(made, values, filled(named, tensors))
        writer.check_results(results, len(leaves(call.result, Slot)))
        _set_types(results, call.types, tensors)
        return results

    def taken_up(*args: Any, **kwargs: Any) -> Any:
        return make_call(writer.rewriter.path, target.original, args, kwargs, write)

    @functools.wraps(target.original)
    def call(*args: Any, **kwargs: Any) -> Any:
        if called_by_torch() or within_original() or not exporting():
            return target.original(*args, **kwargs)
        if (args, kwargs) in running:
            return target.original(*args, **kwargs)
        return running.run(taken_up, args, kwargs)

    return call


def _ordered(
    original: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments with defaults, by position as far as the original says their order."""
    try:
        signature = inspect.signature(original)
    except ValueError:  # built in: the rewriter's own names and defaults have to do
        return list(args), dict(kwargs)
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    return [*bound.args, *bound.kwargs.values()], {}


def translate_call(context: RewriterContext) -> Callable[..., Any]:
    """How torch.export's graphs are translated where calls were taken up."""

    def translate(tensors: Sequence[Any], number: int) -> Sequence[Any]:
        from deployx_edge.rewriting.calls import call_of

        call = call_of(number)
        return call.write(DynamoGraph(context), call, tensors)

    return translate


@dataclass(frozen=True, kw_only=True, eq=False)
class OperatorWriter:
    """A symbolic rewriter of one of torch's operators, and the operator's overloads."""

    writer: SymbolicWriter
    overloads: tuple[Any, ...]

    def translations(self) -> dict[Any, Callable[..., Any]]:
        """How torch.export's graphs are translated where they have the operator."""
        return {overload: self._translation(overload) for overload in self.overloads}

    def _translation(self, overload: Any) -> Callable[..., Any]:
        def translate(*args: Any, **kwargs: Any) -> Any:
            values = list(args)
            for argument in overload._schema.arguments[len(args) :]:
                values.append(kwargs.get(argument.name, argument.default_value))
            results = self.writer.write(DynamoGraph(self.writer.context), values, {})
            self.writer.check_results(results, len(overload._schema.returns))
            return results[0] if len(results) == 1 else results

        return translate

    def register(self, undo: ExitStack) -> None:
        """Let the exporter by TorchScript write the operator so; ``undo`` takes it back."""
        import onnx
        from torch.onnx import utils

        def symbolic(graph: Any, *values: Any) -> Any:
            results = self.writer.write(TorchScriptGraph(self.writer.context, graph), values, {})
            outputs = list(graph.original_node.outputs())
            self.writer.check_results(results, len(outputs))
            _set_types(results, [output.type() for output in outputs], values)
            return results[0] if len(results) == 1 else tuple(results)

        name = self.writer.rewriter.path
        registry = _torchscript_registry()
        known = registry.get_function_group(name)
        if known is None:
            # What remains of a group without entries makes torch fail in another way later.
            undo.callback(registry._registry.pop, name, None)
        for opset in range(_FIRST_OPSET, onnx.defs.onnx_opset_version() + 1):
            if known is not None and known._functions.overridden(opset):
                # The author's own entry, or one of a context around this.
                before = known._functions[opset]
                undo.callback(utils.register_custom_op_symbolic, name, before, opset)
            else:
                undo.callback(utils.unregister_custom_op_symbolic, name, opset)
            utils.register_custom_op_symbolic(name, symbolic, opset)


def operator_writer(writer: SymbolicWriter) -> OperatorWriter | None:
    """The operator that a path like "aten::gelu" names; None where it is missing and may.

    Raises UsageError where it is missing, or where an overload is named.
    """
    import torch

    path = writer.rewriter.path
    named = _OPERATOR.fullmatch(path)
    if named is None:
        raise UsageError(
            f"'{path}' does not name an operator of torch.",
            remedy="Write it like aten::gelu, without an overload: the exporter by TorchScript "
            "does not know these.",
        )
    packet = getattr(getattr(torch.ops, named["domain"]), named["name"], None)
    if packet is None:
        if writer.rewriter.optional:
            return None
        raise UsageError(
            f"torch has no operator '{path}', for which there is a rewriter "
            f"({writer.rewriter.where}).",
            remedy="Import what defines it; where it may be missing, say optional=True.",
        )
    overloads = (getattr(packet, name) for name in packet.overloads())
    return OperatorWriter(
        writer=writer,
        overloads=tuple(entry for entry in overloads if not entry._schema.is_mutable),
    )


def _torchscript_registry() -> Any:
    """Where torch keeps symbolic functions; it has no public way to ask for what is there."""
    from importlib import import_module

    try:
        found = import_module("torch.onnx._internal.torchscript_exporter.registration")
    except ModuleNotFoundError:  # before torch 2.9
        found = import_module("torch.onnx._internal.registration")
    return found.registry


def _set_types(results: Sequence[Any], types: Sequence[Any], values: Sequence[Any]) -> None:
    """Tell TorchScript the results' shapes, which it cannot infer for operators of one's own.

    Only where all inputs' shapes are known: else axes are dynamic, and the trace's sizes are
    those of one example.
    """
    import torch

    inputs = [v.type() for v in values if isinstance(v, torch._C.Value)]
    for kind in inputs:
        if isinstance(kind, torch._C.TensorType) and kind.sizes() is None:
            return
    for result, kind in zip(results, types, strict=False):
        if isinstance(kind, torch._C.TensorType) and kind.sizes() is not None:
            result.setType(kind)
