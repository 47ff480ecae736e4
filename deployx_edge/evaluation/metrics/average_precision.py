"""Average precision of boxes as COCO defines it, by pycocotools, and with weighted samples.

T.-Y. Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014; cocodataset.org, "Detection
evaluation": the mean over classes and over intersections over union of 0.5, 0.55 … 0.95 of the
precision at 101 recalls, of at most 100 boxes an image. Boxes of a crowd count neither way.

A high recall is reached by boxes of low scores. What a deployment shows begins at a score at which
few boxes are wrong; a figure of those alone would tell less of the model than of that score. So it
is of all boxes from ``LEAST_SCORE`` on, where the usual evaluations of detectors begin.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deployx_edge.errors import UsageError
from deployx_edge.evaluation.data.rle import coco_tools
from deployx_edge.evaluation.results import ClassFigure
from deployx_edge.evaluation.values import Answer, Target, TrueBoxes
from deployx_edge.processing.postprocessing import Detections

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_SCORE = 0.001
MOST_BOXES = 100  # an image
_RECALLS = np.linspace(0.0, 1.0, 101)
# A bootstrap of fewer draws says little about the ends of an interval.
_DRAWS, _FEWEST_DRAWS = 500, 100
_WORK = 20_000_000  # boxes times draws: seconds, not minutes


class BoxLedger:
    """The boxes of all samples, found and true; several metrics share one.

    It grows by the boxes of each sample (at most 100, some 50 bytes each), not by its image.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.found: list[Detections] = []
        self.true: list[TrueBoxes] = []
        self.boxes = 0  # found so far
        self._matches: tuple[int, Matches] | None = None

    def add(self, answer: Answer, target: Target) -> None:
        """Take in one sample; UsageError where it has no boxes, or one of no class."""
        if target.boxes is None:
            raise UsageError(
                "Average precision needs the boxes of every sample, and these have none."
            )
        found = answer.detections if answer.candidates is None else answer.candidates
        if found is None:
            raise UsageError("Average precision needs boxes, and the model gives none.")
        for what, classes in (
            ("The data set", target.boxes.classes),
            ("The model", found.classes),
        ):
            if len(classes) and not 0 <= int(classes.min()) <= int(classes.max()) < self.classes:
                raise UsageError(
                    f"{what} has a box of class {int(classes.max())}; there are {self.classes}.",
                    remedy="Name all classes: --postprocess detection,labels=….",
                )
        self.found.append(found)
        self.boxes += len(found)
        self.true.append(target.boxes)

    def matches(self) -> Matches:
        """What was matched so far, worked out once for every number of samples."""
        if self._matches is None or self._matches[0] != len(self.found):
            self._matches = (len(self.found), _matched(self.found, self.true, self.classes))
        return self._matches[1]


@dataclass(frozen=True, kw_only=True)
class ClassMatches:
    """The boxes of one class, best first: which sample each is of, and what became of it.

    ``right`` and ``wrong`` (T, D) are 1 where a box counts so at an overlap; a box that
    lies on a crowd is neither. ``wanted`` (samples,) are how many there are to find.
    """

    samples: NDArray[np.int64]
    right: NDArray[np.float64]
    wrong: NDArray[np.float64]
    wanted: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Matches:
    """``precision`` (T, 101, classes) by pycocotools, −1 where a class is not there; matches."""

    precision: NDArray[np.float64]
    classes: tuple[ClassMatches, ...]


class AveragePrecision:
    """``map``: COCO's mean average precision; ``map50``: at an overlap of 0.5 only."""

    unit = "%"
    higher_is_better = True

    def __init__(self, name: str, ledger: BoxLedger, names: Sequence[str] = ()) -> None:
        coco_tools("cocoeval")  # known to be there before anything is run
        self.name = name
        self.count = 0
        self._ledger = ledger
        self._names = names
        self._overlaps = slice(0, 1) if name == "map50" else slice(None)

    @property
    def running(self) -> str:
        """The number of boxes: the figure itself is worked out at the end."""
        return f"{self._ledger.boxes} boxes"

    @property
    def value(self) -> float:
        """0 … 1; NaN where the samples hold nothing to find."""
        if not self.count:
            raise UsageError("No sample was evaluated.")
        precision = self._ledger.matches().precision[self._overlaps]
        return _mean_of_known(precision)

    @property
    def per_class(self) -> tuple[ClassFigure, ...]:
        """The average precision of each class that is there, and how many things are of it."""
        matches = self._ledger.matches()
        return tuple(
            ClassFigure(
                name=self._names[index] if index < len(self._names) else str(index),
                metric=self.name,
                value=_mean_of_known(matches.precision[self._overlaps, :, index]),
                count=int(entry.wanted.sum()),
            )
            for index, entry in enumerate(matches.classes)
            if entry.wanted.any()
        )

    @property
    def found(self) -> Sequence[Detections]:
        """Sample by sample, the model's boxes."""
        return self._ledger.found

    @property
    def draws(self) -> int:
        """How many resamplings are worth their time; 0 where too many boxes were found."""
        draws = min(_DRAWS, _WORK // max(self._ledger.boxes, 1))
        return draws if draws >= _FEWEST_DRAWS else 0

    def resampled(self, weights: NDArray[np.int64]) -> float:
        """The figure with each sample counted so many times."""
        classes = self._ledger.matches().classes
        precisions = [_weighted_precision(entry, weights, self._overlaps) for entry in classes]
        known = [value for value in precisions if value is not None]
        return float(np.mean(known)) if known else float("nan")

    def update(self, answer: Answer, target: Target) -> None:
        """Take in one sample."""
        if len(self._ledger.found) == self.count:
            self._ledger.add(answer, target)
        self.count += 1


def _weighted_precision(
    entry: ClassMatches, weights: NDArray[np.int64], overlaps: slice
) -> float | None:
    """The mean over overlaps and recalls; None where nothing of the class is to be found."""
    wanted = float(entry.wanted @ weights)
    if wanted == 0:
        return None
    each = weights[entry.samples]
    right = np.cumsum(entry.right[overlaps] * each, axis=1)
    wrong = np.cumsum(entry.wrong[overlaps] * each, axis=1)
    precision = right / (right + wrong + np.spacing(1))
    # What a higher recall reaches, a lower one reaches as well.
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    total = 0.0
    for row, recall in zip(best, right / wanted, strict=True):
        places = np.searchsorted(recall, _RECALLS, side="left")
        total += float(row[places[places < len(row)]].sum())
    return total / (len(best) * len(_RECALLS))


def _matched(found: Sequence[Detections], true: Sequence[TrueBoxes], classes: int) -> Matches:
    tools, evaluator = coco_tools("coco"), coco_tools("cocoeval")
    with contextlib.redirect_stdout(io.StringIO()):  # it tells what it does
        truth, answers = tools.COCO(), tools.COCO()
        truth.dataset = _document(len(true), classes, _true_entries(true))
        answers.dataset = _document(len(found), classes, _found_entries(found))
        truth.createIndex()
        answers.createIndex()
        run = evaluator.COCOeval(truth, answers, "bbox")
        run.params.maxDets = [MOST_BOXES]
        run.params.areaRng, run.params.areaRngLbl = [[0.0, 1e10]], ["all"]
        run.evaluate()
        run.accumulate()
    entries = [run.evalImgs[k * len(true) : (k + 1) * len(true)] for k in range(classes)]
    overlaps = len(run.params.iouThrs)
    return Matches(
        precision=run.eval["precision"][:, :, :, 0, 0],
        classes=tuple(_class_matches(entry, overlaps) for entry in entries),
    )


def _class_matches(entries: Sequence[dict[str, Any] | None], overlaps: int) -> ClassMatches:
    """What pycocotools matched of one class, all samples together, best boxes first."""
    there = [(index, entry) for index, entry in enumerate(entries) if entry is not None]
    wanted = np.zeros(len(entries), dtype=np.int64)
    for index, entry in there:
        wanted[index] = int((np.asarray(entry["gtIgnore"]) == 0).sum())
    scores = np.concatenate([np.zeros(0), *(entry["dtScores"] for _, entry in there)])
    order = np.argsort(-scores, kind="mergesort")
    empty = np.zeros((overlaps, 0))
    matched = np.concatenate([empty, *(entry["dtMatches"] for _, entry in there)], axis=1) > 0
    ignored = np.concatenate([empty, *(entry["dtIgnore"] for _, entry in there)], axis=1) > 0
    samples = [np.full(len(entry["dtScores"]), index) for index, entry in there]
    return ClassMatches(
        samples=np.concatenate([np.zeros(0, np.int64), *samples]).astype(np.int64)[order],
        right=(matched & ~ignored)[:, order].astype(np.float64),
        wrong=(~matched & ~ignored)[:, order].astype(np.float64),
        wanted=wanted,
    )


def _document(samples: int, classes: int, entries: list[dict[str, Any]]) -> dict[str, Any]:
    # From 1 on: pycocotools takes a thing with the number 0 for none.
    for number, entry in enumerate(entries, start=1):
        entry["id"] = number
    return {
        "images": [{"id": number} for number in range(samples)],
        "categories": [{"id": number, "name": str(number)} for number in range(classes)],
        "annotations": entries,
    }


def _true_entries(true: Sequence[TrueBoxes]) -> list[dict[str, Any]]:
    return [
        {
            "image_id": sample,
            "category_id": int(item.classes[index]),
            "bbox": _sides(item.boxes[index]),
            "area": float(item.areas[index]),
            "iscrowd": int(item.crowd[index]),
        }
        for sample, item in enumerate(true)
        for index in range(len(item.boxes))
    ]


def _found_entries(found: Sequence[Detections]) -> list[dict[str, Any]]:
    entries = []
    for sample, item in enumerate(found):
        for index in range(min(len(item), MOST_BOXES)):
            sides = _sides(item.boxes[index])
            entries.append(
                {
                    "image_id": sample,
                    "category_id": int(item.classes[index]),
                    "bbox": sides,
                    "area": sides[2] * sides[3],
                    "score": float(item.scores[index]),
                    "iscrowd": 0,
                }
            )
    return entries


def _sides(box: NDArray[Any]) -> list[float]:
    """x, y, width, height of x0, y0, x1, y1."""
    return [float(box[0]), float(box[1]), float(box[2] - box[0]), float(box[3] - box[1])]


def _mean_of_known(precision: NDArray[np.float64]) -> float:
    known = precision[precision > -1]
    return float(known.mean()) if known.size else float("nan")
