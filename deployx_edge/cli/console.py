"""Where output goes: results to standard output, progress to standard error."""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from deployx_edge.errors import UsageError
from deployx_edge.workflows.progress import Progress, Stage


def print_report(content: RenderableType) -> None:
    """A table or a line for people. Piped output is as wide as it needs to be."""
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    console.print(content, soft_wrap=isinstance(content, str))


def draw_report(content: RenderableType, path: Path) -> None:
    """The same report as a picture: ``.svg`` or ``.html``, by the file's ending."""
    console = Console(record=True, width=160, file=io.StringIO(), highlight=False)
    console.print(content)
    if path.suffix == ".svg":
        text = console.export_svg(title="deployx-edge")
    elif path.suffix == ".html":
        text = console.export_html(inline_styles=True)
    else:
        raise UsageError(f"--picture {path} ends neither in .svg nor in .html.")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def print_json(document: Any) -> None:
    """A result for programs, and nothing beside it."""
    json.dump(document, sys.stdout, indent=1, default=list)
    sys.stdout.write("\n")


@contextmanager
def show_progress() -> Iterator[Progress]:
    """A callable that shows what it is told on standard error, with the time since the start.

    On a terminal one line lives and changes; elsewhere each new stage is a line, and long
    stages say every ten seconds how far they are. Results go elsewhere, so ``--json`` changes
    nothing here.
    """
    if sys.stderr.isatty():
        with _live_line() as progress:
            yield progress
    else:
        yield _lines()


@contextmanager
def _live_line() -> Iterator[Progress]:
    console = Console(stderr=True, highlight=False)
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


def _lines() -> Progress:
    started = time.monotonic()
    last = started

    def show(event: Any) -> None:
        nonlocal last
        now = time.monotonic()
        if isinstance(event, Stage) or now - last >= 10.0:
            last = now
            print(f"[{now - started:5.1f} s] {event.text}", file=sys.stderr, flush=True)

    return show
