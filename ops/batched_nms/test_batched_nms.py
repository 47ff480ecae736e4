"""Batched suppression of boxes: thresholds, ties, how many come out."""

import numpy as np

from deployx_edge.workflows.operators.cases import Case, Fed


def _case(
    name: str,
    count: int,
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
    random = np.random.default_rng(list(name.encode()))
    places = random.uniform(0, 1, (images, count, sets, 2))
    sizes = random.uniform(0.05, 0.5, (images, count, sets, 2))
    boxes = np.concatenate([places, places + sizes], axis=-1).astype(np.float32)
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


CASES = (
    _case("plain", 40, iou_threshold=0.3),
    _case("classes", 37, images=2, classes=3, score_threshold=0.2),
    _case("own-boxes", 21, classes=3, sets=3, iou_threshold=0.2, return_index=1),
    _case("background", 15, classes=4, background_label_id=2),
    _case("top", 70, classes=2, topk=9, keep_topk=12, iou_threshold=0.1),
    _case("crowded", 150, iou_threshold=0.6, keep_topk=150),
    _case("ties", 60, images=2, classes=2, ties=5, iou_threshold=0.4, keep_topk=60),
    _case("clipped", 12, clip_boxes=1, is_normalized=1),
    _case("none", 5, score_threshold=1.0),
    _case("all", 33, iou_threshold=1.0, keep_topk=50),
    _case("one", 1, keep_topk=1),
    _case("two-outputs", 9, outputs=2),
    _case("without-sets", 9, flat=True),
    _case("their-name", 7, operator="mmcv::TRTBatchedNMS"),
)
