"""The commands of a build as values, and how one is run: logged, followed, its failure told."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deployx_edge import process
from deployx_edge.crossbuild.events import (
    ObjectsCompiled,
    OnEvent,
    PackageStarted,
    StepStarted,
)
from deployx_edge.errors import BuildError

_TAIL_LINES = 12
_KEPT_LINES = 400
_PACKAGE = re.compile(r"^-+ Installing package (\S+?)/(\S+?) \((\d+) of (\d+)\) -+$")
_OBJECT = re.compile(r"^\[(\d+)/(\d+)\] ")
_FAILURE = re.compile(r"^FAILED: |\berror: |^ERROR: |^CMake Error")


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command line. ``title`` says what it does; ``environment`` is added to ours."""

    title: str
    argv: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]

    def text(self) -> str:
        """As it can be pasted into a shell."""
        settings = [f"{name}={value}" for name, value in self.environment]
        return process.format_command(["env", *settings, *self.argv])


def run_command(command: Command, log: Path, on_event: OnEvent) -> None:
    """Run to the end, adding all output to ``log``.

    BuildError holds the compiler's last words and the path of the whole log.
    """
    on_event(StepStarted(text=command.title))
    kept: deque[str] = deque(maxlen=_KEPT_LINES)
    with log.open("a", encoding="utf-8") as file:
        print(f"$ {command.text()}", file=file)

        def on_line(line: str) -> None:
            print(line, file=file)
            kept.append(line)
            event = _event(line)
            if event is not None:
                on_event(event)

        code = process.run_lines(command.argv, on_line, env=dict(command.environment))
    if code != 0:
        raise BuildError(
            f"{command.title}: failed with exit code {code}. The last of it:\n"
            + "\n".join(f"    {line}" for line in last_words(kept)),
            remedy=f"\nThe whole log: {log}",
        )


def last_words(lines: Sequence[str]) -> list[str]:
    """What to show of a failed command: from the first failure on, at most twelve lines.

    The compiler's command lines, which fill a screen each, are left out.
    """
    shown = [line for line in lines if line.strip() and len(line) < 1000]
    first = next((i for i, line in enumerate(shown) if _FAILURE.search(line)), None)
    if first is None:
        return shown[-_TAIL_LINES:]
    return shown[first : first + _TAIL_LINES]


def _event(line: str) -> PackageStarted | ObjectsCompiled | None:
    if found := _OBJECT.match(line):
        return ObjectsCompiled(done=int(found[1]), total=int(found[2]))
    if found := _PACKAGE.match(line):
        return PackageStarted(
            name=found[1],
            version=found[2].partition("#")[0],
            index=int(found[3]),
            total=int(found[4]),
        )
    return None
