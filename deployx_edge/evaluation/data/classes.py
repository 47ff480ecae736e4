"""From the words of an annotation to the indices of classes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from deployx_edge.errors import UsageError

_NAMED = 3
_DIGITS = 9


@dataclass(frozen=True, kw_only=True)
class ClassNames:
    """The index of every word that names a class.

    ``names`` are the classes by index, empty where only numbers are known; ``notes`` say
    what was assumed.
    """

    indices: Mapping[str, int]
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()


def match_classes(
    words: Iterable[str], labels: Sequence[str], *, what: str, assume: bool = True
) -> ClassNames:
    """The classes that ``words`` name, of a model whose classes are called ``labels``.

    A word is a class's name (letters' case, ``_`` and ``-`` do not count), or its index. Where
    no word is either and it may be assumed, the sorted words are the classes in order, which a
    note says; a model that has names must then have as many. ``what`` is what the words are,
    for messages ("folder", "label"). Raises UsageError for a word that is not a class.
    """
    found = sorted(set(words))
    if not labels:
        return _own_classes(found, what)
    exact, loose = _positions(labels), _positions([_loose(label) for label in labels])
    indices: dict[str, int] = {}
    unknown: list[str] = []
    for word in found:
        places = exact.get(word) or loose.get(_loose(word)) or []
        if len(places) > 1:
            raise UsageError(
                f"The {what} '{word}' names {len(places)} classes of the model: "
                f"{', '.join(map(str, places))}.",
                remedy="Give the index of the class instead.",
            )
        if places:
            indices[word] = places[0]
        elif _is_index(word) and int(word) < len(labels):
            indices[word] = int(word)
        else:
            unknown.append(word)
    if not unknown:
        return ClassNames(indices=indices, names=tuple(labels))
    same_number = len(unknown) == len(found) == len(labels)
    if assume and same_number and not all(map(_is_index, found)):
        note = (
            f"No {what} is called like a class of the model; sorted, they were taken for its "
            f"{len(labels)} classes in order ('{found[0]}' is '{labels[0]}')."
        )
        ordered = {word: index for index, word in enumerate(found)}
        return ClassNames(indices=ordered, names=tuple(labels), notes=(note,))
    raise _no_class(unknown, labels, what)


def class_table(classes: Sequence[str], labels: Sequence[str]) -> tuple[int, ...]:
    """The model's index of each class that a data set numbers in the order of ``classes``.

    The same numbers where either has no names. Raises UsageError for a name that is not a class.
    """
    if not classes or not labels:
        return tuple(range(len(classes or labels)))
    found = match_classes(classes, labels, what="class", assume=False)
    return tuple(found.indices[name] for name in classes)


def check_index(index: int, labels: Sequence[str], *, what: str) -> None:
    """UsageError where ``index`` is not a class of a model whose classes are called ``labels``."""
    if index < 0 or (labels and index >= len(labels)):
        most = f"the model's classes are 0 to {len(labels) - 1}" if labels else "classes start at 0"
        raise UsageError(
            f"The {what} {index} is not a class: {most}.", remedy="Number the classes from 0."
        )


def _own_classes(found: Sequence[str], what: str) -> ClassNames:
    if all(map(_is_index, found)):
        return ClassNames(indices={word: int(word) for word in found}, names=())
    note = (
        f"The model has no names for its classes; each {what}, sorted by name, was taken for one "
        f"of them in order ('{found[0]}' is 0, '{found[-1]}' is {len(found) - 1})."
    )
    ordered = {word: index for index, word in enumerate(found)}
    return ClassNames(indices=ordered, names=tuple(found), notes=(note,))


def _positions(labels: Sequence[str]) -> dict[str, list[int]]:
    positions: dict[str, list[int]] = {}
    for index, label in enumerate(labels):
        positions.setdefault(label, []).append(index)
    return positions


def _loose(word: str) -> str:
    return " ".join(word.replace("_", " ").replace("-", " ").split()).casefold()


def _is_index(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= _DIGITS


def _no_class(unknown: Sequence[str], labels: Sequence[str], what: str) -> UsageError:
    word = unknown[0]
    more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
    if _is_index(word):
        return UsageError(
            f"The {what} '{word}'{more} is not a class: the model's are 0 to {len(labels) - 1}.",
            remedy="Number the classes from 0, or call them by their names.",
        )
    loose = {_loose(label): label for label in labels}
    near = difflib.get_close_matches(_loose(word), list(loose), n=_NAMED, cutoff=0.5)
    names = [loose[name] for name in near] or [*labels[:_NAMED], "…"][: len(labels)]
    start = "Near ones are" if near else "Its classes are"
    return UsageError(
        f"The {what} '{word}'{more} names no class of the model.",
        remedy=f"{start} {', '.join(names)}.",
    )
