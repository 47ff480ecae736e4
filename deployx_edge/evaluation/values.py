"""Samples, what a model should say of them, and the classes that they are of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a model should give for one sample.

    ``label`` is the index of the sample's class, None where it has none; ``arrays`` holds what
    outputs should be, by their names and in their shapes, with batch size 1.
    """

    label: int | None = None
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One sample: ``inputs`` by the model's names and shapes, with batch size 1."""

    name: str
    inputs: Mapping[str, NDArray[Any]]
    target: Target


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A sample that could not be read, and why."""

    name: str
    reason: str


class Source(Protocol):
    """Where samples lie, by their positions in a fixed order."""

    @property
    def kind(self) -> str:
        """``folder``, ``csv``, ``npz`` or ``pictures`` (a folder without labels)."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes by index; empty where they have none."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """What each sample is called."""
        ...

    @property
    def labels(self) -> tuple[int, ...] | None:
        """The index of each sample's class; None where there are no classes."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed or left aside, in sentences."""
        ...

    def read(self, position: int) -> Sample:
        """The sample; UsageError where it cannot be read."""
        ...

    def content_hash(self, position: int) -> str | None:
        """The sha256 (hex) of the sample's content; None where it cannot be read."""
        ...
