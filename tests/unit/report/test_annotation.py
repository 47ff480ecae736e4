from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from deployx_edge.processing.findings import Finding, FoundArea, FoundBox, FoundText
from deployx_edge.processing.results import ClassScore
from deployx_edge.report.annotation import annotate, enlargement
from deployx_edge.report.drawing import colour_of


def boxed(*corners: float, index: int = 1, label: str = "cat", points=()) -> Finding:
    x0, y0, x1, y1 = corners
    box = FoundBox(index=index, label=label, score=0.5, x0=x0, y0=y0, x1=x1, y1=y1, points=points)
    return Finding(output="b", kind="detection", boxes=(box,))


def drawn(image: Image.Image, *findings: Finding) -> np.ndarray:
    before = image.tobytes()
    result = np.asarray(annotate(image, findings))
    assert image.tobytes() == before  # the image itself stays as it is
    return result


@pytest.mark.parametrize("size", [(8, 8), (100, 40), (255, 256), (1920, 1080), (64, 4000)])
def test_an_outline_lies_on_the_edges_of_its_box(size: tuple[int, int]) -> None:
    width, height = size
    x0, y0, x1, y1 = width * 0.25, height * 0.5, width * 0.75, height * 0.875
    image = Image.new("RGB", size, (20, 20, 20))
    pixels = drawn(image, boxed(x0, y0, x1, y1))
    factor = enlargement(width, height)
    assert pixels.shape == (height * factor, width * factor, 3)
    assert max(pixels.shape) >= 256
    hit = np.argwhere((pixels == colour_of(1)).all(axis=2))
    rows = hit[:, 0]
    assert rows.max() == int(np.ceil(y1 * factor)) - 1
    bottom = hit[rows == rows.max()][:, 1]
    assert (bottom.min(), bottom.max()) == (int(x0 * factor), int(np.ceil(x1 * factor)) - 1)
    # Inside of the box, away from its words, nothing is drawn.
    middle = pixels[int((y0 * 0.2 + y1 * 0.8) * factor), int((x0 + x1) / 2 * factor)]
    if min((x1 - x0) * factor, (y1 - y0) * factor) > 60:
        assert tuple(middle) == (20, 20, 20)


def test_words_grow_with_the_image_and_stay_on_it() -> None:
    heights = []
    for side in (256, 2048):
        image = Image.new("RGB", (side, side))
        pixels = drawn(image, boxed(side - 4, 0, side, 6, label="a long name of a class"))
        mask = (pixels == colour_of(1)).all(axis=2)
        assert mask[:, : side // 2].any() or mask[:, side // 2 :].any()
        heights.append(int(mask.any(axis=1).sum()))
    assert heights[1] > 2 * heights[0] >= 20


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "CMYK", "1", "F"])
def test_every_kind_of_image_is_drawn_on(mode: str) -> None:
    image = Image.new("L", (300, 300), 80).convert(mode)
    pixels = drawn(image, boxed(50, 50, 250, 250))
    assert tuple(pixels[150, 50]) == colour_of(1)


def test_masks_words_points_and_places_are_drawn() -> None:
    image = Image.new("RGB", (300, 300), (100, 100, 100))
    mask = np.zeros((300, 300), np.uint8)
    mask[200:] = 2
    mask[:, 290:] = 255
    pixels = drawn(
        image,
        Finding(output="m", kind="segmentation", mask=mask),
        boxed(100, 100, 140, 140, points=((120, 120, 0.9), (130, 105, 0.1))),
        Finding(output="a", kind="text-boxes", areas=(FoundArea(score=1, corners=SQUARE),)),
        Finding(output="t", kind="text", text=FoundText(text="Words", score=0.5)),
    )
    mixed = np.asarray(colour_of(2)) * 0.55 + 45
    assert pixels[250, 100] == pytest.approx(mixed, abs=1)
    assert tuple(pixels[180, 20]) == (100, 100, 100)
    assert pixels[100, 295] == pytest.approx(100 * 0.45 + 128 * 0.55, abs=1)
    assert tuple(pixels[120, 120]) == colour_of(1)
    assert tuple(pixels[110, 130]) == (100, 100, 100)  # a point that the model does not see
    assert tuple(pixels[160, 240]) == colour_of(0)
    assert pixels.shape[0] > 310  # what was read stands below
    assert (pixels[305:, :100] < 60).all(axis=2).any() and (pixels[305:, :2] == 255).all()


SQUARE = ((220.0, 160.0), (260.0, 160.0), (260.0, 190.0), (220.0, 190.0))


def test_only_classes_that_may_be_meant_are_named() -> None:
    def corner(*scores: float) -> int:
        classes = tuple(
            ClassScore(index=i, label=str(i), score=score) for i, score in enumerate(scores)
        )
        found = Finding(output="c", kind="classification", classes=classes)
        pixels = drawn(Image.new("RGB", (300, 300)), found)
        return int((pixels == 255).all(axis=2).any(axis=1).sum())

    assert corner(0.9, 0.05) > 1.8 * corner(0.9, 0.001)
