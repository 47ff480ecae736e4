"""The page of an evaluation, and what is drawn on its images."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from deployx_edge.evaluation.metrics.wilson import Interval
from deployx_edge.evaluation.results import (
    Accuracy,
    Changed,
    ClassFigure,
    Confusion,
    Difference,
    Evaluation,
    Figure,
)
from deployx_edge.evaluation.values import Skipped
from deployx_edge.report.drawing import (
    colour_of,
    embedded,
    fitted,
    shown_size,
    with_boxes,
    with_mask,
)
from deployx_edge.report.evaluation_page import ImageRow, evaluation_page

WICKED = '<script>alert("x")</script>'


def accuracy(place: str, **words: object) -> Accuracy:
    figure = Figure(
        metric="top1",
        unit="%",
        higher_is_better=True,
        value=0.875,
        interval=Interval(value=0.875, low=0.5, high=0.9),
    )
    given = {"precision": "fp16", "figures": (figure,), "samples_per_second": 12.5, **words}
    return Accuracy(place=place, **given)  # type: ignore[arg-type]


def evaluation(classes: int = 3) -> Evaluation:
    names = [WICKED, *(f"c{index}" for index in range(1, classes))]
    board = accuracy(
        "local:",
        differences=(
            Difference(metric="top1", value=-0.125, interval=Interval(value=0, low=-0.2, high=0)),
        ),
        agreement=0.5,
        changed=(Changed(name=WICKED, truth="a", reference="a", found="b"),),
        per_class=tuple(
            ClassFigure(name=name, metric="top1", value=0.5, count=2) for name in names
        ),
        confusion=(
            Confusion(truth=names[0], found=names[0], count=7),
            Confusion(truth=names[0], found=names[1], count=3),
            *(Confusion(truth=name, found=name, count=1) for name in names[1:]),
        ),
    )
    return Evaluation(
        model=WICKED,
        bundle_sha256="a" * 64,
        dataset="data",
        kind="folder",
        dataset_sha256="b" * 64,
        samples=8,
        skipped=(Skipped(name=WICKED, reason="broken"),),
        notes=("A note.",),
        reference=accuracy("reference"),
        places=(board,),
    )


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.names.append(tag)


def test_the_page_says_what_was_found_and_runs_nothing() -> None:
    image = embedded(Image.new("RGB", (4, 4)))
    row = ImageRow(name=WICKED, reason=WICKED, images=((WICKED, image),))
    page = evaluation_page(evaluation(), [row], ["a", WICKED])
    tags = _Tags()
    tags.feed(page)
    assert "script" not in tags.names
    assert tags.names.count("img") == 1
    assert not re.findall(r'(?:src|href)="(?!data:image/png;base64,)', page)
    assert "@import" not in page
    for words in ("87.50%", "50.00% … 90.00%", "-12.50%", "-20.00% … 0.00%", "12.5", "A note."):
        assert words in page
    assert page.count("<rect") == 1 + 4  # the frame and the pairs
    assert "3 (30.00%)" in page


def test_many_classes_are_not_drawn_as_a_matrix() -> None:
    assert "41 classes are too many to draw" in evaluation_page(evaluation(41), [])


@pytest.mark.parametrize(
    ("size", "shown"), [((96, 48), (180, 90)), ((720, 360), (360, 180)), ((200, 100), (200, 100))]
)
def test_images_are_shown_in_a_size_to_look_at(
    size: tuple[int, int], shown: tuple[int, int]
) -> None:
    assert shown_size(*size) == shown
    assert fitted(Image.new("L", size)).size == shown


def test_boxes_are_drawn_where_they_are() -> None:
    ground = Image.new("RGB", (200, 200))
    boxes = np.asarray([[20.0, 60.0, 120.0, 160.0], [30.0, 30.0, 30.0, 20.0]])
    drawn = np.asarray(with_boxes(ground, boxes, [4, 5], ["dog 0.90", "nothing"]))
    assert tuple(drawn[160, 100]) == colour_of(4)
    assert tuple(drawn[100, 20]) == colour_of(4)
    assert tuple(drawn[150, 60]) == (0, 0, 0)
    assert len({colour_of(index) for index in range(100)}) == 100


def test_masks_leave_the_ground_as_it_is() -> None:
    ground = Image.new("RGB", (200, 200), (10, 20, 30))
    mask = np.zeros((200, 200), np.uint8)
    mask[:50], mask[150:] = 2, 255
    drawn = np.asarray(with_mask(ground, mask)).astype(int)
    assert tuple(drawn[100, 100]) == (10, 20, 30)
    wanted = 0.3 * np.asarray((10, 20, 30)) + 0.7 * np.asarray(colour_of(2))
    assert np.abs(drawn[10, 10] - wanted).max() <= 1
    assert drawn[180, 10].min() > 180
