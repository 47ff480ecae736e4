"""What others wrote is shown, and does not act."""

from __future__ import annotations

import io
import sys

import pytest
from rich.console import Group
from rich.table import Table
from rich.text import Text

from deployx_edge import visible
from deployx_edge.cli.console import _VisibleConsole

EVIL = "\x1b]0;title\x07 \x1b[2Jpi\x9b31m\rz\x7f\u202egnp\u2066\udc80\0"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain µs 5 °C ▁▂█ größe 日本", "plain µs 5 °C ▁▂█ größe 日本"),
        ("two\r\nlines\n\tand a tab", "two\nlines\n\tand a tab"),
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("over\rwritten", r"over\rwritten"),
        ("\x9b31m\x7f\x07\0", r"\x9b31m\x7f\x07\x00"),
        ("\u202egnp.exe\u2028\ufeff", r"\u202egnp.exe\u2028\ufeff"),
        ("name\udc80", r"name\udc80"),
        ("1\u00a0000\u202fkg", "1\u00a0000\u202fkg"),
    ],
)
def test_what_is_not_seen_is_named(text: str, shown: str) -> None:
    assert visible.visible(text) == shown
    assert visible.visible(shown) == shown


def test_a_name_makes_no_line_of_its_own() -> None:
    assert visible.visible_line("digits\nerror: x\t\x1b") == r"digits\nerror: x\t\x1b"
    assert visible.visible_line("digits") == "digits"


def shown_by_console(content: object) -> str:
    place = io.StringIO()
    _VisibleConsole(file=place, width=100).print(content)
    return place.getvalue()


def test_a_report_shows_all_as_it_is() -> None:
    table = Table(title=EVIL, caption=EVIL)
    table.add_column(EVIL)
    table.add_column("markup")
    table.add_row(EVIL, "[red]x[/] [/] :smile: [link=http://x]y[/link]")
    table.add_row(Text(EVIL, "red"), "")
    text = shown_by_console(Group(table, Text(EVIL), EVIL))
    assert all(visible.visible(line) == line for line in text.splitlines())
    assert text.count(r"\x1b]0;title") == 7
    assert "[red]x[/] [/] :smile: [link=http://x]y[/link]" in text
    assert len({len(line) for line in text.splitlines() if line.startswith(("│", "├", "└"))}) == 1


def test_colours_are_drawn_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    place = io.StringIO()
    console = _VisibleConsole(file=place, width=100)
    console.print(Text("x\x1b[1m", style="bold"))
    assert place.getvalue() == "\x1b[1mx\\x1b[1m\x1b[0m\n"


def test_streams_are_filtered_and_what_is_drawn_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.StringIO()
    monkeypatch.setattr(sys, "stdout", raw)
    monkeypatch.setattr(sys, "stderr", raw)
    visible.show_visibly()
    print("a\x1b", file=sys.stderr)
    sys.stdout.writelines(["b\x1b\n"])
    visible.raw_stream(sys.stdout).write("c\x1b\n")
    assert raw.getvalue() == "a\\x1b\nb\\x1b\nc\x1b\n"
