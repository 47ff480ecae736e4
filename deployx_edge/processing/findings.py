"""What was found in one image, or in one sample of arrays: values, and how outputs become them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deployx_edge.errors import UsageError
from deployx_edge.model import PostProcessing
from deployx_edge.processing.geometry import IGNORED, Geometry
from deployx_edge.processing.postprocessing import classify, interpret
from deployx_edge.processing.results import (
    Classification,
    ClassMap,
    ClassScore,
    Detections,
    TextBoxes,
    TextLine,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_LARGEST = 5
# Of an output that nobody explained: so many values of it, at most, are a score a class.
_MOST_SCORES = 100_000


@dataclass(frozen=True, kw_only=True)
class FoundBox:
    """A box with corners ``x0 y0 x1 y1`` in the image's pixels, from the upper left edge.

    ``points`` are its key points, each x, y (also beyond the image) and a score in 0 … 1.
    """

    index: int
    label: str
    score: float
    x0: float
    y0: float
    x1: float
    y1: float
    points: tuple[tuple[float, float, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class FoundArea:
    """A place of text: its corners, each x and y in the image's pixels, and its score."""

    score: float
    corners: tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class FoundText:
    """A line of text, and the mean score of its characters."""

    text: str
    score: float


@dataclass(frozen=True, kw_only=True)
class ClassShare:
    """How much of an image is of a class: ``share`` (0 … 1) of all pixels, and their number.

    ``index`` is None for pixels that the model was not shown.
    """

    index: int | None
    label: str
    share: float
    pixels: int


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one post-processing says of one sample; only what is of its ``kind`` is there.

    ``mask`` (height, width) holds the class of each pixel, and is for drawing.
    """

    output: str
    kind: str
    classes: tuple[ClassScore, ...] = ()
    boxes: tuple[FoundBox, ...] = ()
    shares: tuple[ClassShare, ...] = ()
    text: FoundText | None = None
    areas: tuple[FoundArea, ...] = ()
    mask: NDArray[np.uint8] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class OutputSummary:
    """What can be said of an output whose meaning nobody gave: its shape, type and range.

    ``low`` and ``high`` are of its finite values, None where there is none; ``not_finite`` counts
    NaN and infinities. ``largest`` are its largest values, where it looks like a score a class.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    low: float | None
    high: float | None
    not_finite: int = 0
    largest: tuple[ClassScore, ...] = ()

    @property
    def size(self) -> int:
        """The number of its values."""
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True, kw_only=True)
class SampleFound:
    """What a model said of one sample.

    ``name`` is what it is called in tables, ``file`` where it comes from; ``width`` and
    ``height`` are its image's, None where there is none; ``frame`` is that of a video, counted
    from 0; ``drawn`` is the file that it is drawn in. ``outputs`` are those that no post-processing
    explains, and those that are not finite.
    ``compute_ns`` is the time of the run, ``notes`` what is doubtful about the sample.
    """

    name: str
    file: Path
    compute_ns: int
    findings: tuple[Finding, ...]
    outputs: tuple[OutputSummary, ...]
    width: int | None = None
    height: int | None = None
    frame: int | None = None
    drawn: Path | None = None
    notes: tuple[str, ...] = ()


def find(
    step: PostProcessing, outputs: Mapping[str, NDArray[Any]], geometry: Geometry
) -> tuple[Finding, ...]:
    """What a post-processing says of one sample's outputs.

    Several findings where a classification gives scores for several samples at once. Raises
    UsageError for outputs that are not of the kind that it names.
    """
    if step.output not in outputs:
        raise UsageError(f"The model gave no output '{step.output}', only {', '.join(outputs)}.")
    scores = outputs[step.output]
    if step.kind != "classification":
        return (_finding(step, outputs, geometry),)
    rows = scores.reshape(len(scores), -1) if scores.ndim > 1 else scores.reshape(1, -1)
    return tuple(_finding(step, {step.output: row}, geometry) for row in rows)


def _finding(
    step: PostProcessing, outputs: Mapping[str, NDArray[Any]], geometry: Geometry
) -> Finding:
    said = interpret(step, outputs, geometry)
    if isinstance(said, Classification):
        return Finding(output=step.output, kind=step.kind, classes=said.classes)
    if isinstance(said, Detections):
        return Finding(output=step.output, kind=step.kind, boxes=_boxes(step, said))
    if isinstance(said, ClassMap):
        shares = _shares(step, said.classes)
        return Finding(output=step.output, kind=step.kind, shares=shares, mask=said.classes)
    if isinstance(said, TextLine):
        text = FoundText(text=said.text, score=said.score)
        return Finding(output=step.output, kind=step.kind, text=text)
    return Finding(output=step.output, kind=step.kind, areas=_areas(said))


def explained(steps: Sequence[PostProcessing]) -> frozenset[str]:
    """The names of the outputs that post-processing makes something of."""
    found = {step.output for step in steps}
    for step in steps:
        if step.boxes is not None:
            found |= set(step.boxes.outputs)
    return frozenset(found)


def summarise_output(name: str, array: NDArray[Any], *, scores: bool) -> OutputSummary:
    """Shape, type and range of an array; its largest values where ``scores`` says that it may
    hold some, and it is one vector of floats."""
    number = array.dtype.kind in "biuf" or array.dtype.name == "bfloat16"
    values = array.astype(np.float64).reshape(-1) if number else np.zeros(0)
    finite = values[np.isfinite(values)]
    broken = len(values) - len(finite)
    vector = max(array.shape, default=1) == array.size and 1 < array.size <= _MOST_SCORES
    shown = scores and vector and array.dtype.kind == "f" and not broken
    step = PostProcessing(output=name)
    return OutputSummary(
        name=name,
        shape=tuple(array.shape),
        dtype=array.dtype.name,
        low=float(finite.min()) if len(finite) else None,
        high=float(finite.max()) if len(finite) else None,
        not_finite=broken,
        largest=classify(step, values, _MOST_LARGEST) if shown else (),
    )


def _label(step: PostProcessing, index: int) -> str:
    return step.labels[index] if index < len(step.labels) else str(index)


def _boxes(step: PostProcessing, found: Detections) -> tuple[FoundBox, ...]:
    boxes = []
    for place, (index, score, box) in enumerate(
        zip(found.classes, found.scores, found.boxes, strict=True)
    ):
        points = () if found.points is None else found.points[place]
        boxes.append(
            FoundBox(
                index=int(index),
                label=_label(step, int(index)),
                score=float(score),
                **dict(zip(("x0", "y0", "x1", "y1"), map(float, box), strict=True)),
                points=tuple((float(x), float(y), float(sure)) for x, y, sure in points),
            )
        )
    return tuple(boxes)


def _areas(found: TextBoxes) -> tuple[FoundArea, ...]:
    return tuple(
        FoundArea(
            score=float(box.score), corners=tuple((float(x), float(y)) for x, y in box.corners)
        )
        for box in found.boxes
    )


def _shares(step: PostProcessing, mask: NDArray[np.uint8]) -> tuple[ClassShare, ...]:
    counts = np.bincount(mask.reshape(-1), minlength=256)
    return tuple(
        ClassShare(
            index=None if index == IGNORED else int(index),
            label="not shown to the model" if index == IGNORED else _label(step, int(index)),
            share=float(counts[index] / mask.size),
            pixels=int(counts[index]),
        )
        for index in np.argsort(-counts, kind="stable")
        if counts[index]
    )
