"""Nests of lists, tuples and dictionaries: changing what lies in them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any


def map_leaves(value: Any, kind: type, change: Callable[[str, Any], Any], *, name: str = "") -> Any:
    """The nest with every instance of ``kind`` in it changed.

    ``change`` gets the leaf's name (``boxes.0.left`` where ``name`` is "boxes") and the leaf.
    Containers in which nothing changes are kept as they are, others are made anew with the
    same type; objects that are no containers are not looked into.
    """
    if isinstance(value, kind):
        return change(name, value)
    if isinstance(value, (list, tuple)):
        items = [
            map_leaves(item, kind, change, name=_joined(name, index))
            for index, item in enumerate(value)
        ]
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if isinstance(value, dict):
        changed = {
            key: map_leaves(item, kind, change, name=_joined(name, key))
            for key, item in value.items()
        }
        if all(changed[key] is value[key] for key in value):
            return value
        made = copy.copy(value)  # keeps the type, and what else an author's dictionary holds
        made.update(changed)
        return made
    return value


def leaves(value: Any, kind: type) -> list[Any]:
    """All instances of ``kind`` in the nest, in order."""
    found: list[Any] = []

    def keep(_: str, leaf: Any) -> Any:
        found.append(leaf)
        return leaf

    map_leaves(value, kind, keep)
    return found


def _joined(name: str, key: object) -> str:
    return f"{name}.{key}" if name else str(key)
