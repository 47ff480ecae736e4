"""Files that an evaluation leaves: raw outputs, and predictions as evaluation servers take them."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy

from deployx_edge.errors import UsageError
from deployx_edge.evaluation.data.datasets import Dataset
from deployx_edge.processing.preprocessing import write_content
from deployx_edge.workflows.evaluate.predictions import (
    Arrays,
    Meaning,
    PredictionStore,
    detections_of,
)
from deployx_edge.workflows.staging import write_whole

FORMATS = ("coco-results", "csv")
# In every folder of saved outputs: which file is of which sample.
OUTPUT_LIST = "samples.csv"
_DIGITS = 6


class OutputSaver:
    """Raw outputs, one ``.npz`` a sample, in a folder that is renamed into place at the end."""

    def __init__(self, folder: Path, place: str) -> None:
        self._folder = folder / folder_name(place)
        number = 1
        while self._folder.exists():  # the same device twice, or two that differ in signs only
            number += 1
            self._folder = folder / f"{folder_name(place)}-{number}"
        self._folder.mkdir()
        self._names: list[str] = []

    def save(self, name: str, outputs: Arrays) -> None:
        """Keep the next sample's outputs."""
        path = self._folder / f"{len(self._names):0{_DIGITS}}.npz"
        write_content(path, outputs, compressed=True)
        self._names.append(name)

    def discard(self) -> None:
        """Take back what was saved."""
        shutil.rmtree(self._folder)

    def finish(self) -> None:
        """Write the list of samples."""
        rows = [(f"{index:0{_DIGITS}}.npz", name) for index, name in enumerate(self._names)]
        (self._folder / OUTPUT_LIST).write_text(_csv(("file", "sample"), rows), encoding="utf-8")


def folder_name(place: str) -> str:
    """A place's name with nothing in it that a folder's must not have."""
    return re.sub(r"[^A-Za-z0-9.=_-]+", "-", place).strip("-") or "place"


def check_format(form: str, meaning: Meaning, data: Dataset) -> None:
    """UsageError where the predictions cannot be written in that form."""
    if form not in FORMATS:
        raise UsageError(f"--format is {' or '.join(FORMATS)}, not '{form}'.")
    if form == "coco-results" and (meaning.task != "detection" or data.kind != "coco"):
        raise UsageError(
            "--format coco-results is for boxes on a data set of COCO's form; this is a "
            f"{meaning.task} on {data.kind}.",
            remedy="Take --format csv.",
        )
    if meaning.task not in ("classification", "detection"):
        raise UsageError(
            f"--format {form} holds classes or boxes; this is a {meaning.task}.",
            remedy="Keep the raw outputs: --save-outputs DIR.",
        )


def write_predictions(
    path: Path, form: str, meaning: Meaning, data: Dataset, store: PredictionStore
) -> None:
    """What a place says of every sample, as one file that appears whole.

    ``coco-results``: a list of image_id, category_id, bbox (x, y, width, height), score, of all
    boxes that average precision is of. ``csv``: a line a sample (file, class, label, score), or a
    line a box that the post-processing keeps (and x0, y0, x1, y1).
    """
    make: Callable[[Meaning, Dataset, PredictionStore], str]
    if form == "coco-results":
        make = _coco_results
    else:
        make = _box_lines if meaning.task == "detection" else _class_lines
    write_whole(path, make(meaning, data, store))


def _coco_results(meaning: Meaning, data: Dataset, store: PredictionStore) -> str:
    numbers = data.coco
    assert numbers is not None  # as check_format made sure
    entries = []
    for index in range(len(store)):
        found = detections_of(store.read_candidates(index))
        for box, score, word in zip(found.boxes, found.scores, found.classes, strict=True):
            entries.append(
                {
                    "image_id": numbers.images[index],
                    "category_id": numbers.categories[int(word)],
                    "bbox": [
                        round(float(value), 3)
                        for value in (box[0], box[1], box[2] - box[0], box[3] - box[1])
                    ],
                    "score": round(float(score), 6),
                }
            )
    return json.dumps(entries) + "\n"


def _class_lines(meaning: Meaning, data: Dataset, store: PredictionStore) -> str:
    rows = []
    for index, name in enumerate(data.read_names):
        best = numpy.asarray(store.read(index), dtype=numpy.float64)[0]
        rows.append((name, int(best[0]), meaning.word(int(best[0])), f"{best[1]:.6g}"))
    return _csv(("file", "class", "label", "score"), rows)


def _box_lines(meaning: Meaning, data: Dataset, store: PredictionStore) -> str:
    rows = []
    for index, name in enumerate(data.read_names):
        found = detections_of(store.read(index))
        for box, score, word in zip(found.boxes, found.scores, found.classes, strict=True):
            corners = (f"{value:.2f}" for value in box)
            rows.append((name, int(word), meaning.word(int(word)), f"{score:.6g}", *corners))
    return _csv(("file", "class", "label", "score", "x0", "y0", "x1", "y1"), rows)


def _csv(header: tuple[str, ...], rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
