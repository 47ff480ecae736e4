"""What cases of operators that suppress boxes in batches have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployx_edge.workflows.operators.cases import Case, Fed

Array = NDArray[Any]
# Makes boxes (…, numbers of one) of two numbers from 0 to 1 for each place, two sizes, an angle.
MakeBoxes = Callable[[Array, Array, Array], Array]


def suppression_cases(operator: str, make_boxes: MakeBoxes) -> tuple[Case, ...]:
    """Thresholds, ties, how many come out; ``operator`` is another name that models have."""

    def case(name: str, count: int, **words: Any) -> Case:
        return suppression_case(name, count, make_boxes, **words)

    return (
        case("plain", 20, iou_threshold=0.3),
        case("classes", 9, images=2, classes=3, score_threshold=0.2),
        case("own-boxes", 9, classes=3, sets=3, iou_threshold=0.2, return_index=1),
        case("background", 15, classes=4, background_label_id=2),
        case("top", 20, classes=2, topk=9, keep_topk=12, iou_threshold=0.1),
        case("crowded", 36, iou_threshold=0.3, keep_topk=36),
        case("ties", 16, images=2, classes=2, ties=5, iou_threshold=0.4, keep_topk=60),
        case("clipped", 12, clip_boxes=1, is_normalized=1),
        case("none", 5, score_threshold=1.0),
        case("all", 13, iou_threshold=1.0, keep_topk=50),
        case("one", 1, keep_topk=1),
        case("two-outputs", 9, outputs=2),
        case("without-sets", 9, flat=True),
        case("their-name", 7, operator=operator),
    )


def suppression_case(
    name: str,
    count: int,
    make_boxes: MakeBoxes,
    *,
    images: int = 1,
    classes: int = 1,
    sets: int = 1,
    outputs: int = 3,
    flat: bool = False,
    ties: int = 0,
    operator: str = "",
    **attributes: float,
) -> Case:
    """One of them: ``count`` boxes an image in ``sets`` for all ``classes`` or for each.

    ``flat``: without the axis of sets. ``ties``: scores are multiples of so many parts of 1.
    """
    random = np.random.default_rng(list(name.encode()))
    places, sizes = (
        random.uniform(low, high, (images, count, sets, 2)) for low, high in ((0, 1), (0.05, 0.5))
    )
    angles = random.uniform(-4, 4, (images, count, sets, 1))
    boxes = make_boxes(places, sizes, angles).astype(np.float32)
    scores = random.permutation(images * count * classes) / (images * count * classes)
    scores = np.round(scores * ties) / ties if ties else scores
    return Case(
        name=name,
        inputs=(
            Fed(values=boxes[:, :, 0] if flat else boxes),
            Fed(values=scores.reshape(images, count, classes).astype(np.float32)),
        ),
        attributes={"num_classes": classes, "clip_boxes": 0, "keep_topk": 20, **attributes},
        operator=operator,
        outputs=outputs,
    )
