"""The best boxes seen from above of each image that no better one of their class overlaps."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployx_edge.workflows.operators.shared_references import suppressed, turned_share

Array = NDArray[Any]


def reference(boxes: Array, scores: Array, **attributes: Any) -> tuple[Array, Array, Array]:
    """Boxes with their scores, their labels and their numbers."""
    return suppressed(boxes, scores, _share, **attributes)


def _share(first: Array, second: Array) -> float:
    """Of boxes that are their corners before they are turned, and an angle."""
    return turned_share(_centred(first), _centred(second))


def _centred(box: Array) -> Array:
    low, high = box[:2], box[2:4]
    return np.concatenate([(low + high) / 2, high - low, box[4:]])
