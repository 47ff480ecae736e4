"""Folders and files that appear whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deployx_edge.errors import UsageError
from deployx_edge.scratch import beside, put_in_place


def check_replaceable(folder: Path, marker: str) -> None:
    """UsageError where ``folder`` holds anything but an earlier one of ours, with ``marker``."""
    if not folder.exists():
        return
    if not folder.is_dir() or (any(folder.iterdir()) and not (folder / marker).is_file()):
        raise UsageError(
            f"{folder} exists and holds something else; it would be replaced.",
            remedy="Name another folder, or remove it.",
        )


@contextmanager
def staged_folder(folder: Path, marker: str) -> Iterator[Path]:
    """An empty folder that takes the place of ``folder`` when the block ends well.

    A block that removes it leaves ``folder`` as it was.
    """
    check_replaceable(folder, marker)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with beside(folder) as made:
        made.mkdir()
        yield made
        if not made.exists():
            return
        check_replaceable(folder, marker)
        put_in_place(made, folder)


def write_whole(path: Path, text: str) -> None:
    """Write a file by renaming a finished one into its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with beside(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
