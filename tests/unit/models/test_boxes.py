"""Formats of boxes beyond pairs and YOLO's, each against its family's published definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployx_edge.errors import UsageError
from deployx_edge.processing.geometry import Geometry
from deployx_edge.processing.postprocessing import detect
from deployx_edge.processing.results import Detections
from deployx_edge.processing.steps import parse_postprocessing, step_text
from tests.unit.models.bundles import spec

SIDE = 64
SAME = Geometry(width=SIDE, height=SIDE, input_width=SIDE, input_height=SIDE)
# An image of 200 x 100 in a letterbox of 64 x 64, in its middle.
HALF = Geometry(
    width=200,
    height=100,
    input_width=SIDE,
    input_height=SIDE,
    scale_x=0.32,
    scale_y=0.32,
    offset_y=16.0,
)


def boxes_of(text: str, geometry: Geometry = SAME, **arrays: np.ndarray) -> Detections:
    specs = [spec(name, array.shape, runtime_name=name) for name, array in arrays.items()]
    step = parse_postprocessing(text, specs)
    assert parse_postprocessing(step_text(step), specs) == step
    return detect(step, arrays, geometry)


@given(st.integers(0, 2**32 - 1))
def test_yolox_is_decoded_as_its_authors_do(seed: int) -> None:
    random = np.random.default_rng(seed)
    cells = sum((SIDE // stride) ** 2 for stride in (8, 16, 32))
    raw = random.normal(0, 1, (1, cells, 7))
    raw[..., 4:] = random.uniform(0, 1, (1, cells, 3))
    found = boxes_of("detection,format=yolox,score=0.5,iou=1,most=1000", o=raw)
    wanted = []
    at = 0
    for stride in (8, 16, 32):
        for row in range(SIDE // stride):
            for column in range(SIDE // stride):
                x, y, w, h, objectness, *classes = raw[0, at]
                at += 1
                middle = ((x + column) * stride, (y + row) * stride)
                half = (np.exp(w) * stride / 2, np.exp(h) * stride / 2)
                box = np.clip(
                    [
                        middle[0] - half[0],
                        middle[1] - half[1],
                        middle[0] + half[0],
                        middle[1] + half[1],
                    ],
                    0,
                    SIDE,
                )
                wanted += [
                    [*box, objectness * score, index]
                    for index, score in enumerate(classes)
                    if objectness * score >= 0.5 and box[2] > box[0] and box[3] > box[1]
                ]
    rows = np.column_stack([found.boxes, found.scores, found.classes])
    wanted.sort(key=lambda row: -row[4])
    assert rows == pytest.approx(np.asarray(wanted).reshape(-1, 6))


def test_grids_of_another_size_are_named() -> None:
    with pytest.raises(UsageError, match=r"gave 10 boxes; .* 8, 16, 32 on 64 x 64 .* 84 cells"):
        boxes_of("detection,format=yolox", o=np.zeros((1, 10, 7)))


@given(st.integers(0, 2**32 - 1))
def test_centres_are_decoded_as_centerface_does(seed: int) -> None:
    random = np.random.default_rng(seed)
    heat = random.uniform(0, 1, (1, 1, 16, 16))
    scale = random.normal(0, 1, (1, 2, 16, 16))
    offset = random.uniform(0, 1, (1, 2, 16, 16))
    marks = random.normal(0, 1, (1, 10, 16, 16))
    found = boxes_of(
        "detection,format=centres,output=h,sizes=s,offsets=o,landmarks=l,score=0.9,iou=1,most=999",
        h=heat,
        s=scale,
        o=offset,
        l=marks,
    )
    wanted, points = [], []
    for row, column in zip(*np.where(heat[0, 0] >= 0.9), strict=True):
        height, width = np.exp(scale[0, :, row, column]) * 4
        down, across = offset[0, :, row, column]
        left = np.clip((column + across + 0.5) * 4 - width / 2, 0, SIDE)
        top = np.clip((row + down + 0.5) * 4 - height / 2, 0, SIDE)
        right, bottom = min(left + width, SIDE), min(top + height, SIDE)
        if right <= left or bottom <= top:
            continue
        wanted.append([left, top, right, bottom, heat[0, 0, row, column]])
        places = marks[0, :, row, column].reshape(5, 2)
        points.append([[x * width + left, y * height + top, 1.0] for y, x in places])
    order = np.argsort([-row[4] for row in wanted], kind="stable")
    rows = np.column_stack([found.boxes, found.scores])
    assert rows == pytest.approx(np.asarray(wanted).reshape(-1, 5)[order])
    assert found.points == pytest.approx(np.asarray(points).reshape(-1, 5, 3)[order])


def test_key_points_lie_in_the_image() -> None:
    row = np.zeros((1, 4 + 2 + 6, 20))
    row[0, :, 3] = [32, 32, 16, 8, 0.1, 0.9, 32, 32, 0.75, 0, 16, 0.25]
    found = boxes_of("detection,format=yolo,points=2,score=0.5", HALF, o=row)
    assert found.boxes == pytest.approx(np.asarray([[75.0, 37.5, 125.0, 62.5]]))
    assert found.classes.tolist() == [1]
    assert found.points == pytest.approx(np.asarray([[[100, 50, 0.75], [0, 0, 0.25]]]))
    bare = np.delete(row, [8, 11], axis=1)
    found = boxes_of("detection,format=yolo,points=2,point-values=2,score=0.5", HALF, o=bare)
    assert found.points == pytest.approx(np.asarray([[[100, 50, 1], [0, 0, 1]]]))


def test_points_without_room_are_refused() -> None:
    with pytest.raises(UsageError, match="1x6x20 holds no boxes of the format yolo with 2 points"):
        boxes_of("detection,format=yolo,points=2", o=np.zeros((1, 6, 20)))
    with pytest.raises(UsageError, match="points in --postprocess needs format=yolo, not rows"):
        boxes_of("detection,format=rows,points=2", o=np.zeros((1, 20, 6)))


def test_lists_are_taken_as_they_are() -> None:
    boxes = np.asarray([[[0, 0, 10, 10], [1, 1, 11, 11], [5, 5, 9, 9]]], np.float32)
    scores = np.asarray([[0.9, 0.8, 0.2]], np.float32)
    classes = np.asarray([[1, 1, 0]], np.int64)
    text = "detection,format=lists,boxes=b,scores=s,classes=c,score=0.5"
    found = boxes_of(text, b=boxes, s=scores, c=classes)
    assert found.boxes.tolist() == boxes[0, :2].tolist()
    assert found.classes.tolist() == [1, 1]
    found = boxes_of(text + ",background=first", b=boxes, s=scores, c=classes)
    assert found.classes.tolist() == [0, 0]
    with pytest.raises(UsageError, match="which output holds the classes; there are b 1x3x4"):
        boxes_of("detection,format=lists,scores=s", b=boxes, s=scores, c=classes)


def test_one_class_a_box_and_suppression_across_classes() -> None:
    row = np.zeros((1, 6, 20))
    row[0, :, 0] = [30, 30, 20, 20, 0.8, 0.7]
    row[0, :, 1] = [31, 30, 20, 20, 0.1, 0.6]
    text = "detection,format=yolo,score=0.3,iou=0.5"
    assert boxes_of(text, o=row).classes.tolist() == [0, 1]
    assert boxes_of(text, o=row).scores.tolist() == [0.8, 0.7]
    assert boxes_of(text + ",best", o=row).scores.tolist() == [0.8, 0.6]
    assert boxes_of(text + ",best,agnostic", o=row).scores.tolist() == [0.8]


def test_boxes_may_be_cut_to_the_input_before_they_are_compared() -> None:
    """Beyond the edge they hardly overlap, within it they are the same."""
    boxes = np.asarray([[[-100, 0, 20, 20], [0, 0, 20, 20]]], np.float64)
    scores = np.asarray([[[0.9], [0.8]]])
    text = "detection,boxes=b,scores=s,iou=0.5"
    assert boxes_of(text, b=boxes, s=scores).scores.tolist() == [0.9, 0.8]
    cut = boxes_of(f"{text},clip", b=boxes, s=scores)
    assert (cut.scores.tolist(), cut.boxes.tolist()) == ([0.9], [[0, 0, 20, 20]])


def test_an_overlap_of_one_suppresses_nothing() -> None:
    row = np.zeros((1, 5, 20))
    row[0, :, :3] = np.asarray([[30.1, 30.3, 20.7, 20.9, 0.8]] * 3).T
    assert len(boxes_of("detection,format=yolo,score=0.3,iou=1", o=row)) == 3
    assert len(boxes_of("detection,format=yolo,score=0.3,iou=0.99", o=row)) == 1
