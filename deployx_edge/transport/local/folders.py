"""Where the work folder of a link on this computer lies."""

from __future__ import annotations

from pathlib import Path

from deployx_edge.errors import UsageError
from deployx_edge.resources import expanded


def local_work_folder(configured: str | None, default: Path) -> Path:
    """``configured`` (absolute, or with ``~``), else ``default``."""
    if configured is None:
        return default
    path = expanded(configured)
    if not path.is_absolute():
        raise UsageError(
            f"The work folder must be an absolute path, found '{configured}'.",
            remedy="Write it from / or from ~/.",
        )
    return path
