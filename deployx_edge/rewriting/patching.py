"""Putting something in the place of functions that others call by name, and taking it back."""

from __future__ import annotations

import difflib
import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import ClassMethodDescriptorType, MethodType, ModuleType
from typing import Any

from deployx_edge.errors import UsageError

_MISSING = object()
_ORIGINAL = "__deployx_original__"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a dotted path leads: the attribute ``name`` of ``holder``, a module or a class."""

    path: str
    holder: Any
    name: str

    @property
    def value(self) -> Any:
        """What is found there."""
        return getattr(self.holder, self.name)


@dataclass(frozen=True, kw_only=True, eq=False)
class Target:
    """A function at its place.

    ``raw`` is what lies there, as a class keeps it; ``original`` what a call runs, also where
    another rewriter lies there at the moment.
    """

    place: Place
    raw: Any
    original: Callable[..., Any]

    @property
    def takes_class(self) -> bool:
        """Whether callers hand it the class as first argument without saying so."""
        return isinstance(self.raw, (classmethod, ClassMethodDescriptorType))


@dataclass(frozen=True, kw_only=True, eq=False)
class Replacement:
    """``code`` takes the target's place."""

    target: Target
    code: Callable[..., Any]


def locate(path: str, *, optional: bool = False) -> Place | None:
    """Follow a dotted path, importing on the way; None where it leads nowhere and may.

    Raises UsageError where it leads nowhere and must not.
    """
    words = path.split(".")
    if len(words) < 2 or not all(word.isidentifier() for word in words):
        raise UsageError(
            f"'{path}' is not the dotted path of a function, method or class.",
            remedy="Write it like torch.Tensor.repeat.",
        )
    found: Any = _imported(words[0])
    for index, word in enumerate(words):
        if index == 0:
            continue
        holder, reached = found, ".".join(words[:index])
        found = getattr(holder, word, _MISSING) if holder is not _MISSING else _MISSING
        if found is _MISSING and isinstance(holder, ModuleType):
            found = _imported(f"{reached}.{word}")
        if found is _MISSING:
            if optional:
                return None
            raise _nowhere(path, reached, holder, word)
    return Place(path=path, holder=holder, name=words[-1])


def target_at(place: Place) -> Target:
    """The function or method at a place; UsageError where something else lies there."""
    raw = inspect.getattr_static(place.holder, place.name, place.value)
    function = raw.__func__ if isinstance(raw, (staticmethod, classmethod)) else raw
    if not callable(function) or isinstance(function, type):
        raise UsageError(
            f"'{place.path}' is not a function or method, but of the type {type(raw).__name__}.",
            remedy="Rewrite a class with module_rewriter, or one of its methods.",
        )
    return Target(place=place, raw=raw, original=getattr(function, _ORIGINAL, function))


def install(undo: ExitStack, replacements: Sequence[Replacement], modules: Iterable[Any]) -> None:
    """Put each code in its target's place, and wherever else people got hold of the target.

    That is: the globals of all imported modules, and the attributes of ``modules`` (the
    model's). What ``undo`` is told takes all of it back.
    """
    by_identity: dict[int, Callable[..., Any]] = {}
    by_class: dict[tuple[int, int], Place] = {}
    for replacement in replacements:
        target, code = replacement.target, replacement.code
        setattr(code, _ORIGINAL, target.original)
        if isinstance(target.place.holder, ModuleType):
            by_identity.update({id(target.raw): code, id(target.original): code})
        elif target.takes_class:
            function = getattr(target.raw, "__func__", target.raw)
            by_class[id(target.place.holder), id(function)] = target.place
        put(undo, target.place.holder, target.place.name, _like(target, code))
    for holder in (*_imported_modules(), *modules):
        for name, value in list(vars(holder).items()):
            if id(value) in by_identity:
                put(undo, holder, name, by_identity[id(value)])
            # Not isinstance: it asks objects for their class, and some answer with a warning.
            elif type(value) is MethodType:
                # Somebody keeps MyFunction.apply: each look at it gives another object.
                place = by_class.get((id(value.__self__), id(value.__func__)))
                if place is not None:
                    put(undo, holder, name, place.value)


def put(undo: ExitStack, holder: Any, name: str, value: Any) -> None:
    """Set an attribute; ``undo`` sets what was there, or deletes it where it was inherited."""
    before = vars(holder).get(name, _MISSING)
    try:
        setattr(holder, name, value)
    except (TypeError, AttributeError) as error:
        raise UsageError(
            f"'{name}' of {holder!r} cannot be replaced: {error}.",
            remedy="Name it by the Python class that inherits it, like torch.Tensor.repeat.",
        ) from error
    if before is _MISSING:
        undo.callback(delattr, holder, name)
    else:
        undo.callback(setattr, holder, name, before)


def _like(target: Target, code: Callable[..., Any]) -> Any:
    """The code, bound by a class in the way that the target was."""
    if target.takes_class:
        return classmethod(code)
    if isinstance(target.place.holder, ModuleType):
        return code
    # A built-in function in a class is handed no self, as it is no descriptor.
    unbound = isinstance(target.raw, staticmethod) or not hasattr(target.raw, "__get__")
    return staticmethod(code) if unbound else code


def _imported_modules() -> list[ModuleType]:
    return [module for module in list(sys.modules.values()) if isinstance(module, ModuleType)]


def _imported(name: str) -> Any:
    """The module of that name, or _MISSING; UsageError where importing it fails."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            return _MISSING
        raise _import_failed(name, error) from error
    except Exception as error:  # the user's code may raise anything
        raise _import_failed(name, error) from error


def _import_failed(name: str, error: Exception) -> UsageError:
    return UsageError(
        f"'{name}', which a rewriter names, cannot be imported: {type(error).__name__}: {error}."
    )


def _nowhere(path: str, reached: str, holder: Any, word: str) -> UsageError:
    found = holder is not _MISSING
    what = f"'{reached}' has no '{word}'" if found else f"there is no module '{reached}'"
    near = difflib.get_close_matches(word, dir(holder), n=1) if found else []
    hint = f"Did you mean {reached}.{near[0]}? " if near else ""
    return UsageError(
        f"The path '{path}' of a rewriter leads nowhere: {what}.",
        remedy=f"{hint}Where it may be missing, say optional=True.",
    )
