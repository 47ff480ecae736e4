"""Where output goes: results to standard output, progress to standard error."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from deployx_edge.cli.phases import mark
from deployx_edge.progress import Phase, Progress, Stage
from deployx_edge.units import period
from deployx_edge.visible import raw_stream, visible

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from deployx_edge.workflows.boards.several import Outcome

# Where no line lives: how often a long stage says how far it is, and after how long a silence
# its last words are repeated.
_EVERY_SECONDS = 10.0
_REMIND_SECONDS = 15.0


class _VisibleConsole(Console):
    """Shows what others wrote as it is: neither a terminal's signs in it act, nor Rich's own
    markup (``[red]``) and names of images (``:smile:``)."""

    def __init__(self, *, file: TextIO | None = None, width: int | None = None) -> None:
        # What Rich draws with is written past the stream that names such signs.
        stream = raw_stream(sys.stdout if file is None else file)
        super().__init__(file=stream, width=width, highlight=False, markup=False, emoji=False)

    def render_str(self, text: str, **words: Any) -> Text:
        """As the base class; visible before its width is measured."""
        return super().render_str(visible(text), **words)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """As the base class; what came as ``Text`` is made visible here."""
        for segment in super().render(renderable, options):
            shown = segment.text if segment.control else visible(segment.text)
            yield segment if shown is segment.text else Segment(shown, segment.style)


def print_report(content: RenderableType) -> None:
    """A table or a line for people. Piped output is as wide as it needs to be."""
    console = _VisibleConsole(width=None if sys.stdout.isatty() else 160)
    console.print(content, soft_wrap=isinstance(content, str))


def draw_report(content: RenderableType, path: Path) -> None:
    """The same report as a figure: ``.svg``, ``.png``, ``.pdf`` or ``.html``, by the ending."""
    from deployx_edge.report.figures import export_report

    export_report(content, path)


def print_json(document: Any) -> None:
    """A result for programs, and nothing beside it."""
    json.dump(document, sys.stdout, indent=1, default=list)
    sys.stdout.write("\n")


class JsonLines:
    """Entries of a list that may be long, kept in a temporary file until they are printed."""

    def __init__(self) -> None:
        import tempfile

        self._file = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115

    def add(self, entry: Any) -> None:
        """The next entry."""
        json.dump(entry, self._file, default=list)
        self._file.write("\n")

    def print_in(self, document: Mapping[str, Any], key: str) -> None:
        """Print the document with the entries as its first value, ``key``."""
        sys.stdout.write(f'{{\n "{key}": [')
        self._file.seek(0)
        for place, line in enumerate(self._file):
            sys.stdout.write(f"{',' if place else ''}\n  {line.rstrip()}")
        sys.stdout.write("\n ],")
        sys.stdout.write(json.dumps(document, indent=1, default=list).removeprefix("{"))
        sys.stdout.write("\n")

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


def end_with(outcomes: Sequence[Outcome[Any]]) -> None:
    """One board's error is the command's; of several each is a line, and the first the exit
    code. Without an error this does nothing."""
    failed = [(o.device.name, o.error) for o in outcomes if o.error is not None]
    if failed and len(outcomes) == 1:
        raise failed[0][1]
    for name, error in failed:
        print(f"error: {name}: {error}", file=sys.stderr)
    if failed:
        raise typer.Exit(failed[0][1].exit_code)


@contextmanager
def show_progress() -> Iterator[Progress]:
    """A callable that shows what it is told on standard error, with the time since the start.

    On a terminal one line lives and changes; elsewhere each new stage is a line, and long
    stages say every ten seconds how far they are. Results go elsewhere, so ``--json`` changes
    nothing here.
    """
    mark("Preparing")
    if sys.stderr.isatty():
        with _live_line() as progress:
            yield _counted(progress)
    else:
        with _lines() as progress_of:
            yield _counted(progress_of(""))
    mark("Ending")


@contextmanager
def show_progress_of(names: Sequence[str]) -> Iterator[Callable[[str], Progress]]:
    """For each name a callable as ``show_progress`` gives, with one living line each."""
    mark("Preparing")
    if sys.stderr.isatty():
        with _live_lines(names) as progress_of:
            yield lambda name: _counted(progress_of(name), f"{name}: ")
    else:
        with _lines() as progress_of:
            yield lambda name: _counted(progress_of(f"{name}: "), f"{name}: ")
    mark("Ending")


def _counted(show: Progress, before: str = "") -> Progress:
    """``show``, and each stage and phase is noted with its time."""

    def tell(event: Any) -> None:
        if isinstance(event, Stage | Phase):
            mark(f"{before}{event.text}")
        if not isinstance(event, Phase):
            show(event)

    return tell


@contextmanager
def _live_lines(names: Sequence[str]) -> Iterator[Callable[[str], Progress]]:
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

    started = time.monotonic()
    stages = dict.fromkeys(names, "")
    texts = dict.fromkeys(names, "")

    class _Lines:
        def __rich__(self) -> Table:
            table = Table.grid(padding=(0, 2))
            for name in names:
                table.add_row(Text(name, "bold"), stages[name], Text(texts[name], "cyan"))
            table.add_row(Text(f"[{time.monotonic() - started:5.1f} s]", "dim"))
            return table

    def progress_of(name: str) -> Progress:
        def show(event: Any) -> None:
            if isinstance(event, Stage):
                stages[name], texts[name] = event.text, ""
            else:
                texts[name] = event.text

        return show

    console = _VisibleConsole(file=sys.stderr)
    with Live(_Lines(), console=console, refresh_per_second=8):
        yield progress_of


@contextmanager
def _live_line() -> Iterator[Progress]:
    from rich.live import Live
    from rich.text import Text

    console = _VisibleConsole(file=sys.stderr)
    started = time.monotonic()
    stage, text = "", ""

    def line() -> Text:
        elapsed = time.monotonic() - started
        return Text.assemble((f"[{elapsed:5.1f} s] ", "dim"), stage, "  ", (text, "cyan"))

    class _Line:
        def __rich__(self) -> Text:
            return line()

    def show(event: Any) -> None:
        nonlocal stage, text
        if isinstance(event, Stage):
            if stage:
                console.print(line())
            stage, text = event.text, ""
        else:
            text = event.text

    with Live(_Line(), console=console, refresh_per_second=8, transient=True):
        yield show
    if stage:
        console.print(line())


@contextmanager
def _lines() -> Iterator[Callable[[str], Progress]]:
    """For each name a callable that writes lines. Where nobody tells anything for long, the last
    line is written again with the time since: silence looks like an end."""
    started = time.monotonic()
    ended = threading.Event()
    told: dict[str, tuple[float, Any]] = {}
    lock = threading.Lock()

    def write(name: str, text: str, since: float) -> None:
        now = time.monotonic()
        waited = f" (for {period(now - since)})" if now - since >= _EVERY_SECONDS else ""
        # In one piece: several boards tell at once.
        sys.stderr.write(f"[{now - started:5.1f} s] {name}{text}{waited}\n")
        sys.stderr.flush()

    def progress_of(name: str) -> Progress:
        shown = started

        def show(event: Any) -> None:
            nonlocal shown
            now = time.monotonic()
            with lock:
                told[name] = (now, event)
                if isinstance(event, Stage) or now - shown >= _EVERY_SECONDS:
                    shown = now
                    write(name, event.text, now)

        return show

    def remind() -> None:
        while not ended.wait(_REMIND_SECONDS):
            with lock:
                for name, (since, event) in told.items():
                    over = isinstance(event, Stage) and event.over
                    if not over and time.monotonic() - since >= _REMIND_SECONDS:
                        write(name, event.text, since)

    threading.Thread(target=remind, name="progress", daemon=True).start()
    try:
        yield progress_of
    finally:
        ended.set()
