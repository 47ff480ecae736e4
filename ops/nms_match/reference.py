"""Boxes by falling score; each that is left takes out those that share enough with it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def reference(boxes: Array, scores: Array, iou_threshold: Array, score_threshold: Array) -> Array:
    """Rows of image, class, kept box, and box that it took out."""
    rows = []
    for image, of_image in enumerate(boxes.astype(np.float64)):
        for name, of_class in enumerate(scores[image]):
            left = np.argsort(-of_class, kind="stable")
            while left.size:
                kept, others = left[0], left[1:]
                shares = _shared(of_image[kept], of_image[others])
                taken = others[shares >= iou_threshold.item()]
                if of_class[kept] > score_threshold.item():
                    rows += [(image, name, kept, other) for other in taken]
                left = others[shares < iou_threshold.item()]
    return np.asarray(rows, dtype=np.int64).reshape(-1, 4)


def _shared(box: Array, others: Array) -> Array:
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[2:], others[:, 2:])
    common = np.clip(high - low, 0, None).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    return np.asarray(common / (areas - common + 1e-10))
