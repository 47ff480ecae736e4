"""The best turned boxes of each image that no better one of their class overlaps."""

from typing import Any

from numpy.typing import NDArray

from deployx_edge.workflows.operators.shared_references import suppressed, turned_share

Array = NDArray[Any]


def reference(boxes: Array, scores: Array, **attributes: Any) -> tuple[Array, Array, Array]:
    """Boxes with their scores, their labels and their numbers."""
    return suppressed(boxes, scores, turned_share, **attributes)
