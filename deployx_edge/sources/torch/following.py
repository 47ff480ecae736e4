"""Which tensors depend on a model's inputs: followed through every operator that runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils import _pytree
from torch.utils._python_dispatch import TorchDispatchMode

# Of what an operator named so makes, only the shape comes from its argument.
_BY_SHAPE = re.compile(r"aten::(new_.*|.*_like)$")


class Following(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While entered, knows of every tensor whether its values depend on the ``inputs``.

    Memory is followed, not tensors: so views and what is written in place count.
    """

    def __init__(self, inputs: Iterable[torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._values = set(_memory(inputs))
        # Memory of tensors whose shapes depend on values, as those of nonzero() do.
        self._shapes: set[StorageWeakRef] = set()

    def depends(self, nest: Any, *, shapes: bool = False) -> bool:
        """Whether a tensor in a nest of tuples and lists has such values, or such ``shapes``."""
        known = self._shapes if shapes else self._values
        return any(memory in known for memory in _memory(_tensors(nest)))

    def note_sizes(self, tensor: torch.Tensor, sizes: Any) -> None:
        """Take note of what a tensor's sizes are; in a trace they are tensors themselves."""
        if any(memory in self._shapes for memory in _memory([tensor])):
            self._values.update(_memory(_tensors(sizes)))

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        named = kwargs or {}
        result = func(*args, **named)
        taken = list(_memory(_tensors((args, named))))
        made = list(_memory((*_tensors(result), *_written(func, args, named))))
        if any(memory in self._values for memory in taken):
            if not _BY_SHAPE.match(func.name().partition(".")[0]):
                self._values.update(made)
            if torch.Tag.dynamic_output_shape in func.tags:
                self._shapes.update(made)
        if any(memory in self._shapes for memory in taken):
            self._shapes.update(made)
        return result


def _written(func: Any, args: Sequence[Any], named: dict[str, Any]) -> list[torch.Tensor]:
    """The arguments that an operator writes to."""
    written = [argument.name for argument in func._schema.arguments if argument.is_write]
    if not written:
        return []
    names = [argument.name for argument in func._schema.arguments]
    given = {**dict(zip(names, args, strict=False)), **named}
    return _tensors([given.get(name) for name in written])


def _tensors(nest: Any) -> list[torch.Tensor]:
    # A torch.Size is no nest to PyTorch's own walker.
    whole = tuple(nest) if isinstance(nest, torch.Size) else nest
    return [leaf for leaf in _pytree.tree_leaves(whole) if isinstance(leaf, torch.Tensor)]


def _memory(tensors: Iterable[torch.Tensor]) -> Iterable[StorageWeakRef]:
    for tensor in tensors:
        try:
            storage = tensor.untyped_storage()
        except (NotImplementedError, RuntimeError):  # sparse tensors have none
            continue
        yield StorageWeakRef(storage)  # type: ignore[no-untyped-call]
