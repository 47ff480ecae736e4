"""An export under rewriters: everything is put in place for a block, and taken back behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from deployx_edge.errors import DeployxError, UsageError
from deployx_edge.rewriting.functions import rewritten_function
from deployx_edge.rewriting.marks import recording
from deployx_edge.rewriting.modules import ModuleReplacement, module_class, replace_modules
from deployx_edge.rewriting.patching import Replacement, Target, install, locate, target_at
from deployx_edge.rewriting.registry import (
    DEFAULT,
    Registry,
    Rewriter,
    RewriterContext,
    RewriteRequest,
)
from deployx_edge.rewriting.symbolics import (
    OperatorWriter,
    SymbolicWriter,
    callable_place,
    is_operator,
    operator_writer,
    translate_call,
    written_function,
)

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class RewriterUse:
    """How often a rewriter that was chosen did something.

    ``calls`` are a function's calls, the runs of modules that stand in, or the times that a
    symbolic rewriter wrote its nodes. ``missing``: its path leads nowhere, as it may.
    """

    kind: str
    path: str
    runtime: str | None
    calls: int
    missing: bool


def rewriting(
    request: RewriteRequest, model: torch.nn.Module, *, registry: Registry = DEFAULT
) -> Rewriting:
    """The context in which a model is exported with the rewriters that are meant for ``request``.

    Entering it gives the module to export. It works on the whole process: do not enter it in
    several threads at once.
    """
    return Rewriting(request, model, registry)


class Rewriting:
    """What ``rewriting`` gives: a context manager, and afterwards what it saw."""

    def __init__(self, request: RewriteRequest, model: torch.nn.Module, registry: Registry) -> None:
        self._request = request
        self._model = model
        self._rewriters = registry.chosen(request)
        self._context = RewriterContext(
            runtime=request.runtime,
            intermediate=request.intermediate,
            exporter=request.exporter,
            config=request.config,
        )
        self._calls: Counter[tuple[str | None, ...]] = Counter()
        self._missing: set[tuple[str | None, ...]] = set()
        self._translations: dict[Any, Callable[..., Any]] = {}
        self._undo: ExitStack | None = None

    def __enter__(self) -> torch.nn.Module:
        if self._undo is not None:
            raise UsageError("A context of rewriters was entered twice.", remedy="Make another.")
        _check_model(self._model)
        with ExitStack() as undo:
            model = self._installed(undo)
            self._undo = undo.pop_all()
        return model

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        undo, self._undo = self._undo, None
        if undo is not None:
            undo.close()
        # The exporters wrap what a rewriter has to say into errors of their own.
        said = _innermost(error) if isinstance(error, Exception) else None
        if said is not None and said is not error:
            raise said from None

    def export_arguments(self) -> Mapping[str, Any]:
        """What torch.onnx.export has to be given besides, as keyword arguments."""
        if self._request.exporter == "torchscript" or not self._translations:
            return {}
        return {"custom_translation_table": dict(self._translations)}

    def used(self) -> tuple[RewriterUse, ...]:
        """The rewriters that did something so far."""
        return tuple(use for use in self._uses() if use.calls)

    def unused(self) -> tuple[RewriterUse, ...]:
        """The rewriters that were chosen and did nothing: often a slip in their path."""
        return tuple(use for use in self._uses() if not use.calls)

    def _uses(self) -> tuple[RewriterUse, ...]:
        return tuple(
            RewriterUse(
                kind=rewriter.kind,
                path=rewriter.path,
                runtime=rewriter.runtime,
                calls=self._calls[rewriter.key],
                missing=rewriter.key in self._missing,
            )
            for rewriter in self._rewriters
        )

    def _installed(self, undo: ExitStack) -> torch.nn.Module:
        """Put all in place, modules first: their rewriters' own code runs on what is unchanged."""
        from deployx_edge.rewriting.calls import keeping_calls

        self._translations.clear()
        undo.enter_context(keeping_calls())
        operators, replacements = self._symbolics(), self._functions()
        _check_distinct(replacements)
        model = replace_modules(undo, self._model, self._modules(), self._context)
        install(undo, [code for _, code in replacements], model.modules())
        for operator in operators:
            if self._request.exporter == "torchscript":
                operator.register(undo)
            else:
                self._translations.update(operator.translations())
        recorder = undo.enter_context(recording())

        def restart(*_: Any) -> None:
            recorder.restart()

        # Exporters may run the model more than once; each run counts its calls from 0.
        undo.callback(model.register_forward_pre_hook(restart).remove)
        return model

    def _counter(self, rewriter: Rewriter) -> Callable[[], None]:
        def count() -> None:
            self._calls[rewriter.key] += 1

        return count

    def _of_kind(self, kind: str) -> list[Rewriter]:
        return [rewriter for rewriter in self._rewriters if rewriter.kind == kind]

    def _modules(self) -> list[ModuleReplacement]:
        found = []
        for rewriter in self._of_kind("module"):
            place = locate(rewriter.path, optional=rewriter.optional)
            if place is None:
                self._missing.add(rewriter.key)
                continue
            found.append(
                ModuleReplacement(
                    rewriter=rewriter, kind=module_class(place), count=self._counter(rewriter)
                )
            )
        return found

    def _functions(self) -> list[tuple[Rewriter, Replacement]]:
        """Everything that is reached by a name in Python, function rewriters and symbolic ones."""
        found: list[tuple[Rewriter, Replacement]] = []
        for rewriter in self._rewriters:
            if rewriter.kind == "module" or is_operator(rewriter.path):
                continue
            symbolic = rewriter.kind == "symbolic"
            place = (
                callable_place(rewriter)
                if symbolic
                else locate(rewriter.path, optional=rewriter.optional)
            )
            if place is None:
                self._missing.add(rewriter.key)
                continue
            target = target_at(place)
            if self._request.exporter == "torchscript":
                _check_for_torchscript(target)
            code = self._written(rewriter, target) if symbolic else self._run(rewriter, target)
            found.append((rewriter, Replacement(target=target, code=code)))
        return found

    def _run(self, rewriter: Rewriter, target: Target) -> Callable[..., Any]:
        return rewritten_function(rewriter, target, self._context, self._counter(rewriter))

    def _writer(self, rewriter: Rewriter) -> SymbolicWriter:
        return SymbolicWriter(
            rewriter=rewriter, context=self._context, count=self._counter(rewriter)
        )

    def _written(self, rewriter: Rewriter, target: Target) -> Callable[..., Any]:
        from deployx_edge.rewriting.calls import call_operator

        if self._request.exporter == "dynamo":
            self._translations[call_operator()] = translate_call(self._context)
        return written_function(self._writer(rewriter), target)

    def _symbolics(self) -> list[OperatorWriter]:
        found = []
        for rewriter in self._of_kind("symbolic"):
            if not is_operator(rewriter.path):
                continue
            operator = operator_writer(self._writer(rewriter))
            if operator is None:
                self._missing.add(rewriter.key)
            else:
                found.append(operator)
        return found


def _check_model(model: Any) -> None:
    import torch

    if not isinstance(model, torch.nn.Module) or isinstance(model, torch.jit.ScriptModule):
        raise UsageError(
            f"Rewriters work on modules in Python; {type(model).__name__} is none.",
            remedy="Give the model as package.module:factory.",
        )


def _check_for_torchscript(target: Target) -> None:
    """UsageError for what torch's own code needs as it is while it translates a trace."""
    import torch

    place = target.place
    if place.name == "__getitem__" and place.holder is torch.Tensor:
        # With a method of that name from Python, torch.tensor takes a number for a sequence.
        raise UsageError(
            f"'{place.path}' cannot be rewritten for the exporter torchscript, whose own code "
            "breaks on it.",
            remedy="Take the exporter dynamo, or rewrite the function that indexes.",
        )


def _check_distinct(replacements: list[tuple[Rewriter, Replacement]]) -> None:
    """UsageError where two paths mean the same function."""
    seen: dict[tuple[int, str] | int, Rewriter] = {}
    for rewriter, replacement in replacements:
        target = replacement.target
        in_class = isinstance(target.place.holder, type)
        key = (id(target.place.holder), target.place.name) if in_class else id(target.original)
        if key in seen:
            raise UsageError(
                f"'{seen[key].path}' ({seen[key].where}) and '{rewriter.path}' "
                f"({rewriter.where}) are the same function, with two rewriters.",
                remedy="Remove one of them.",
            )
        seen[key] = rewriter


def _innermost(error: BaseException | None) -> DeployxError | None:
    """The error of ours that the others in the chain were made of."""
    found: DeployxError | None = None
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, DeployxError):
            found = error
        error = error.__cause__ or error.__context__
    return found
