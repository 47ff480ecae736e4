"""Module rewriters: modules that stand in for others while a model is exported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployx_edge.errors import UsageError
from deployx_edge.rewriting.patching import Place
from deployx_edge.rewriting.registry import Rewriter, RewriterContext

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True, eq=False)
class ModuleReplacement:
    """Instances of exactly ``kind`` are replaced; ``count`` is called when one of theirs runs."""

    rewriter: Rewriter
    kind: type
    count: Callable[[], None]


def module_class(place: Place) -> type:
    """The class of modules at a place; UsageError where something else lies there."""
    import torch

    found = place.value
    if not (isinstance(found, type) and issubclass(found, torch.nn.Module)):
        raise UsageError(
            f"'{place.path}' is not a class of torch.nn.Module, so that no module can stand in.",
            remedy="Rewrite a function with function_rewriter.",
        )
    return found


def replace_modules(
    undo: ExitStack,
    model: torch.nn.Module,
    replacements: Sequence[ModuleReplacement],
    context: RewriterContext,
) -> torch.nn.Module:
    """The model with its modules replaced, itself too where it is such a one.

    Inner modules come first, so that a rewriter is given a module whose children are replaced
    already. What occurs several times in the model is replaced once, and shared as before.
    """
    table = {entry.kind: entry for entry in replacements}
    return _Replacing(undo, table, context, own=set(model.modules())).replaced(model)


class _Replacing:
    def __init__(
        self,
        undo: ExitStack,
        table: dict[type, ModuleReplacement],
        context: RewriterContext,
        *,
        own: set[torch.nn.Module],
    ) -> None:
        self._undo = undo
        self._table = table
        self._context = context
        self._own = own
        self._made: dict[torch.nn.Module, torch.nn.Module] = {}

    def replaced(self, module: torch.nn.Module) -> torch.nn.Module:
        if module in self._made:
            return self._made[module]
        # Not named_children: it shows a child only once that a module has under two names.
        for name, child in list(module._modules.items()):
            made = child if child is None else self.replaced(child)
            if made is not child:
                self._undo.callback(module._modules.__setitem__, name, child)
                module._modules[name] = made
        entry = self._table.get(type(module))
        self._made[module] = module if entry is None else self._new(module, entry)
        return self._made[module]

    def _new(self, module: torch.nn.Module, entry: ModuleReplacement) -> torch.nn.Module:
        import torch

        made = entry.rewriter.code(module, self._context)
        if not isinstance(made, torch.nn.Module):
            raise UsageError(
                f"The module rewriter of '{entry.rewriter.path}' ({entry.rewriter.where}) gives "
                f"{type(made).__name__}, not a torch.nn.Module."
            )
        for part in made.modules():
            # New modules begin in training mode; the author's keep theirs.
            if part not in self._own:
                part.training = module.training

        def called(*_: Any) -> None:
            entry.count()

        self._undo.callback(made.register_forward_pre_hook(called).remove)
        return made
