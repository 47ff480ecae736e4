"""Matches of boxes: crowded and apart, of several images and classes, below the score."""

import numpy as np

from deployx_edge.workflows.operators.cases import Case, Fed


def _case(
    name: str,
    count: int,
    *,
    images: int = 1,
    classes: int = 1,
    spread: float = 10.0,
    iou: float = 0.4,
    score: float = 0.1,
) -> Case:
    random = np.random.default_rng(list(name.encode()))
    corners = random.uniform(0, spread, (images, count, 2))
    boxes = np.concatenate([corners, corners + random.uniform(1, 6, corners.shape)], axis=-1)
    scores = random.permutation(images * classes * count) / (images * classes * count)
    return Case(
        name=name,
        inputs=(
            Fed(values=boxes.astype(np.float32)),
            Fed(values=scores.reshape(images, classes, count).astype(np.float32)),
            np.asarray([iou], dtype=np.float32),
            np.asarray([score], dtype=np.float32),
        ),
        filled=(images * classes * count, 4),
    )


CASES = (
    _case("one-class", 23),
    _case("several", 15, images=2, classes=3, iou=0.2),
    _case("apart", 9, spread=900.0),
    _case("half-below", 18, iou=0.1, score=0.5),
    _case("all", 7, iou=0.0, score=-1.0),
    _case("one", 1),
)
