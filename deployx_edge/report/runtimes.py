"""Runtimes: what is there, what is missing, and what was seen to work where."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

_MARKS = {"run": "green", "emulated": "cyan", "compiled": "yellow", "not tried": "red"}


class _Need(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def present(self) -> bool: ...
    @property
    def found(self) -> str: ...
    @property
    def remedy(self) -> str: ...


class _Facts(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def package(self) -> str: ...


class _Seen(Protocol):
    @property
    def place(self) -> str: ...
    @property
    def how(self) -> str: ...
    @property
    def what(self) -> str: ...
    @property
    def test(self) -> str: ...


class _State(Protocol):
    @property
    def facts(self) -> _Facts: ...
    @property
    def needs(self) -> Sequence[_Need]: ...
    @property
    def targets(self) -> Sequence[str]: ...
    @property
    def seen(self) -> Sequence[_Seen]: ...
    @property
    def is_ready(self) -> bool: ...


def runtimes_report(states: Sequence[_State]) -> RenderableType:
    """What is there of each, and below it what was seen to work where."""
    seen = [(state.facts.name, row) for state in states for row in state.seen]
    return Group(_here_table(states), seen_table(seen))


def seen_table(rows: Iterable[tuple[str, _Seen]]) -> Table:
    """What was seen to work of each runtime; ``rows`` have its name first."""
    table = Table(title="seen to work", caption="here: this computer's own part")
    for heading in ("runtime", "where", "how", "what"):
        table.add_column(heading, overflow="fold")
    for runtime, row in rows:
        table.add_row(runtime, row.place, Text(row.how, _MARKS[row.how]), Text(row.what))
    return table


def needs_table(states: Iterable[_State]) -> Table:
    """One row for each thing that a runtime needs here."""
    table = Table(title="what runtimes need on this computer")
    for heading in ("", "runtime", "needs", "found", "to get it"):
        table.add_column(heading, overflow="fold")
    for state in states:
        for need in state.needs:
            mark = ("✓", "green") if need.present else ("–", "yellow")
            row = (state.facts.name, need.name, need.found, need.remedy)
            table.add_row(Text(*mark), *map(Text, row))
    return table


def runtimes_document(states: Iterable[_State]) -> dict[str, Any]:
    """The same for programs."""
    return {"kind": "runtimes", "runtimes": [_document(state) for state in states]}


def _here_table(states: Sequence[_State]) -> Table:
    table = Table(title="runtimes")
    for heading in ("name", "runtime", "on this computer", "boards of"):
        table.add_column(heading, overflow="fold")
    for state in states:
        here = ", ".join(
            f"{need.name} {need.found}" if need.present else f"{need.name}: {need.found}"
            for need in state.needs
        )
        style = "" if state.is_ready else "yellow"
        boards = ", ".join(state.targets) or "none"
        table.add_row(state.facts.name, state.facts.title, Text(here, style), boards)
    return table


def _document(state: _State) -> dict[str, Any]:
    return {
        "name": state.facts.name,
        "title": state.facts.title,
        "package": state.facts.package,
        "ready": state.is_ready,
        "needs": [
            {"name": n.name, "present": n.present, "found": n.found, "remedy": n.remedy}
            for n in state.needs
        ],
        "targets": list(state.targets),
        "seen": [{"place": s.place, "how": s.how, "what": s.what} for s in state.seen],
    }
