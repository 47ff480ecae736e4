"""What a build tells while it goes on. Frozen values; whoever shows them decides how.

Each has a ``text`` that says it in a few words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class StepStarted:
    """A new step of the build begins."""

    text: str


@dataclass(frozen=True, kw_only=True)
class PackageStarted:
    """Conan turns to a package; ``index`` counts from 1 to ``total``."""

    name: str
    version: str
    index: int
    total: int

    @property
    def text(self) -> str:
        """E.g. ``Package 3 of 7: ncnn 1.0.20261020``."""
        return f"Package {self.index} of {self.total}: {self.name} {self.version}"


@dataclass(frozen=True, kw_only=True)
class ObjectsCompiled:
    """How many steps of the running compile are done, of how many."""

    done: int
    total: int

    @property
    def text(self) -> str:
        """E.g. ``object 41 of 248``."""
        return f"object {self.done} of {self.total}"


@dataclass(frozen=True, kw_only=True)
class SourceReceived:
    """Bytes of a source archive so far; ``total_bytes`` is None where the server does not say."""

    filename: str
    received_bytes: int
    total_bytes: int | None

    @property
    def text(self) -> str:
        """E.g. ``grpc_1.51.1.orig.tar.gz: 3.1 of 8.6 MB``."""
        whole = f" of {self.total_bytes / 1e6:.1f}" if self.total_bytes else ""
        return f"{self.filename}: {self.received_bytes / 1e6:.1f}{whole} MB"


BuildEvent = StepStarted | PackageStarted | ObjectsCompiled | SourceReceived
OnEvent = Callable[[BuildEvent], None]


def silent(event: BuildEvent) -> None:
    """Tells nobody."""
