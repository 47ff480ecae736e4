"""Operators of our own, and what came of their tests, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Protocol

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from deployx_edge.report.runtimes import seen_table
from deployx_edge.resources import host_target_id
from deployx_edge.seen import Seen
from deployx_edge.units import duration


class _Row(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def built(self) -> tuple[tuple[str, tuple[str, ...]], ...]: ...
    @property
    def cases(self) -> int: ...
    @property
    def tested(self) -> Sequence[_Tested]: ...


class _Tested(Protocol):
    @property
    def runtime(self) -> str: ...
    @property
    def place(self) -> str: ...
    @property
    def right(self) -> int: ...
    @property
    def cases(self) -> int: ...
    @property
    def day(self) -> str: ...
    @property
    def current(self) -> bool: ...


class _New(Protocol):
    @property
    def files(self) -> tuple[Path, ...]: ...
    @property
    def package(self) -> str: ...
    @property
    def settings(self) -> Path | None: ...


class _Outcome(Protocol):
    @property
    def operator(self) -> str: ...
    @property
    def case(self) -> str: ...
    @property
    def runtime(self) -> str: ...
    @property
    def place(self) -> str: ...
    @property
    def verdict(self) -> str: ...
    @property
    def detail(self) -> str: ...
    @property
    def error(self) -> float | None: ...
    @property
    def mean_ns(self) -> float | None: ...
    @property
    def emulated(self) -> bool: ...


def operators_report(rows: Sequence[_Row], seen: Sequence[Seen]) -> RenderableType:
    """One row an operator and runtime, and below it what was ``seen`` of those of this project."""
    return Group(_operators_table(rows), seen_table((row.runtime, row) for row in seen))


def _operators_table(rows: Sequence[_Row]) -> Table:
    table = Table(title="operators", caption="tested: what `op test` found last, for you")
    for heading in ("operator", "in models", "runtime", "built for", "cases", "tested"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        for runtime, targets in row.built or (("", ()),):
            there = ", ".join(targets) or "nothing yet"
            found = "; ".join(_tested_text(each) for each in row.tested if each.runtime == runtime)
            names, cases = ", ".join(row.names), str(row.cases)
            table.add_row(row.name, names, runtime or "–", there, cases, found or "–")
    return table


def _tested_text(row: _Tested) -> str:
    text = f"{row.right} of {row.cases} right on {row.place} ({row.day}"
    return f"{text})" if row.current else f"{text}, before a change)"


def new_operator_text(made: _New) -> Text:
    """Where it lies, and what to do next."""
    folder = made.files[0].parent
    lines = [f"{folder}", *(f"  {file.name}" for file in made.files)]
    if made.settings is not None:
        lines.append(f"{made.settings} names {folder.parent} now ([ops] folders).")
    lines += [
        "Next:",
        f"  deployx-edge build --target {host_target_id()}",
        f"  deployx-edge op test {folder.name}",
    ]
    if made.package:
        lines.append(f"  from {made.package}.{folder.name}.function import {folder.name}")
    return Text("\n".join(lines))


def outcomes_table(outcomes: Sequence[_Outcome]) -> Table:
    """One row for an operator in a runtime at a place; a case that is not right has its own."""
    table = Table(title="operators beside their references")
    headings = ("operator", "runtime", "place", "right", "largest error", "a case takes")
    for heading in (*headings, "what is wrong"):
        table.add_column(heading, overflow="fold")
    groups: dict[tuple[str, str, str], list[_Outcome]] = {}
    for each in outcomes:
        groups.setdefault((each.operator, each.runtime, each.place), []).append(each)
    for (operator, runtime, place), found in groups.items():
        right = [each for each in found if each.verdict == "right"]
        worst = max((each.error or 0.0 for each in right), default=0.0)
        style = "green" if len(right) == len(found) else "red"
        count = Text(f"{len(right)} of {len(found)}", style)
        table.add_row(operator, runtime, place, count, f"{worst:.1e}", _time_text(found), "")
        for each in found:
            if each.verdict != "right":
                table.add_row("", "", "", "", "", "", f"{each.case}: {each.detail}")
    return table


def _time_text(outcomes: Sequence[_Outcome]) -> str:
    """The mean over the cases; that of an emulator says nothing of a board."""
    taken = [each.mean_ns for each in outcomes if each.mean_ns is not None]
    if not taken:
        return "–"
    text = duration(mean(taken))
    return f"{text}, emulated" if any(each.emulated for each in outcomes) else text
