"""Places of text out of a map of probabilities."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest

from deployx_edge.errors import MissingToolError, UsageError
from deployx_edge.processing.geometry import Geometry
from deployx_edge.processing.postprocessing import interpret
from deployx_edge.processing.results import TextBoxes
from deployx_edge.processing.steps import parse_postprocessing, step_text
from tests.unit.models.bundles import spec

# An image of twice the input's size.
TWICE = Geometry(width=400, height=200, input_width=200, input_height=100, scale_x=0.5, scale_y=0.5)


def places(text: str, shown: np.ndarray, geometry: Geometry = TWICE) -> TextBoxes:
    specs = [spec("o", shown.shape, runtime_name="o")]
    step = parse_postprocessing(text, specs)
    assert parse_postprocessing(step_text(step), specs) == step
    found = interpret(step, {"o": shown}, geometry)
    assert isinstance(found, TextBoxes)
    return found


def drawn(*rectangles: tuple[int, int, int, int, float]) -> np.ndarray:
    """A map with rectangles of pixels: left, top, right, bottom (both within), probability."""
    shown = np.zeros((1, 1, 100, 200), np.float32)
    for left, top, right, bottom, value in rectangles:
        shown[0, 0, top : bottom + 1, left : right + 1] = value
    return shown


def test_a_rectangle_is_widened_by_its_area_over_its_circumference() -> None:
    # 60 by 20 between the middles of its outermost pixels: 1200 * 1.6 / 160 = 12 pixels.
    (box,) = places("text-boxes", drawn((40, 40, 100, 60, 0.75))).boxes
    assert box.score == pytest.approx(0.75)
    assert box.corners.tolist() == [[56, 56], [224, 56], [224, 144], [56, 144]]
    (box,) = places("text-boxes,unclip=0", drawn((40, 40, 100, 60, 0.75))).boxes
    assert box.corners.tolist() == [[80, 80], [200, 80], [200, 120], [80, 120]]
    (box,) = places("text-boxes,unclip=0,dilate", drawn((40, 40, 100, 60, 0.75))).boxes
    wanted = np.asarray([[78, 78], [200, 78], [200, 120], [78, 120]], np.float64)
    assert box.corners == pytest.approx(wanted, abs=0.001)


def test_what_is_unsure_or_small_is_no_text() -> None:
    shown = drawn((40, 40, 100, 60, 0.4), (10, 10, 12, 30, 1.0))
    assert not places("text-boxes", shown).boxes
    assert len(places("text-boxes,score=0.35", shown)) == 1
    assert not places("text-boxes,score=0.35,threshold=0.5", shown).boxes
    logits = np.where(shown == np.float32(0.4), 3.0, -9.0).astype(np.float32)
    (box,) = places("text-boxes,sigmoid", logits).boxes
    assert box.score == pytest.approx(1 / (1 + np.exp(-3)))


def test_places_come_in_the_order_of_reading_and_within_the_image() -> None:
    rectangles = ((120, 11, 180, 21, 0.9), (5, 13, 80, 23, 0.9), (0, 70, 199, 99, 0.9))
    found = places("text-boxes", drawn(*rectangles))
    assert [box.corners[0].tolist() for box in found.boxes] == [[0, 12], [226, 8], [0, 100]]
    assert found.boxes[2].corners.tolist() == [[0, 100], [400, 100], [400, 200], [0, 200]]
    assert len(places("text-boxes,most=2", drawn(*rectangles))) == 2


@pytest.mark.parametrize("shape", ["box", "polygon"])
def test_a_turned_rectangle_keeps_its_angle(shape: str) -> None:
    corners = cv2.boxPoints(((100, 50), (80, 20), 30))
    shown = np.zeros((1, 1, 100, 200), np.float32)
    cv2.fillPoly(shown[0, 0], [corners.astype(np.int32)], 1.0)
    (box,) = places(f"text-boxes,shape={shape},unclip=1", shown).boxes
    middle, sides, _ = cv2.minAreaRect((box.corners / 2).astype(np.float32))
    assert middle == pytest.approx((100, 50), abs=1.5)
    # 80 * 20 / 200 = 8 pixels more on each side.
    assert sorted(sides) == pytest.approx([36, 96], abs=3)
    assert (len(box.corners) == 4) == (shape == "box")


def test_an_arc_stays_an_arc_as_a_polygon() -> None:
    shown = np.zeros((1, 1, 100, 200), np.float32)
    cv2.ellipse(shown[0, 0], (100, 90), (70, 60), 0, 180, 360, 1.0, 9)
    (box,) = places("text-boxes,shape=polygon", shown).boxes
    filled = np.zeros((100, 200), np.uint8)
    cv2.fillPoly(filled, [np.rint(box.corners / 2).astype(np.int32)], 1)
    assert filled[30, 100] == 1
    assert filled[80, 100] == 0, "what the arc spans is no part of it"
    assert (filled[shown[0, 0] > 0] == 1).mean() > 0.99


def test_other_outputs_are_refused() -> None:
    with pytest.raises(UsageError, match="is 1x2x9x9; a map of probabilities is N x 1"):
        places("text-boxes", np.zeros((1, 2, 9, 9), np.float32))
    with pytest.raises(UsageError, match="have no labels"):
        places("text-boxes,labels=a", np.zeros((1, 1, 9, 9), np.float32))


def test_without_opencv_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingToolError, match="found with OpenCV, which is not installed") as told:
        places("text-boxes", drawn())
    assert "deployx-edge[opencv]" in (told.value.remedy or "")
