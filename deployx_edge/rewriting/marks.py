"""Marks: an author's names for the tensors that go into a function and come out of it.

While a model is exported, marked functions leave nodes of the operator ``deployx::Mark`` in the
graph. Each gives its input unchanged, and says what it is by attributes: ``name``, ``kind``
("input" or "output"), ``tensor`` and ``call``.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from deployx_edge.errors import UsageError
from deployx_edge.rewriting.nests import leaves, map_leaves
from deployx_edge.rewriting.registry import Code

# What can be written in NAME[CALL]:output/TENSOR without being taken for a part of it.
_NAME = re.compile(r"[^\s:/\[\]]+")


class Recorder:
    """Counts the calls of marked functions in one export."""

    def __init__(self) -> None:
        self._calls: Counter[str] = Counter()

    def next_call(self, name: str) -> int:
        """The number of the call that begins now, from 0."""
        number = self._calls[name]
        self._calls[name] += 1
        return number

    def restart(self) -> None:
        """Count from 0 again: another run of the model begins."""
        self._calls.clear()


# Innermost last. Without one, marked functions run as they are.
_recorders: list[Recorder] = []


@contextmanager
def recording() -> Iterator[Recorder]:
    """Let marked functions leave marks in what is exported in the block."""
    recorder = Recorder()
    _recorders.append(recorder)
    try:
        yield recorder
    finally:
        _recorders.remove(recorder)


def mark(
    name: str, *, inputs: Sequence[str] | None = None, outputs: Sequence[str] | None = None
) -> Callable[[Code], Code]:
    """Mark a function or method, so that an exported model can be cut at its borders.

    ``inputs`` names its arguments that hold tensors, in order (None: by the parameters'
    names), ``outputs`` what it gives (None: "output"). Where an argument or result is a nest
    of lists, tuples and dictionaries, its tensors get names like ``boxes.0``. It runs as it is
    unless a model is being exported within ``rewriting``.

    Raises UsageError for names that cannot be used; while exporting, where there are more or
    fewer names than tensors.
    """
    for word in (name, *(inputs or ()), *(outputs or ())):
        if not _NAME.fullmatch(word):
            raise UsageError(
                f"'{word}' cannot be the name of a mark or of a tensor at it.",
                remedy="Leave out blanks, colons, slashes and brackets.",
            )

    def decorate(code: Code) -> Code:
        signature = inspect.signature(code)

        @functools.wraps(code)
        def call(*args: Any, **kwargs: Any) -> Any:
            if not _recorders:
                return code(*args, **kwargs)
            from deployx_edge.rewriting.calls import exporting, within_original

            if within_original() or not exporting():
                return code(*args, **kwargs)
            marked = _MarkedCall(name=name, number=_recorders[-1].next_call(name))
            bound = signature.bind(*args, **kwargs)
            marked.take(bound, inputs)
            return marked.given(code(*bound.args, **bound.kwargs), outputs)

        return call  # type: ignore[return-value]

    return decorate


@dataclass(frozen=True, kw_only=True)
class _MarkedCall:
    name: str
    number: int

    def take(self, bound: inspect.BoundArguments, names: Sequence[str] | None) -> None:
        """Mark the tensors among the arguments."""
        arguments = {
            label: value for label, value in _arguments(bound).items() if _holds_tensors(value)
        }
        if names is None:
            labels = {label: label for label in arguments}
        else:
            self._check("input", names, list(arguments))
            labels = dict(zip(arguments, names, strict=True))
        parameters = bound.signature.parameters
        for parameter, value in bound.arguments.items():
            kind = parameters[parameter].kind
            if kind is inspect.Parameter.VAR_POSITIONAL:
                bound.arguments[parameter] = tuple(
                    self._marked("input", labels.get(f"{parameter}.{index}", ""), item)
                    for index, item in enumerate(value)
                )
            elif kind is inspect.Parameter.VAR_KEYWORD:
                bound.arguments[parameter] = {
                    key: self._marked("input", labels.get(key, ""), item)
                    for key, item in value.items()
                }
            else:
                bound.arguments[parameter] = self._marked("input", labels.get(parameter, ""), value)

    def given(self, result: Any, names: Sequence[str] | None) -> Any:
        """Mark the tensors of the result."""
        if names is None:
            return self._marked("output", "output", result)
        parts = _parts(result)
        if len(names) == 1 and (len(parts) > 1 or "" in parts):
            return self._marked("output", names[0], result)
        self._check("output", names, list(parts))
        # A dictionary may say by itself which of its values is which.
        by_key = isinstance(result, Mapping) and set(names) == set(parts)
        labels = {key: key for key in parts} if by_key else dict(zip(parts, names, strict=True))

        def relabelled(path: str, tensor: Any) -> Any:
            part = next(key for key in labels if f"{path}.".startswith(f"{key}."))
            return self._leave("output", labels[part] + path.removeprefix(part), tensor)

        import torch

        return map_leaves(result, torch.Tensor, relabelled)

    def _marked(self, kind: str, label: str, value: Any) -> Any:
        import torch

        return map_leaves(
            value, torch.Tensor, lambda path, tensor: self._leave(kind, path, tensor), name=label
        )

    def _leave(self, kind: str, label: str, tensor: Any) -> Any:
        from deployx_edge.rewriting.calls import leave_mark

        return leave_mark(tensor, name=self.name, kind=kind, label=label, call=self.number)

    def _check(self, kind: str, names: Sequence[str], found: Sequence[str]) -> None:
        if len(names) != len(found):
            holders = ", ".join(word or "the result" for word in found) or "none"
            raise UsageError(
                f"The mark '{self.name}' names {len(names)} {kind}s ({', '.join(names)}); "
                f"tensors are in {len(found)} ({holders}).",
                remedy=f"Give {kind}s= one name for each.",
            )


def _arguments(bound: inspect.BoundArguments) -> dict[str, Any]:
    """What the function is called with, by name; the items of *args and **kwargs one by one."""
    found: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        kind = bound.signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            found.update({f"{name}.{index}": item for index, item in enumerate(value)})
        elif kind is inspect.Parameter.VAR_KEYWORD:
            found.update(value)
        else:
            found[name] = value
    return found


def _parts(result: Any) -> dict[str, Any]:
    """The uppermost parts of a result that hold tensors; one without a name for a lone tensor."""
    if isinstance(result, Mapping):
        items = {str(key): value for key, value in result.items()}
    elif isinstance(result, (list, tuple)):
        items = {str(index): value for index, value in enumerate(result)}
    else:
        items = {"": result}
    return {name: value for name, value in items.items() if _holds_tensors(value)}


def _holds_tensors(value: Any) -> bool:
    import torch

    return bool(leaves(value, torch.Tensor))
