"""``--report DIR``: a page with the samples that are worth looking at, drawn."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy

from deployx_edge.evaluation.data.datasets import Dataset
from deployx_edge.evaluation.results import Evaluation
from deployx_edge.evaluation.values import Target
from deployx_edge.report.drawing import embedded, fitted, with_boxes, with_mask
from deployx_edge.report.evaluation import evaluation_document
from deployx_edge.report.evaluation_page import ImageRow, evaluation_page
from deployx_edge.workflows.evaluate.predictions import SURE, Meaning, agreement, detections_of
from deployx_edge.workflows.evaluate.results import Place, Tally
from deployx_edge.workflows.staging import staged_folder

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

PAGE = "index.html"
_RESULTS = "evaluation.json"
_MOST_IMAGES = 24
_MOST_PLACES = 3  # side by side


def write_page(
    folder: Path,
    evaluation: Evaluation,
    data: Dataset,
    reference: Place | None,
    places: Sequence[Place],
) -> None:
    """``index.html`` and ``evaluation.json`` in a folder that appears whole.

    At most 24 samples are drawn: first those of which the first place says something else than
    the reference, least alike first, then those that it gets most wrong.
    """
    sides = [place for place in (reference, *places[:_MOST_PLACES]) if place is not None]
    rows = [
        row
        for index, reason in _worth_a_look(reference, places[0])
        if (row := _row(index, reason, data, sides)) is not None
    ]
    meaning = places[0].tally.meaning
    drawn = meaning.task in ("detection", "segmentation")
    page = evaluation_page(evaluation, rows, meaning.classes if drawn else ())
    with staged_folder(folder, PAGE) as made:
        (made / PAGE).write_text(page, encoding="utf-8")
        document = json.dumps(evaluation_document(evaluation), indent=1, default=list)
        (made / _RESULTS).write_text(document + "\n", encoding="utf-8")


def _worth_a_look(reference: Place | None, place: Place) -> list[tuple[int, str]]:
    """Indices of samples, each with the reason why it is shown; none where nothing can be drawn."""
    tally, task = place.tally, place.tally.meaning.task
    chosen: dict[int, str] = {}
    if task == "arrays":
        return []
    if reference is not None:
        shares = [
            agreement(task, tally.store.read(index), reference.tally.store.read(index))
            for index in range(tally.count)
        ]
        differing = sorted((i for i, s in enumerate(shares) if s < 1.0), key=shares.__getitem__)
        # Half of the page: of pixels every sample differs a little somewhere.
        for index in differing[: _MOST_IMAGES // 2]:
            chosen[index] = f"differs from the reference (agreement {shares[index]:.2%})"
    for index in numpy.argsort(tally.qualities, kind="stable").tolist():
        if len(chosen) >= _MOST_IMAGES:
            break
        right = tally.qualities[index]
        chosen.setdefault(index, "right" if right == 1.0 else f"{right:.2%} right")
    return list(chosen.items())


def _row(index: int, reason: str, data: Dataset, places: Sequence[Place]) -> ImageRow | None:
    shown = data.read_again(index)
    if shown.image is None:
        return None
    meaning = places[0].tally.meaning
    known = shown.target.boxes is not None or shown.target.mask is not None
    what = "truth" if known else "image"
    images = [(what, _true_image(meaning, shown.image, shown.target))]
    for place in places:
        caption = place.name + _words(place.tally, index)
        images.append((caption, _said_image(place.tally, index, shown.image)))
    if meaning.task == "classification":
        # One image is enough where nothing is drawn on it.
        told = [f"truth: {meaning.word(shown.target.label or 0)}", *(c for c, _ in images[1:])]
        images = [("; ".join(told), images[0][1])]
    return ImageRow(
        name=data.read_names[index],
        reason=reason,
        images=tuple((what, embedded(drawn)) for what, drawn in images),
    )


def _words(tally: Tally, index: int) -> str:
    if tally.meaning.task != "classification":
        return ""
    best = numpy.asarray(tally.store.read(index), dtype=numpy.float64)[0]
    return f": {tally.meaning.word(int(best[0]))} ({best[1]:.3g})"


def _true_image(meaning: Meaning, image: PilImage, target: Target) -> PilImage:
    if target.boxes is not None:
        classes = [int(index) for index in target.boxes.classes]
        words = [meaning.word(index) for index in classes]
        return with_boxes(image, target.boxes.boxes, classes, words)
    if target.mask is not None:
        return with_mask(image, target.mask)
    return fitted(image)


def _said_image(tally: Tally, index: int, image: PilImage) -> PilImage:
    if tally.meaning.task == "detection":
        found = detections_of(tally.store.read(index)).above(SURE)
        words = [
            f"{tally.meaning.word(int(word))} {score:.2f}"
            for word, score in zip(found.classes, found.scores, strict=True)
        ]
        return with_boxes(image, found.boxes, [int(word) for word in found.classes], words)
    if tally.meaning.task == "segmentation":
        mask = numpy.asarray(tally.store.read(index), dtype=numpy.uint8)
        return with_mask(image, mask)
    return fitted(image)
