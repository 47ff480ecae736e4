"""Each value of a window is read where its offset leads; the windows meet the weights."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from deployx_edge.workflows.operators.shared_references import deformed_convolution

Array = NDArray[Any]


def reference(
    input: Array,
    offset: Array,
    weight: Array,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    deform_groups: int,
    bias: int,
    im2col_step: int,
) -> Array:
    """(images, outputs, height, width); ``im2col_step`` changes nothing, ``bias`` is 0."""
    return deformed_convolution(
        input,
        offset,
        weight,
        None,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        deform_groups=deform_groups,
    )
