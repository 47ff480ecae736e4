"""What a model's outputs say of one image: classes, boxes, masks, text. Frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """One class of a classification: its index, its label, its score."""

    index: int
    label: str
    score: float


@dataclass(frozen=True, kw_only=True)
class Classification:
    """The best classes of one sample, best first; ``probabilities``: scores are in 0 … 1."""

    classes: tuple[ClassScore, ...]
    probabilities: bool = False


@dataclass(frozen=True, kw_only=True)
class Detections:
    """Boxes of one image, best first: (N, 4) x0 y0 x1 y1 in pixels, (N,) scores and classes.

    ``points`` are the key points of each box, (N, K, 3): x and y in the image's pixels (not cut to
    it: a point may lie outside), and a score in 0 … 1, which is 1 where the model gives none;
    None where it gives no points.
    """

    boxes: Floats
    scores: Floats
    classes: Integers
    points: Floats | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def above(self, score: float) -> Detections:
        """Those with that score at least."""
        return self.chosen(np.flatnonzero(self.scores >= score))

    def best(self, count: int) -> Detections:
        """The first so many."""
        return self.chosen(np.arange(len(self))[:count])

    def chosen(self, places: Integers) -> Detections:
        """Those at these places, in that order."""
        return Detections(
            boxes=self.boxes[places],
            scores=self.scores[places],
            classes=self.classes[places],
            points=None if self.points is None else self.points[places],
        )


@dataclass(frozen=True, kw_only=True)
class ClassMap:
    """The class of each pixel of the image, (height, width); ``geometry.IGNORED`` if not seen."""

    classes: NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class TextLine:
    """A line of text, and how sure the model is: the mean of its characters' scores, 0 if none.

    ``characters`` are the single scores, one for each character of ``text``.
    """

    text: str
    score: float
    characters: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TextBox:
    """A place of text: its corners (P, 2) x y in the image's pixels, and its score in 0 … 1.

    Four corners go clockwise from the upper left one; a polygon has more.
    """

    corners: Floats
    score: float


@dataclass(frozen=True, kw_only=True)
class TextBoxes:
    """The places of text in one image, from above to below, in a line from left to right."""

    boxes: tuple[TextBox, ...]

    def __len__(self) -> int:
        return len(self.boxes)


Interpretation = Classification | Detections | ClassMap | TextLine | TextBoxes
