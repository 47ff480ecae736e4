"""Files that stand where another should be: empty ones, and pointers of git-lfs."""

from __future__ import annotations

import re
from pathlib import Path

from deployx_edge.errors import ModelError

# A pointer is a few lines of text.
_POINTER = b"version https://git-lfs"
_SIZE = re.compile(rb"^size (\d+)", re.MULTILINE)
_READ = 1024


def refuse_placeholder(path: Path, *, may_be_empty: bool = False) -> None:
    """ModelError for an empty file, or for a git-lfs pointer in the place of what it points to."""
    with path.open("rb") as file:
        start = file.read(_READ)
    if not start and not may_be_empty:
        raise ModelError(f"{path} is empty: it has 0 bytes.", remedy="Copy or download it again.")
    if start.startswith(_POINTER):
        size = _SIZE.search(start)
        bytes_ = f" of {int(size[1])} bytes" if size else ""
        raise ModelError(
            f"{path} is a pointer of git-lfs, not the file{bytes_} that it stands for.",
            remedy="Fetch that in its repository: git lfs pull.",
        )
