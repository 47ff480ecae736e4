"""Operators of our own, and what came of their tests, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from rich.table import Table
from rich.text import Text

from deployx_edge.resources import host_target_id


class _Row(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def built(self) -> tuple[tuple[str, tuple[str, ...]], ...]: ...
    @property
    def cases(self) -> int: ...


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


def operators_table(rows: Sequence[_Row]) -> Table:
    """One row an operator and runtime."""
    table = Table(title="operators")
    for heading in ("operator", "in models", "runtime", "built for", "cases"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        for runtime, targets in row.built or (("", ()),):
            there = ", ".join(targets) or "nothing yet"
            table.add_row(row.name, ", ".join(row.names), runtime or "–", there, str(row.cases))
    return table


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
    for heading in ("operator", "runtime", "place", "right", "largest error", "what is wrong"):
        table.add_column(heading, overflow="fold")
    groups: dict[tuple[str, str, str], list[_Outcome]] = {}
    for each in outcomes:
        groups.setdefault((each.operator, each.runtime, each.place), []).append(each)
    for (operator, runtime, place), found in groups.items():
        right = [each for each in found if each.verdict == "right"]
        worst = max((each.error or 0.0 for each in right), default=0.0)
        style = "green" if len(right) == len(found) else "red"
        count = Text(f"{len(right)} of {len(found)}", style)
        table.add_row(operator, runtime, place, count, f"{worst:.1e}", "")
        for each in found:
            if each.verdict != "right":
                table.add_row("", "", "", "", "", f"{each.case}: {each.detail}")
    return table
