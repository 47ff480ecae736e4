"""The reference of several evaluations: bundles of one source are held against one run of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from deployx_edge.workflows.evaluate.results import Place


class KeptReference:
    """What the source says of all samples, in the folder ``folder``, once it was run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._places: list[tuple[object, Place]] = []

    def place(self, of: object, make: Callable[[Path], Place]) -> Place:
        """The place that was made for the same ``of``, or a new one.

        ``make`` is given the file for its predictions.
        """
        for known, place in self._places:
            if known == of:
                return place
        place = make(self._folder / f"reference-{len(self._places)}.predictions")
        self._places.append((of, place))
        return place
