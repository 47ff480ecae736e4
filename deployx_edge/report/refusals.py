"""What refused, below a report of what did not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from rich.console import Group, RenderableType
from rich.text import Text

from deployx_edge.errors import DeployxError


class Refused(Protocol):
    """A runtime that refused, and its error."""

    @property
    def runtime(self) -> str:
        """Which."""
        ...

    @property
    def error(self) -> DeployxError | None:
        """Why."""
        ...


def refusal_document(refused: Refused) -> dict[str, Any]:
    """The runtime with its reason."""
    error = refused.error
    return {
        "runtime": refused.runtime,
        "reason": str(error or ""),
        "exit_code": error.exit_code if error else 0,
    }


def with_refusals(report: RenderableType, refused: Sequence[Refused]) -> RenderableType:
    """The report, and a line for each that refused."""
    if not refused:
        return report
    lines = [Text(f"{each.runtime}: no: {each.error}", style="red") for each in refused]
    return Group(report, *lines)
