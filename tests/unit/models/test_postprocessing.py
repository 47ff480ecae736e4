from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployx_edge.errors import UsageError
from deployx_edge.model import BoxDecoding, PostProcessing
from deployx_edge.processing.geometry import IGNORED, Geometry
from deployx_edge.processing.postprocessing import (
    class_map,
    classify,
    detect,
    overlaps,
    ssd_boxes,
    suppress,
)
from deployx_edge.processing.steps import parse_postprocessing, step_text
from tests.unit.models.bundles import spec

SAME = Geometry(width=100, height=80, input_width=100, input_height=80)


def meaning(text: str, **arrays: np.ndarray) -> PostProcessing:
    specs = [spec(name, array.shape, runtime_name=name) for name, array in arrays.items()]
    return parse_postprocessing(text, specs)


def found(text: str, geometry: Geometry = SAME, **arrays: np.ndarray) -> list[tuple[float, ...]]:
    """Each box as (x0, y0, x1, y1, score, class)."""
    boxes = detect(meaning(text, **arrays), arrays, geometry)
    rows = np.column_stack([boxes.boxes, boxes.scores, boxes.classes])
    return [tuple(round(float(value), 6) for value in row) for row in rows]


def test_pairs_of_boxes_and_scores() -> None:
    boxes = np.asarray([[[10, 20, 30, 40], [50, 10, 90, 70], [0, 0, 5, 5]]], np.float32)
    scores = np.asarray([[[0.25, 0.5], [0.75, 0.0], [0.0, 0.005]]], np.float32)
    assert found("detection", b=boxes, s=scores) == [
        (50, 10, 90, 70, 0.75, 0),
        (10, 20, 30, 40, 0.5, 1),
        (10, 20, 30, 40, 0.25, 0),
    ]
    assert len(found("detection,score=0.3", b=boxes, s=scores)) == 2
    assert len(found("detection,most=1", b=boxes, s=scores)) == 1
    first = found("detection,background=first", b=boxes, s=scores)
    assert first == [(10, 20, 30, 40, 0.5, 0)]
    last = found("detection,background=last", b=boxes, s=scores)
    assert [row[4:] for row in last] == [(0.75, 0), (0.25, 0)]


def test_middles_relative_sides_and_activations() -> None:
    boxes = np.asarray([[[0.5, 0.5, 0.2, 0.5]]], np.float32)
    scores = np.asarray([[[0.0, np.log(3.0)]]], np.float32)
    text = "detection,corners=cxcywh,relative,boxes=b,scores=s,activation="
    assert found(text + "sigmoid", b=boxes, s=scores) == [
        (40, 20, 60, 60, 0.75, 1),
        (40, 20, 60, 60, 0.5, 0),
    ]
    assert [row[4] for row in found(text + "softmax", b=boxes, s=scores)] == [0.75, 0.25]


def test_yolo_with_and_without_objectness() -> None:
    """One box of class 1; the output of v8 is its numbers by boxes, that of v5 the reverse."""
    eight = np.zeros((1, 6, 20), np.float32)
    eight[0, :, 3] = [50, 40, 20, 10, 0.1, 0.8]
    wanted = [(40, 35, 60, 45, 0.8, 1), (40, 35, 60, 45, 0.1, 0)]
    assert found("detection,format=yolo,labels=a|b", o=eight) == wanted
    five = np.zeros((1, 20, 7), np.float32)
    five[0, 3] = [50, 40, 20, 10, 0.5, 0.2, 1.0]
    wanted = [(40, 35, 60, 45, 0.5, 1), (40, 35, 60, 45, 0.1, 0)]
    assert found("detection,format=yolo-objectness", o=five) == wanted


def test_ssd_by_its_formula() -> None:
    """Of a prior at (0.5, 0.5) of 0.2 x 0.4, with variances of 0.1 and 0.2."""
    priors = np.asarray([[0.4, 0.3, 0.6, 0.7]])
    offsets = np.asarray([[1.0, -1.0, np.log(2.0) / 0.2, 0.0]])
    box = ssd_boxes(offsets, priors, (0.1, 0.1, 0.2, 0.2))[0]
    assert box == pytest.approx([0.52 - 0.2, 0.46 - 0.2, 0.52 + 0.2, 0.46 + 0.2])
    scores = np.asarray([[[0.1, 0.9]]])
    text = "detection,format=ssd,relative,boxes=o,scores=s,priors=p"
    rows = found(text, o=offsets[None], s=scores, p=priors[None])
    assert rows == [(32, 20.8, 72, 52.8, 0.9, 0)]


def test_rows_are_suppressed_already() -> None:
    rows = np.zeros((1, 4, 6), np.float32)
    rows[0, 0] = rows[0, 1] = [10, 10, 20, 20, 0.9, 2]
    rows[0, 2] = [10, 10, np.nan, 20, 0.9, 2]
    assert found("detection,format=rows", o=rows) == [(10, 10, 20, 20, 0.9, 2)] * 2


def test_boxes_are_put_back_onto_the_image_and_cut_to_it() -> None:
    """A letterbox of an image of 200 x 100 in 100 x 100: half its size, 25 pixels down."""
    geometry = Geometry(
        width=200,
        height=100,
        input_width=100,
        input_height=100,
        scale_x=0.5,
        scale_y=0.5,
        offset_y=25,
    )
    boxes = np.asarray([[[10, 30, 50, 99], [0, 0, 100, 20]]], np.float32)
    scores = np.ones((1, 2, 1), np.float32)
    assert found("detection", geometry, b=boxes, s=scores) == [(20, 10, 100, 100, 1, 0)]


def brute_suppression(
    boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, iou: float, most: int
) -> list[int]:
    kept: list[int] = []
    for index in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        clash = False
        for other in kept:
            low = [max(boxes[index][k], boxes[other][k]) for k in (0, 1)]
            high = [min(boxes[index][k], boxes[other][k]) for k in (2, 3)]
            shared = max(0.0, high[0] - low[0]) * max(0.0, high[1] - low[1])
            area = [
                (boxes[i][2] - boxes[i][0]) * (boxes[i][3] - boxes[i][1]) for i in (index, other)
            ]
            union = sum(area) - shared
            clash |= classes[index] == classes[other] and shared > iou * union
        if not clash and len(kept) < most:
            kept.append(index)
    return kept


@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(0, 40),
    classes=st.integers(1, 3),
    iou=st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0]),
    most=st.sampled_from([1, 5, 100]),
)
def test_suppression_is_the_plain_one(
    seed: int, count: int, classes: int, iou: float, most: int
) -> None:
    """Whole numbers for corners, so that moving classes apart rounds nothing."""
    generator = np.random.default_rng(seed)
    low = generator.integers(-20, 20, (count, 2))
    boxes = np.concatenate([low, low + generator.integers(0, 15, (count, 2))], 1).astype(float)
    scores = generator.integers(0, 8, count) / 8
    words = generator.integers(0, classes, count)
    kept = suppress(boxes, scores, words, iou, most)
    assert kept.tolist() == brute_suppression(boxes, scores, words, iou, most)


def test_overlaps_by_closed_form() -> None:
    boxes = np.asarray([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 20, 20]])
    wanted = [[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 0]]
    assert overlaps(boxes, boxes) == pytest.approx(np.asarray(wanted))


@pytest.mark.parametrize(("width", "height"), [(97, 61), (30, 200), (16, 12)])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_scores_may_be_interpolated_between_pixels(width: int, height: int, layout: str) -> None:
    """As torch's interpolate, which OpenCV's of floats is, before the largest is taken."""
    random = np.random.default_rng(0)
    scores = random.normal(0, 1, (1, 5, 12, 16)).astype(np.float32)
    stretched = Geometry(
        width=width,
        height=height,
        input_width=64,
        input_height=48,
        scale_x=64 / width,
        scale_y=48 / height,
    )
    resized = np.stack([cv2.resize(channel, (width, height)) for channel in scores[0]])
    wanted = resized.argmax(axis=0)
    best = np.sort(resized, axis=0)
    sure = best[-1] - best[-2] > 1e-3  # else rounding may decide
    given = scores if layout == "NCHW" else np.moveaxis(scores, 1, -1)
    text = f"segmentation,layout={layout},upsample=bilinear"
    assert parse_postprocessing(step_text(meaning(text, o=given)), [spec("o", given.shape)]) == (
        meaning(text, o=given)
    )
    found = class_map(meaning(text, o=given), {"o": given}, stretched)
    assert (found == wanted)[sure].all()
    assert sure.mean() > 0.9
    single = meaning("segmentation,threshold=0.1,upsample=bilinear", o=scores[:, :1])
    mask = class_map(single, {"o": scores[:, :1]}, stretched)
    sure = abs(resized[0] - 0.1) > 1e-3
    assert (mask == (resized[0] > 0.1))[sure].all()


def test_what_was_not_seen_has_no_class_between_scores_either() -> None:
    scores = np.zeros((1, 2, 4, 4), np.float32)
    scores[0, 1, :, 2:] = 1
    cut = Geometry(width=8, height=4, input_width=4, input_height=4, offset_x=-2.0)
    step = meaning("segmentation,upsample=bilinear", o=scores)
    assert class_map(step, {"o": scores}, cut)[0].tolist() == [
        *[IGNORED, IGNORED, 0, 0],
        *[1, 1, IGNORED, IGNORED],
    ]
    with pytest.raises(UsageError, match=r"upsample=bilinear .* 'o' holds classes"):
        meaning("segmentation,upsample=bilinear", o=np.zeros((1, 4, 4)))


def test_the_class_of_each_pixel() -> None:
    scores = np.zeros((1, 3, 2, 2), np.float32)
    scores[0, 1, 0, 1] = scores[0, 2, 1, 0] = 1
    small = Geometry(width=2, height=2, input_width=2, input_height=2)
    wanted = [[0, 1], [2, 0]]
    channels = meaning("segmentation,labels=a|b|c", o=scores)
    assert class_map(channels, {"o": scores}, small).tolist() == wanted
    last = np.moveaxis(scores, 1, 3)
    step = meaning("segmentation,layout=NHWC", o=last)
    assert class_map(step, {"o": last}, small).tolist() == wanted
    ready = np.asarray([wanted], np.float32)
    assert class_map(meaning("segmentation", o=ready), {"o": ready}, small).tolist() == wanted
    single = np.asarray([[[[0.2, 0.8], [0.5, 0.6]]]], np.float32)
    step = meaning("segmentation,threshold=0.5,labels=ground|thing", o=single)
    assert class_map(step, {"o": single}, small).tolist() == [[0, 1], [0, 1]]
    large = Geometry(width=4, height=6, input_width=2, input_height=2, scale_x=0.5, scale_y=0.5)
    assert class_map(channels, {"o": scores}, large).tolist() == [
        *[[0, 0, 1, 1]] * 2,
        *[[2, 2, 0, 0]] * 2,
        *[[IGNORED] * 4] * 2,
    ]


BOXES, SCORES = (
    spec("boxes", (1, 9, 4), runtime_name="o0"),
    spec("scores", (1, 9, 3), runtime_name="o1"),
)


def test_what_is_written_of_detections() -> None:
    text = "detection,labels=a|b,background=last,score=0.2,iou=0.6,most=7,activation=softmax"
    assert parse_postprocessing(text, [SCORES, BOXES]) == PostProcessing(
        output="boxes",
        kind="detection",
        labels=("a", "b"),
        boxes=BoxDecoding(
            scores="scores", background="last", score=0.2, iou=0.6, most=7, activation="softmax"
        ),
    )


@pytest.mark.parametrize(
    ("text", "outputs", "words"),
    [
        ("detection", [BOXES], "not say which output holds the scores; there are boxes 1x9x4"),
        (
            "detection,labels=a",
            [BOXES, SCORES],
            "names 1 labels; the output 'scores' is 1x9x3, whi",
        ),
        ("detection,boxes=scores", [BOXES, SCORES], "are no pairs: they need to be N x 4"),
        ("detection,format=yolo", [SCORES], "holds no boxes of the format yolo"),
        ("detection,format=rows,output=scores", [BOXES, SCORES], "no boxes of the format rows"),
        ("detection,format=best", [BOXES, SCORES], "format is pairs or yolo"),
        ("detection,softmax", [BOXES, SCORES], "does not know 'softmax'"),
        ("detection,treshold=1", [BOXES, SCORES], "does not know 'treshold'"),
        ("detection,scor=1", [BOXES, SCORES], "Did you mean score?"),
        ("detection,iou=1.5", [BOXES, SCORES], "iou=1.5 is not from 0 to 1"),
        ("segmentation,labels=a|b", [spec("o", (1, 3, 4, 4))], "names 2 labels"),
        ("segmentation", [spec("o", (1, 3))], "masks are N x classes x height x width"),
        ("detection,format=ssd", [BOXES, SCORES], "does not say which output holds the priors"),
    ],
)
def test_what_does_not_fit_the_outputs(text: str, outputs: list, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_postprocessing(text, outputs)


def test_outputs_that_are_not_what_was_said() -> None:
    step = parse_postprocessing("detection", [BOXES, SCORES])
    boxes, scores = np.zeros((1, 9, 4)), np.zeros((1, 8, 3))
    with pytest.raises(UsageError, match="are no pairs"):
        detect(step, {"boxes": boxes, "scores": scores}, SAME)
    with pytest.raises(UsageError, match="gave no output 'scores', only boxes"):
        detect(step, {"boxes": boxes}, SAME)
    mask = parse_postprocessing("segmentation", [spec("o", (1, 3, 4, 4))])
    with pytest.raises(UsageError, match="gave 2x3x4x4, not one sample as NCHW"):
        class_map(mask, {"o": np.zeros((2, 3, 4, 4))}, SAME)
    ready = parse_postprocessing("segmentation", [spec("o", (1, 4, 4))])
    with pytest.raises(UsageError, match="something else than classes 0 to 255"):
        class_map(ready, {"o": np.full((1, 4, 4), -1.0)}, SAME)


@pytest.mark.parametrize(
    ("text", "outputs"),
    [
        ("softmax,labels=a|b|c", [spec("y", (1, 3))]),
        ("output=y", [spec("y", (1, 3)), spec("z", (1, 3))]),
        ("detection,labels=a|b|c,score=0.25,relative,corners=cxcywh", [BOXES, SCORES]),
        ("detection,format=yolo,iou=0.7,most=300", [spec("o", (1, 84, 8400))]),
        ("segmentation,layout=NHWC,threshold=0.25", [spec("o", (1, 4, 4, 3))]),
        (
            "detection,format=ssd,boxes=boxes,scores=scores,priors=p,variances=1/1/2/2",
            [BOXES, SCORES, spec("p", (1, 9, 4))],
        ),
    ],
)
def test_a_step_written_is_the_step_read(text: str, outputs: list) -> None:
    step = parse_postprocessing(text, outputs)
    assert parse_postprocessing(step_text(step), outputs) == step


def test_post_processing_texts() -> None:
    scores = spec("scores", (1, 3), runtime_name="out0")
    assert parse_postprocessing("softmax,labels=a|b|c", [scores]) == PostProcessing(
        output="scores", softmax=True, labels=("a", "b", "c")
    )
    with pytest.raises(UsageError, match="names 2 labels; the output 'scores' is 1x3"):
        parse_postprocessing("labels=a|b", [scores])
    with pytest.raises(UsageError, match="does not know 'top'"):
        parse_postprocessing("top=3", [scores])


def test_scores_become_classes() -> None:
    step = PostProcessing(output="s", softmax=True, labels=("a", "b", "c"))
    best = classify(step, np.log(np.asarray([[0.2, 0.7, 0.1]])), count=2)
    assert [(c.index, c.label) for c in best] == [(1, "b"), (0, "a")]
    assert [c.score for c in best] == pytest.approx([0.7, 0.2])
    assert classify(PostProcessing(output="s"), np.asarray([1.0, 5.0]))[0].label == "1"
    assert classify(step, np.asarray([1e4, 0.0, 0.0]))[0].score == pytest.approx(1.0)
