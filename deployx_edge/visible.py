"""What others wrote (boards, models, names of files), shown without letting it act.

A terminal obeys escape sequences, whoever wrote them: they move the cursor, change its title,
or make text look like ours. Every character that is not there to be seen is shown as Python
writes it (``\\x1b``); line ends and tabs stay where text may have several lines.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, TextIO, cast

_LINE_SIGNS = "\n\t"


def visible(text: str) -> str:
    """``text`` with its line ends and tabs, and every other character that is not seen named."""
    if text.isprintable():
        return text
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(line if line.isprintable() else _named(line) for line in lines)


def visible_line(text: str) -> str:
    """As ``visible``, for what is one line: a name with a line end makes no line of its own."""
    if text.isprintable():
        return text
    return "".join(_name(sign) if sign in _LINE_SIGNS else sign for sign in _named(text))


class VisibleStream:
    """Standard output or error, of which everybody who writes there sees only visible text.

    ``raw`` is the stream itself, for whoever writes a terminal's own signs (Rich).
    """

    def __init__(self, raw: TextIO) -> None:
        self.raw = raw

    def write(self, text: str) -> int:
        """Writes ``text``, made visible; the number of its characters."""
        self.raw.write(visible(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes each of ``lines``."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


def show_visibly() -> None:
    """From here on nothing that this process prints acts on the terminal by itself."""
    sys.stdout = cast(TextIO, VisibleStream(sys.stdout))
    sys.stderr = cast(TextIO, VisibleStream(sys.stderr))


def raw_stream(stream: TextIO) -> TextIO:
    """What lies below a ``VisibleStream``; another stream itself."""
    return stream.raw if isinstance(stream, VisibleStream) else stream


def _named(line: str) -> str:
    return "".join(sign if _is_seen(sign) else _name(sign) for sign in line)


def _is_seen(sign: str) -> bool:
    if sign.isprintable() or sign in _LINE_SIGNS:
        return True
    from unicodedata import category  # Most that is shown needs it never.

    return category(sign) == "Zs"


def _name(sign: str) -> str:
    return sign.encode("unicode_escape").decode("ascii")
