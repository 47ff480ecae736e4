"""Turned boxes: crowded and apart, of several images and classes, alike, within each other."""

import numpy as np

from deployx_edge.workflows.operators.cases import Case, Fed


def _case(
    name: str,
    count: int,
    *,
    images: int = 1,
    classes: int = 1,
    spread: float = 10.0,
    operator: str = "",
    **attributes: float,
) -> Case:
    random = np.random.default_rng(list(name.encode()))
    boxes = random.uniform(0, spread, (images, count, 5))
    boxes[..., 2:4] = random.uniform(1, 6, (images, count, 2))
    boxes[..., 4] = random.uniform(-4, 4, (images, count))
    scores = random.permutation(images * classes * count) / (images * classes * count)
    return Case(
        name=name,
        inputs=(
            Fed(values=boxes.astype(np.float32)),
            Fed(values=scores.reshape(images, classes, count).astype(np.float32)),
        ),
        attributes=attributes,
        operator=operator,
        filled=(images * classes * count, 3),
    )


# The same box turned by a quarter and swapped sides, one within another, one beside it, one apart.
_KNOWN = np.asarray(
    [
        [5, 5, 4, 2, 0],
        [5, 5, 2, 4, np.pi / 2],
        [5, 5, 2, 2, 0],
        [9, 5, 4, 2, 0],
        [5, 5, 4, 2, np.pi / 4],
        [90, 90, 1, 1, 1],
    ],
    dtype=np.float32,
)[None]
_SCORES = np.asarray([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], dtype=np.float32)[None, None]


CASES = (
    _case("defaults", 21),
    _case("half", 33, iou_threshold=0.5, score_threshold=0.3),
    _case("several", 17, images=2, classes=3, iou_threshold=0.3),
    _case("apart", 9, spread=500.0),
    _case("none", 5, score_threshold=1.0),
    _case("one", 1),
    _case("all", 12, iou_threshold=1.0, score_threshold=-1.0),
    Case(
        name="known",
        inputs=(Fed(values=_KNOWN), Fed(values=_SCORES)),
        attributes={"iou_threshold": 0.55},
        filled=(6, 3),
    ),
    _case("their-name", 7, operator="mmcv::NMSRotated"),
)
