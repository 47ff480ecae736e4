"""Each value of a window is read where its offset leads, and counts by its mask."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from deployx_edge.workflows.operators.shared_references import deformed_convolution

Array = NDArray[Any]


def reference(
    input: Array,
    offset: Array,
    mask: Array,
    weight: Array,
    bias: Array | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    deform_groups: int,
) -> Array:
    """(images, outputs, height, width)."""
    sums = deformed_convolution(
        input,
        offset,
        weight,
        mask,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        deform_groups=deform_groups,
    )
    return sums if bias is None else sums + bias[:, None, None]
