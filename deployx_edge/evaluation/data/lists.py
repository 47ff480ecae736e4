"""Lists of files with labels: CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deployx_edge.errors import UsageError
from deployx_edge.files import LARGE, read_text

_FILE_WORDS = ("file", "filename", "file_name", "filepath", "path", "image", "picture", "name")
_LABEL_WORDS = ("label", "labels", "class", "class_name", "target", "category")
_EXAMPLE = "Write one line an image: file,label."


@dataclass(frozen=True, kw_only=True)
class FileList:
    """Names of files as they were written, and a word for each one's class."""

    names: tuple[str, ...]
    words: tuple[str, ...] | None


def read_list(path: Path, *, labelled: bool) -> FileList:
    """The lines of a CSV file, ``file,label`` with a header line or without.

    Columns are parted by commas, semicolons or tabs; a header says which columns count, and
    they are the first two without. Empty lines do not count. Where not ``labelled``, labels
    are not read. Raises UsageError, with the line's number, for a line that lacks something.
    """
    rows = _rows(path)
    if not rows:
        raise UsageError(f"{path} lists no files.", remedy=_EXAMPLE)
    header = [cell.casefold() for cell in rows[0][1]]
    file_column, label_column = 0, 1
    if _is_header(path, rows[0][1]):
        file_column = _column(header, _FILE_WORDS, 0)
        label_column = _column(header, _LABEL_WORDS, 1 - file_column)
        if labelled and len(header) > 2 and header[label_column] not in _LABEL_WORDS:
            raise UsageError(
                f"None of the columns of {path} is called label: {', '.join(rows[0][1])}.",
                remedy="Name the columns 'file' and 'label'.",
            )
        rows = rows[1:]
        if not rows:
            raise UsageError(f"{path} holds a header line and no files.", remedy=_EXAMPLE)
    names = tuple(_cell(path, row, file_column, "file") for row in rows)
    if not labelled:
        return FileList(names=names, words=None)
    return FileList(
        names=names, words=tuple(_cell(path, row, label_column, "label") for row in rows)
    )


def is_file(path: Path) -> bool:
    """Whether there is such a file; no error for a name that is too long to be one."""
    try:
        return path.is_file()
    except OSError:
        return False


_Row = tuple[int, list[str]]


def _rows(path: Path) -> list[_Row]:
    try:
        text = read_text(path, most=LARGE, encoding="utf-8-sig")
        first = next((line for line in text.splitlines() if line.strip()), "")
        mark = next((mark for mark in ",;\t" if mark in first), ",")
        reader = csv.reader(
            io.StringIO(text, newline=""), delimiter=mark, skipinitialspace=True, strict=True
        )
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read as CSV: {error}.") from error
    return [row for row in rows if any(row[1])]


def _is_header(path: Path, cells: Sequence[str]) -> bool:
    known = any(cell.casefold() in _FILE_WORDS for cell in cells)
    return known and not is_file(path.parent / cells[0])


def _column(header: Sequence[str], words: Sequence[str], otherwise: int) -> int:
    return next((header.index(word) for word in words if word in header), otherwise)


def _cell(path: Path, row: _Row, column: int, what: str) -> str:
    line, cells = row
    if column >= len(cells) or not cells[column]:
        raise UsageError(f"Line {line} of {path} has no {what}.", remedy=_EXAMPLE)
    return cells[column]
