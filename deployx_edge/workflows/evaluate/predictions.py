"""What a place says of each sample: interpreted once, kept on disk, held against another's."""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy

from deployx_edge.errors import UsageError
from deployx_edge.evaluation.metrics.average_precision import LEAST_SCORE, MOST_BOXES
from deployx_edge.evaluation.metrics.scores import NO_CLASS
from deployx_edge.evaluation.values import Answer, Sample, Target
from deployx_edge.model import BoxDecoding, PostProcessing
from deployx_edge.processing.geometry import IGNORED
from deployx_edge.processing.postprocessing import (
    Detections,
    class_map,
    classify,
    detect,
    overlaps,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

Arrays = Mapping[str, numpy.ndarray]

# Boxes below it are too many to look at, and no prediction that anybody would act on.
SURE = 0.3
_SAME_BOX = 0.5  # intersection over union


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """What a model's outputs are to be taken for.

    ``task``: "classification", "detection", "segmentation", or "arrays" where they mean nothing
    but themselves; ``step`` says how, ``classes`` what the classes are called.
    """

    task: str
    step: PostProcessing | None
    classes: tuple[str, ...]

    def answer(self, sample: Sample, outputs: Arrays) -> Answer:
        """The outputs with what they say of the sample's image."""
        if self.step is None or sample.geometry is None:
            return Answer(outputs=outputs)
        if self.task == "detection" and self.step.boxes is not None:
            boxes = self.step.boxes
            candidates = detect(_for_curve(self.step, boxes), outputs, sample.geometry)
            # Boxes of lower scores suppress none of higher ones: what is shown is their beginning.
            shown = candidates.above(boxes.score).best(boxes.most)
            return Answer(outputs=outputs, detections=shown, candidates=candidates)
        if self.task == "segmentation":
            return Answer(outputs=outputs, mask=class_map(self.step, outputs, sample.geometry))
        return Answer(outputs=outputs)

    @property
    def curve_score(self) -> float | None:
        """The least score of the boxes that average precision is of; None without boxes."""
        if self.task != "detection" or self.step is None or self.step.boxes is None:
            return None
        return min(self.step.boxes.score, LEAST_SCORE)

    def word(self, index: int) -> str:
        """What a class is called; its number where it has no name."""
        return self.classes[index] if 0 <= index < len(self.classes) else str(index)


def _for_curve(step: PostProcessing, boxes: BoxDecoding) -> PostProcessing:
    """The post-processing with the score from which average precision counts, and its boxes."""
    score, most = min(boxes.score, LEAST_SCORE), max(boxes.most, MOST_BOXES)
    return replace(step, boxes=replace(boxes, score=score, most=most))


class PredictionStore:
    """One array a sample, in a file: memory stays as it is while a data set grows.

    Of a classification the five best classes (5, 2: index, score), of a detection the boxes
    (N, 6: x0, y0, x1, y1, score, class), of a segmentation the class of each pixel. Of boxes those
    of low scores are kept as well, which only ``read_candidates`` gives.
    """

    def __init__(self, path: Path, meaning: Meaning) -> None:
        self._path = path
        self._meaning = meaning
        self._ends = [0]
        self._shown: list[int] = []  # of each sample's rows, those that are no mere candidates

    def __len__(self) -> int:
        return len(self._ends) - 1

    def append(self, answer: Answer) -> NDArray[numpy.generic]:
        """Keep what the next sample's answer says; the array that was kept."""
        array = self._array(answer)
        buffer = io.BytesIO()
        numpy.save(buffer, array, allow_pickle=False)
        content = zlib.compress(buffer.getvalue(), 1)
        with self._path.open("ab") as file:
            file.write(content)
        self._ends.append(self._ends[-1] + len(content))
        self._shown.append(len(array if answer.detections is None else answer.detections))
        return self._cut(array, -1)

    def read(self, index: int) -> NDArray[numpy.generic]:
        """What was kept of that sample, without boxes below the post-processing's score."""
        return self._cut(self.read_candidates(index), index)

    def read_candidates(self, index: int) -> NDArray[numpy.generic]:
        """What was kept of that sample, boxes of low scores among it."""
        with self._path.open("rb") as file:
            file.seek(self._ends[index])
            content = file.read(self._ends[index + 1] - self._ends[index])
        found: NDArray[numpy.generic] = numpy.load(
            io.BytesIO(zlib.decompress(content)), allow_pickle=False
        )
        return found

    def _cut(self, array: NDArray[numpy.generic], index: int) -> NDArray[numpy.generic]:
        return array[: self._shown[index]] if self._meaning.task == "detection" else array

    def _array(self, answer: Answer) -> NDArray[numpy.generic]:
        if answer.mask is not None:
            return answer.mask
        found = answer.detections if answer.candidates is None else answer.candidates
        if found is not None:
            return numpy.column_stack([found.boxes, found.scores, found.classes])
        if self._meaning.task != "classification":
            return numpy.zeros(0)
        step = self._meaning.step
        if step is None or step.output not in answer.outputs:
            raise UsageError("Nothing says which output holds the scores.")
        scores = answer.outputs[step.output]
        if numpy.isnan(scores).any():
            return numpy.asarray([[float(NO_CLASS), 0.0]])
        return numpy.asarray([[best.index, best.score] for best in classify(step, scores)])


def detections_of(rows: NDArray[numpy.generic]) -> Detections:
    """What a store keeps of a detection, as it was."""
    values = numpy.asarray(rows, dtype=numpy.float64).reshape(-1, 6)
    return Detections(
        boxes=values[:, :4], scores=values[:, 4], classes=values[:, 5].astype(numpy.int64)
    )


def best_class(kept: NDArray[numpy.generic]) -> int:
    """Of what a store keeps of a classification, the class of the highest score."""
    return int(numpy.asarray(kept, dtype=numpy.float64)[0, 0])


def agreement(task: str, one: NDArray[numpy.generic], other: NDArray[numpy.generic]) -> float:
    """How far two predictions of one sample are the same, 0 … 1.

    Of classes yes or no; of boxes above SURE the share that has a counterpart of its class with
    an intersection over union of 0.5 (twice the pairs by all boxes of both); of pixels the share.
    """
    if task == "classification":
        return float(one[0, 0] == other[0, 0])
    if task == "segmentation":
        return float((one == other).mean())
    first, second = detections_of(one).above(SURE), detections_of(other).above(SURE)
    return _same_boxes(first, second.boxes, second.classes)


def quality(task: str, answer: Answer, kept: NDArray[numpy.generic], target: Target) -> float:
    """How right an answer is, 0 … 1: to find the samples worth looking at, no metric.

    ``kept`` is what a store keeps of the answer.
    """
    if task == "classification":
        return float(best_class(kept) == target.label)
    if task == "detection" and answer.detections is not None and target.boxes is not None:
        things = ~target.boxes.crowd
        found = answer.detections.above(SURE)
        return _same_boxes(found, target.boxes.boxes[things], target.boxes.classes[things])
    if task == "segmentation" and answer.mask is not None and target.mask is not None:
        counts = (target.mask != IGNORED) & (answer.mask != IGNORED)
        return float((answer.mask == target.mask)[counts].mean()) if counts.any() else 1.0
    return 1.0


def _same_boxes(
    found: Detections, boxes: NDArray[numpy.generic], classes: NDArray[numpy.generic]
) -> float:
    if not len(found) and not len(boxes):
        return 1.0
    shared = overlaps(found.boxes, numpy.asarray(boxes, dtype=numpy.float64))
    shared[found.classes[:, None] != numpy.asarray(classes)[None, :]] = 0.0
    pairs = 0
    while shared.size and shared.max() >= _SAME_BOX:
        row, column = numpy.unravel_index(int(shared.argmax()), shared.shape)
        shared[row, :] = shared[:, column] = 0.0
        pairs += 1
    return 2.0 * pairs / (len(found) + len(boxes))
