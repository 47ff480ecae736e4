"""The doctor's findings as a table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from rich.table import Table
from rich.text import Text


class _Check(Protocol):
    @property
    def group(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def present(self) -> bool: ...
    @property
    def needed(self) -> bool: ...
    @property
    def found(self) -> str: ...
    @property
    def remedy(self) -> str: ...


def doctor_table(checks: Iterable[_Check]) -> Table:
    """One row a check; what is missing stands with the command that gets it."""
    table = Table(title="doctor")
    for heading in ("", "what", "found", "to get it"):
        table.add_column(heading, overflow="fold")
    for check in checks:
        mark = (
            ("✓", "green") if check.present else ("✗", "red") if check.needed else ("–", "yellow")
        )
        table.add_row(Text(*mark), f"{check.group}: {check.name}", check.found, check.remedy)
    return table
