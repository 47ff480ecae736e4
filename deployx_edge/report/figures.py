"""Reports as figures: tables and words set in type, bars and courses drawn, by matplotlib.

What a report is made of (Rich's tables and texts) is read, not what a terminal would show of it.
Nothing in the files points anywhere: letters are outlines, and no program fetches anything.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text

from deployx_edge.errors import UsageError
from deployx_edge.report.figure_cells import Cell, Course, Line, Sheet, Written, cell_of, is_number
from deployx_edge.scratch import beside
from deployx_edge.visible import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".svg", ".png", ".pdf", ".html")
# All lengths are in points, of which an inch has 72.
_MARGIN, _GAP, _PAD = 18.0, 14.0, 9.0
_SIZE, _TITLE_SIZE, _NOTE_SIZE = 9.0, 12.0, 8.5
_ROW = 15.0  # a line of a row, with what is above and below it
_LONGEST_CELL = 60  # letters, before it gets a second line
_BAR_WIDTH, _COURSE_WIDTH = 90.0, 220.0
_DPI = 150
_LARGEST_SIDE = 30_000  # pixels of a PNG
_INK, _FAINT, _RULE, _STRIPE, _ACCENT = "#1b1f24", "#6b7280", "#9aa4b2", "#f4f6f9", "#3b6fb6"
_COLOURS = {"red": "#b42318", "yellow": "#8a5a00", "green": "#1a7f37", "cyan": "#0e7490"}


def check_suffix(path: Path) -> None:
    """UsageError for a file whose ending is none of those that can be drawn."""
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"--export {path} ends neither in {', '.join(SUFFIXES[:-1])} nor in {SUFFIXES[-1]}."
        )


def export_report(content: RenderableType, path: Path) -> None:
    """Draw a report into ``path``, by its ending; UsageError where that cannot be written."""
    check_suffix(path)
    write_figure(figure_of(content), path)


def write_figure(figure: Figure, path: Path) -> None:
    """A figure as a file, by its ending; UsageError where that cannot be written."""
    drawn = _drawn(figure, path.suffix.lower())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside(path) as temporary:
            temporary.write_bytes(drawn)
            temporary.replace(path)
    except OSError as error:
        raise UsageError(
            f"--export {path} cannot be written: {error.strerror or error}."
        ) from error


def figure_of(content: RenderableType) -> Figure:
    """Everything of the report, one part below the other, on a sheet that is as large as that."""
    from matplotlib.figure import Figure

    figure = Figure(dpi=_DPI)
    pen = _Pen(figure)
    top = _MARGIN
    before: Table | Text | None = None
    for part in _parts(content):
        if before is not None:
            # Notes that follow each other belong together.
            top += 2 if isinstance(before, Text) and isinstance(part, Text) else _GAP
        top = pen.table(part, top) if isinstance(part, Table) else pen.note(part, top)
        before = part
    pen.finish(top + _MARGIN)
    return figure


def _parts(content: Any) -> Iterator[Table | Text]:
    """Tables and texts in their order; of anything else what it says."""
    if isinstance(content, Group):
        for each in content.renderables:
            yield from _parts(each)
    elif isinstance(content, Table | Text):
        yield content
    elif isinstance(content, str):
        yield Text(content)
    else:
        console = Console(file=io.StringIO(), width=120, record=True)
        console.print(content)
        yield Text(console.export_text().rstrip())


def _drawn(figure: Figure, suffix: str) -> bytes:
    from matplotlib import rc_context

    buffer = io.BytesIO()
    kind = "svg" if suffix == ".html" else suffix[1:]
    nothing = {"svg": ("Creator", "Date", "Format", "Type"), "pdf": ("CreationDate",), "png": ()}
    metadata: dict[str, Any] = dict.fromkeys(nothing[kind])
    longer = max(figure.get_size_inches())
    dpi = min(_DPI, _LARGEST_SIDE / longer)
    with _without_warnings(), rc_context({"svg.hashsalt": "deployx-edge"}):
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=metadata, facecolor="white")
    if kind != "svg":
        return buffer.getvalue()
    # What comes before names an address where SVG is described, which nobody needs.
    text = buffer.getvalue().decode("utf-8")
    text = text[text.index("<svg") :]
    if suffix == ".html":
        text = (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            f"<title>deployx-edge</title></head><body>\n{text}</body></html>\n"
        )
    return text.encode("utf-8")


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Of letters that the font has not: a box stands for each of them."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@dataclass(frozen=True, kw_only=True)
class _Column:
    """Where a column of a sheet lies: its left end, its width, and that of its words."""

    left: float
    width: float
    words: float
    right_aligned: bool


class _Pen:
    """Draws from the top down; the sheet gets its size at the end."""

    def __init__(self, figure: Figure) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        self._figure = figure
        canvas: Any = FigureCanvasAgg(figure)
        self._renderer = canvas.get_renderer()
        self._axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        self._axes.set_axis_off()
        self._width = 360.0
        self._measured: dict[tuple[str, float, bool], float] = {}

    def finish(self, height: float) -> None:
        """The sheet is as large as what is on it."""
        width = self._width + _MARGIN
        self._figure.set_size_inches(width / 72, height / 72)
        self._axes.set_xlim(0, width)
        self._axes.set_ylim(height, 0)

    def table(self, table: Table, top: float) -> float:
        """A table with its title and rules; where it ends."""
        sheet = sheet_of(table)
        if sheet.title:
            title = Written(text=sheet.title, bold=True)
            self._write(title, _MARGIN, top + _TITLE_SIZE, size=_TITLE_SIZE)
            top += _TITLE_SIZE + 10
        columns = self._columns(sheet)
        right = columns[-1].left + columns[-1].width if columns else _MARGIN
        self._width = max(self._width, right)
        if any(cell.written.text for cell in sheet.headings):
            self._row(sheet.headings, columns, top)
            top += _ROW * max(len(cell.lines) for cell in sheet.headings)
        self._rule(right, top)
        for place, row in enumerate(sheet.rows):
            height = _ROW * max((len(cell.lines) for cell in row), default=1)
            if place % 2:
                self._box(_MARGIN, top, right - _MARGIN, height, _STRIPE)
            self._row(row, columns, top)
            top += height
        self._rule(right, top)
        if sheet.caption:
            top = self.note(Text(sheet.caption, style="dim"), top + 4)
        return top

    def note(self, text: Text, top: float) -> float:
        """Words as wide as the sheet; where they end."""
        written = _written(text)
        letters = max(60, int(self._width / (_NOTE_SIZE * 0.56)))
        for line in written.text.split("\n"):
            for part in textwrap.wrap(line, letters, subsequent_indent="  ") or [""]:
                top += _NOTE_SIZE + 4
                said = Written(text=part, bold=written.bold, colour=written.colour)
                self._write(said, _MARGIN, top - 2, size=_NOTE_SIZE)
                self._width = max(self._width, _MARGIN + self._measure(said, _NOTE_SIZE))
        return top

    def _columns(self, sheet: Sheet) -> list[_Column]:
        found: list[_Column] = []
        left = _MARGIN
        for index, heading in enumerate(sheet.headings):
            cells = [row[index] for row in sheet.rows]
            words = max(self._measure_cell(cell) for cell in [heading, *cells])
            extra = max((_width_of(cell.drawn) for cell in cells), default=0.0)
            courses = any(isinstance(cell.drawn, Course) for cell in cells)
            # A course stands in place of words, a bar beside them.
            width = (max(words, extra) if courses else words + extra) + 2 * _PAD
            right_aligned = sheet.right[index] and not courses
            found.append(_Column(left=left, width=width, words=words, right_aligned=right_aligned))
            left += width
        return found

    def _row(self, cells: Sequence[Cell], columns: Sequence[_Column], top: float) -> None:
        for cell, column in zip(cells, columns, strict=True):
            for number, line in enumerate(cell.lines):
                said = Written(text=line, bold=cell.written.bold, colour=cell.written.colour)
                base = top + number * _ROW + _ROW * 0.72
                start = column.left + _PAD
                if column.right_aligned:
                    self._write(said, start + column.words, base, right=True)
                else:
                    self._write(said, start, base)
            start = column.left + _PAD
            if isinstance(cell.drawn, Line):
                start += column.words + 6 if column.words else 0
                self._box(start, top + 4, _BAR_WIDTH * cell.drawn.share, _ROW - 8, _ACCENT)
            elif isinstance(cell.drawn, Course):
                self._course(cell.drawn, start, top)

    def _course(self, course: Course, left: float, top: float) -> None:
        """Stretches beside each other, as high as they are slow."""
        step = _COURSE_WIDTH / len(course.levels)
        for place, level in enumerate(course.levels):
            height = (_ROW - 3) * level
            self._box(left + place * step, top + _ROW - 1 - height, step * 0.85, height, _ACCENT)

    def _rule(self, right: float, top: float) -> None:
        self._axes.plot([_MARGIN, right], [top, top], color=_RULE, linewidth=0.8, zorder=2)

    def _box(self, left: float, top: float, width: float, height: float, colour: str) -> None:
        from matplotlib.patches import Rectangle

        zorder = 0 if colour == _STRIPE else 3
        self._axes.add_patch(
            Rectangle((left, top), width, height, facecolor=colour, linewidth=0, zorder=zorder)
        )

    def _write(
        self, said: Written, x: float, y: float, *, size: float = _SIZE, right: bool = False
    ) -> None:
        if said.text:
            self._axes.text(
                x,
                y,
                said.text,
                fontsize=size,
                fontweight="bold" if said.bold else "normal",
                color=said.colour or _INK,
                ha="right" if right else "left",
                va="baseline",
                parse_math=False,
                zorder=4,
            )

    def _measure_cell(self, cell: Cell) -> float:
        return max(
            self._measure(Written(text=line, bold=cell.written.bold), _SIZE) for line in cell.lines
        )

    def _measure(self, said: Written, size: float) -> float:
        """How wide words are, in points."""
        key = (said.text, size, said.bold)
        if key not in self._measured:
            from matplotlib.font_manager import FontProperties

            weight = "bold" if said.bold else "normal"
            properties = FontProperties(size=size, weight=weight)
            width = 0.0
            if said.text:
                with _without_warnings():
                    width, _, _ = self._renderer.get_text_width_height_descent(
                        said.text, properties, False
                    )
            self._measured[key] = width * 72 / _DPI
        return self._measured[key]


def _width_of(drawn: Line | Course | None) -> float:
    return {Line: _BAR_WIDTH + 6, Course: _COURSE_WIDTH + 6}.get(type(drawn), 0.0)


def sheet_of(table: Table) -> Sheet:
    """What a table holds, with what is to be drawn in place of signs."""
    columns = [[_written(cell) for cell in column.cells] for column in table.columns]
    heads = [
        _written(column.header, bold=True) if table.show_header else Written(text="")
        for column in table.columns
    ]
    bold_rows = [bool(row.style and Style.parse(str(row.style)).bold) for row in table.rows]
    cells = [
        [
            Written(
                text=written.text,
                bold=written.bold or bold_rows[place] or _is_bold(column.style),
                colour=written.colour,
            )
            for place, written in enumerate(given)
        ]
        for given, column in zip(columns, table.columns, strict=True)
    ]
    drawn = [[cell_of(each, column, _LONGEST_CELL) for each in column] for column in cells]
    return Sheet(
        title=_plain(table.title),
        caption=_plain(table.caption),
        headings=tuple(cell_of(head, (), _LONGEST_CELL) for head in heads),
        right=tuple(
            column.justify == "right" or is_number([cell.written.text for cell in each])
            for column, each in zip(table.columns, drawn, strict=True)
        ),
        rows=tuple(zip(*drawn, strict=True)),
    )


def _is_bold(style: Any) -> bool:
    return bool(style and Style.parse(str(style)).bold)


def _plain(content: Any) -> str:
    return (
        "" if content is None else visible(content.plain if isinstance(content, Text) else content)
    )


def _written(content: Any, *, bold: bool = False) -> Written:
    """The words of a cell or a text with their style, or that of their first part."""
    if not isinstance(content, Text):
        return Written(text=visible(str(content)), bold=bold)
    styles = [content.style, *(span.style for span in content.spans[:1])]
    found = Style.combine(each if isinstance(each, Style) else Style.parse(each) for each in styles)
    colour = _COLOURS.get(found.color.name) if found.color else None
    return Written(
        text=visible(content.plain),
        bold=bold or bool(found.bold),
        colour=colour or (_FAINT if found.dim else None),
    )
