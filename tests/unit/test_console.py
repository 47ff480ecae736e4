"""What is told where no line can live: no silence, and nothing twice."""

import re
import threading
from types import SimpleNamespace

import pytest

from deployx_edge.cli import console
from deployx_edge.progress import Phase, Share, Stage


@pytest.fixture
def lines(monkeypatch):
    """Collects what is written, and wakes whoever waits for more."""
    found, more = [], threading.Condition()

    class Stream:
        def isatty(self):
            return False

        def write(self, text):
            with more:
                found.append(re.sub(r"^\[ *[\d.]+ s\] ", "", text))
                more.notify_all()

        def flush(self):
            pass

    def wait_for(pattern, count=1):
        with more:
            whole = re.compile(pattern + "\n")
            assert more.wait_for(lambda: sum(map(bool, map(whole.fullmatch, found))) >= count, 30)
        return found

    monkeypatch.setattr(console, "sys", SimpleNamespace(stderr=Stream()))
    return wait_for


def test_a_silence_is_broken_by_the_last_words(lines, monkeypatch):
    monkeypatch.setattr(console, "_REMIND_SECONDS", 0.01)
    monkeypatch.setattr(console, "_EVERY_SECONDS", 0.0)
    with console.show_progress() as progress:
        progress(Stage(text="Slow"))
        lines(r"Slow \(for 0 s\)", 3)
        progress(Share(done=1, total=2, of="repeats"))
        lines(r".* 50% \(1 of 2 repeats\) \(for 0 s\)", 2)


def test_a_board_that_is_done_is_not_told_again(lines, monkeypatch):
    monkeypatch.setattr(console, "_REMIND_SECONDS", 0.01)
    monkeypatch.setattr(console, "_EVERY_SECONDS", 0.0)
    with console.show_progress_of(["a", "b"]) as progress_of:
        progress_of("b")(Stage(text="done", over=True))
        progress_of("a")(Stage(text="Slow"))
        found = lines(r"a: Slow \(for 0 s\)", 3)
    assert sum(line.startswith("b: ") for line in found) == 1


def test_what_comes_quickly_is_told_seldom_and_phases_never(lines):
    with console.show_progress() as progress:
        progress(Stage(text="Quick"))
        for done in range(5):
            progress(Share(done=done, total=5))
            progress(Phase(text="Inside"))
        progress(Stage(text="Next"))
    assert lines("Next") == ["Quick\n", "Next\n"]
