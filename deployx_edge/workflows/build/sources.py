"""The source archives that builds need: which, where, and how to add one by hand."""

from __future__ import annotations

from pathlib import Path

from deployx_edge.crossbuild.events import BuildEvent, StepStarted
from deployx_edge.crossbuild.sources import (
    Archive,
    add_archive,
    archives,
    ensure_archives,
    source_cache,
)
from deployx_edge.progress import Progress, Stage, silent

__all__ = ["Archive", "add_source", "fetch_sources", "list_sources", "source_cache"]


def list_sources() -> tuple[Archive, ...]:
    """Every archive that a recipe names, by file name."""
    return archives()


def fetch_sources(on_event: Progress = silent) -> tuple[Archive, ...]:
    """Fetch all that is missing; what was fetched. SourceError names what is not available."""

    def tell(event: BuildEvent) -> None:
        on_event(Stage(text=event.text) if isinstance(event, StepStarted) else event)

    return ensure_archives(archives(), tell)


def add_source(file: Path) -> Archive:
    """Take an archive that was brought by hand. SourceError where its content is not asked for."""
    return add_archive(file)
