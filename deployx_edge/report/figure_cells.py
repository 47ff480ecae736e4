"""What stands in the cells of a table that is drawn: words, and what signs in them stood for."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

_LEVELS = "▁▂▃▄▅▆▇█"
_FULL = "█"
_LEAST = 0.05
_BAR = re.compile(rf"^(?P<words>[^{_LEVELS}]*?)\s*(?P<bar>{_FULL}*)$")
_PERCENT = re.compile(r"^[-+]?\d+(\.\d+)?%$")
# A number with its sign and its unit, a range of two, or what stands where there is none.
_NUMBER = re.compile(r"^[-+–]?\d[\d.,e+-]*(\s?[^\s\d]{1,6})?$")
_NONE = ("", "–", "-", "not available", "not told", "exact")


@dataclass(frozen=True, kw_only=True)
class Written:
    """Words in one style; no colour is the usual one."""

    text: str
    bold: bool = False
    colour: str | None = None


@dataclass(frozen=True, kw_only=True)
class Line:
    """A bar, of which the longest in its column has the ``share`` 1."""

    share: float


@dataclass(frozen=True, kw_only=True)
class Course:
    """How a value went: levels from 0 to 1, one after the other."""

    levels: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Words in lines, and what is drawn beside them."""

    written: Written
    lines: tuple[str, ...]
    drawn: Line | Course | None = None


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A table that is to be drawn; ``right`` says which columns are aligned to the right."""

    title: str
    caption: str
    headings: tuple[Cell, ...]
    right: tuple[bool, ...]
    rows: tuple[tuple[Cell, ...], ...]


def cell_of(written: Written, column: Sequence[Written], longest: int) -> Cell:
    """A cell of a ``column``, with what its signs stood for; in lines of ``longest`` letters."""
    if _is_course(written.text):
        highest = len(_LEVELS) - 1
        # The lowest stays to be seen.
        levels = tuple(max(_LEVELS.index(sign) / highest, _LEAST) for sign in written.text)
        return Cell(written=Written(text=""), lines=("",), drawn=Course(levels=levels))
    if any(_FULL in each.text for each in column):
        found = _bar(written.text)
        most = max((_bar(each.text)[1] for each in column), default=0.0)
        share = found[1] / most if most else 0.0
        words = Written(text=found[0], bold=written.bold, colour=written.colour)
        return Cell(written=words, lines=(found[0],), drawn=Line(share=share))
    lines = [
        part for line in written.text.split("\n") for part in textwrap.wrap(line, longest) or [""]
    ]
    return Cell(written=written, lines=tuple(lines) or ("",))


def is_number(texts: Sequence[str]) -> bool:
    """Whether a column holds numbers, so that their units belong below each other."""
    said = [text.strip() for text in texts if text.strip() not in _NONE]
    return bool(said) and all(_NUMBER.match(text) for text in said)


def _is_course(text: str) -> bool:
    return len(text) > 1 and not set(text) - set(_LEVELS) and set(text) != {_FULL}


def _bar(text: str) -> tuple[str, float]:
    """The words beside a bar, and how long it is: exactly, where the words say it."""
    found = _BAR.match(text)
    if found is None:
        return text, 0.0
    words = found["words"].strip()
    return words, float(words[:-1]) if _PERCENT.match(words) else float(len(found["bar"]))
