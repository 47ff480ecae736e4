"""Function rewriters: code that runs in the place of a function while a model is exported."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deployx_edge.errors import UsageError
from deployx_edge.rewriting.patching import Target
from deployx_edge.rewriting.registry import Rewriter, RewriterContext

# Python itself ends at a thousand frames; no model's own nesting comes near to this.
_DEEPEST = 100

# Where torch works on a model rather than being called by it. Its methods and functions look
# themselves up by name to hand a call to a mode, as torch.export sets one, and so come by here a
# second time; and its decompositions call functions that the model did not call.
_TORCHS_OWN = (
    "torch._decomp",
    "torch._dispatch",
    "torch._dynamo",
    "torch._export",
    "torch._functorch",
    "torch._guards",
    "torch._higher_order_ops",
    "torch._inductor",
    "torch._library",
    "torch._meta_registrations",
    "torch._ops",
    "torch._prims",
    "torch._refs",
    "torch._subclasses",
    "torch.export",
    "torch.fx",
    "torch.jit",
    "torch.library",
    "torch.onnx",
    "torch.overrides",
    "torch.utils._",
    "onnxscript",
    "onnx_ir",
)


@dataclass(frozen=True, kw_only=True)
class FunctionContext(RewriterContext):
    """What a function rewriter is told; ``original`` is the function as it was."""

    original: Callable[..., Any]


class Running:
    """The calls of one rewritten function that are under way.

    A call with the very same arguments from within one of them is the original's turn: it would
    never end otherwise.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._calls: list[tuple[Sequence[Any], Mapping[str, Any]]] = []

    def __contains__(self, call: tuple[Sequence[Any], Mapping[str, Any]]) -> bool:
        return any(_same(call, other) for other in self._calls)

    def run(
        self, code: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], *first: Any
    ) -> Any:
        """``code(*first, *args, **kwargs)``; UsageError where the calls never end."""
        if len(self._calls) >= _DEEPEST:
            raise UsageError(
                f"The rewriter of '{self._path}' calls what it rewrites, without end.",
                remedy="Call context.original instead.",
            )
        self._calls.append((args, kwargs))
        try:
            return code(*first, *args, **kwargs)
        finally:
            self._calls.pop()


def called_by_torch() -> bool:
    """Whether the caller of the function that asks is code by which torch works on a model."""
    caller = sys._getframe(2).f_globals.get("__name__", "")
    return isinstance(caller, str) and caller.startswith(_TORCHS_OWN)


def rewritten_function(
    rewriter: Rewriter, target: Target, context: RewriterContext, count: Callable[[], None]
) -> Callable[..., Any]:
    """What takes the target's place; ``count`` is called each time that the rewriter runs."""
    told = FunctionContext(
        runtime=context.runtime,
        intermediate=context.intermediate,
        exporter=context.exporter,
        config=context.config,
        original=target.original,
    )
    running = Running(rewriter.path)

    @functools.wraps(target.original)
    def call(*args: Any, **kwargs: Any) -> Any:
        if called_by_torch() or (args, kwargs) in running:
            return target.original(*args, **kwargs)
        count()
        return running.run(rewriter.code, args, kwargs, told)

    return call


def _same(
    one: tuple[Sequence[Any], Mapping[str, Any]], other: tuple[Sequence[Any], Mapping[str, Any]]
) -> bool:
    """Whether two calls have the very same objects as arguments."""
    (args, kwargs), (other_args, other_kwargs) = one, other
    return (
        len(args) == len(other_args)
        and kwargs.keys() == other_kwargs.keys()
        and all(a is b for a, b in zip(args, other_args, strict=True))
        and all(kwargs[name] is other_kwargs[name] for name in kwargs)
    )
