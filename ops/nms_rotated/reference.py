"""Boxes by falling score, each kept unless it shares too much with one that was kept before."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployx_edge.workflows.operators.shared_references import turned_share

Array = NDArray[Any]


def reference(boxes: Array, scores: Array, iou_threshold: float, score_threshold: float) -> Array:
    """Rows of image, class and box."""
    rows = []
    for image, of_image in enumerate(boxes.astype(np.float64)):
        for name, of_class in enumerate(scores[image]):
            kept: list[int] = []
            for box in np.argsort(-of_class, kind="stable"):
                shares = [turned_share(of_image[box], of_image[other]) for other in kept]
                if of_class[box] > score_threshold and max(shares, default=0) <= iou_threshold:
                    kept.append(int(box))
            rows += [(image, name, box) for box in kept]
    return np.asarray(rows, dtype=np.int64).reshape(-1, 3)
