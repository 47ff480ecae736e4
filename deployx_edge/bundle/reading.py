"""Typed reading of JSON that anybody may have written: all that is off is a BundleError."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, TypeVar

from deployx_edge.errors import BundleError

T = TypeVar("T")


class ObjectReader:
    """Reads the fields of one JSON object; ``where`` names it in error messages.

    Every field must be asked for once; ``finish`` refuses those that nobody asked for.
    """

    def __init__(self, data: Any, where: str) -> None:
        if not isinstance(data, dict):
            raise BundleError(f"{where} is not an object but {_kind(data)}.")
        self._data = data
        self._where = where
        self._asked: set[str] = set()

    def text(self, key: str, *, pattern: str = r"(?s).{0,4096}", meaning: str = "text") -> str:
        """A string that matches ``pattern`` as a whole; ``meaning`` says in words what that is."""
        value = self._get(key)
        if not isinstance(value, str) or not re.fullmatch(pattern, value) or not _encodable(value):
            raise self._wrong(key, meaning, value)
        return value

    def text_if_there(self, key: str, *, pattern: str, meaning: str) -> str:
        """Like ``text``; "" where the field is not there, as in files of earlier versions."""
        return self.text(key, pattern=pattern, meaning=meaning) if key in self._data else ""

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        """One of ``choices``."""
        value = self._get(key)
        if not isinstance(value, str) or value not in choices:
            raise self._wrong(key, " or ".join(choices), value)
        return value

    def integer(self, key: str, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``."""
        return self._integer(key, self._get(key), low, high)

    def optional_integer(self, key: str, low: int, high: int) -> int | None:
        """Like ``integer``, or None for JSON's null."""
        value = self._get(key)
        return None if value is None else self._integer(key, value, low, high)

    def number(self, key: str) -> float:
        """A finite number."""
        return self._number(key, self._get(key))

    def optional_number(self, key: str) -> float | None:
        """Like ``number``, or None for JSON's null."""
        value = self._get(key)
        return None if value is None else self._number(key, value)

    def boolean(self, key: str) -> bool:
        """True or false."""
        value = self._get(key)
        if not isinstance(value, bool):
            raise self._wrong(key, "true or false", value)
        return value

    def integers(self, key: str, low: int, high: int, longest: int) -> tuple[int, ...]:
        """A list of at most ``longest`` whole numbers from ``low`` to ``high``."""
        values = self._list(key, longest)
        return tuple(self._integer(key, value, low, high) for value in values)

    def numbers(self, key: str, longest: int) -> tuple[float, ...]:
        """A list of at most ``longest`` finite numbers."""
        return tuple(self._number(key, value) for value in self._list(key, longest))

    def texts(self, key: str, longest: int, *, length: int = 4096) -> tuple[str, ...]:
        """A list of at most ``longest`` strings of at most ``length`` characters."""
        values = self._list(key, longest)
        for value in values:
            if not isinstance(value, str) or len(value) > length or not _encodable(value):
                raise self._wrong(key, "a list of texts", value)
        return tuple(values)

    def optional_texts(self, key: str, longest: int, *, length: int = 4096) -> tuple[str, ...]:
        """Like ``texts``; none where the field is not there, as in files of earlier versions."""
        return self.texts(key, longest, length=length) if key in self._data else ()

    def objects(self, key: str, longest: int, read: Callable[[ObjectReader], T]) -> tuple[T, ...]:
        """A list of at most ``longest`` objects, each read by ``read`` to its end."""
        values = self._list(key, longest)
        return tuple(
            read_object(value, f"{self._where}.{key}[{index}]", read)
            for index, value in enumerate(values)
        )

    def object(self, key: str, read: Callable[[ObjectReader], T]) -> T:
        """An object, read by ``read`` to its end."""
        return read_object(self._get(key), f"{self._where}.{key}", read)

    def optional_object(self, key: str, read: Callable[[ObjectReader], T]) -> T | None:
        """Like ``object``, or None for JSON's null."""
        value = self._get(key)
        return None if value is None else read_object(value, f"{self._where}.{key}", read)

    def pairs(self, key: str, longest: int) -> tuple[tuple[str, str], ...]:
        """An object of texts, as (key, value) in the order of the file."""
        value = self._get(key)
        if not isinstance(value, dict) or len(value) > longest:
            raise self._wrong(key, f"an object of at most {longest} texts", value)
        for name, item in value.items():
            if not isinstance(item, str) or not _encodable(name) or not _encodable(item):
                raise self._wrong(key, "an object of texts", item)
        return tuple(value.items())

    def given(self, key: str) -> bool:
        """Whether the field is there, for those that need not be."""
        return key in self._data

    def finish(self) -> None:
        """Raise BundleError where the object holds fields that nobody asked for."""
        unknown = sorted(set(self._data) - self._asked)
        if unknown:
            raise BundleError(f"{self._where} has the unknown field {unknown[0][:80]!r}.")

    def _get(self, key: str) -> Any:
        self._asked.add(key)
        if key not in self._data:
            raise BundleError(f"{self._where} lacks the field '{key}'.")
        return self._data[key]

    def _list(self, key: str, longest: int) -> list[Any]:
        value = self._get(key)
        if not isinstance(value, list) or len(value) > longest:
            raise self._wrong(key, f"a list of at most {longest} entries", value)
        return value

    def _integer(self, key: str, value: Any, low: int, high: int) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self._wrong(key, f"a whole number from {low} to {high}", value)
        return value

    def _number(self, key: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._wrong(key, "a number", value)
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self._wrong(key, "a finite number", value)
        return number

    def _wrong(self, key: str, wanted: str, value: Any) -> BundleError:
        return BundleError(f"{self._where}.{key} must be {wanted}, found {_kind(value)}.")


def read_object(data: Any, where: str, read: Callable[[ObjectReader], T]) -> T:
    """Read ``data`` as an object named ``where``; BundleError for fields that are left over."""
    reader = ObjectReader(data, where)
    value = read(reader)
    reader.finish()
    return value


def _kind(value: Any) -> str:
    if isinstance(value, (str, bool, int, float)):
        try:
            return ascii(value)[:80]
        except ValueError:  # an integer of more digits than Python prints
            return "a number out of range"
    return {dict: "an object", list: "a list", type(None): "null"}.get(type(value), "something")


def _encodable(value: str) -> bool:
    """Whether the text is printable Unicode: no lone surrogates, no control characters."""
    return not any(0xD800 <= ord(c) <= 0xDFFF or ord(c) < 0x20 or ord(c) == 0x7F for c in value)
