"""What several operators' references have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def deformed_convolution(
    input: Array,
    offset: Array,
    weight: Array,
    mask: Array | None,
    *,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    deform_groups: int,
) -> Array:
    """(images, outputs, height, width): each value of a window is read where its offset leads and
    counts by its mask; the windows meet the weights."""
    images, channels = input.shape[:2]
    outputs, _, kernel_h, kernel_w = weight.shape
    out_h, out_w = offset.shape[2:]
    top, left = padding[0], padding[len(padding) // 2]
    moves = offset.reshape(images, deform_groups, kernel_h * kernel_w, 2, out_h, out_w)
    masks = None
    if mask is not None:
        masks = mask.reshape(images, deform_groups, kernel_h * kernel_w, out_h, out_w)
    sums = np.zeros((images, outputs, out_h, out_w))
    kernels = weight.reshape(groups, outputs // groups, channels // groups, -1)
    for value in range(kernel_h * kernel_w):
        row = np.arange(out_h)[:, None] * stride[0] - top + value // kernel_w * dilation[0]
        column = np.arange(out_w) * stride[1] - left + value % kernel_w * dilation[1]
        read = np.empty((images, channels, out_h, out_w))
        for image in range(images):
            for channel in range(channels):
                group = channel // (channels // deform_groups)
                y, x = row + moves[image, group, value, 0], column + moves[image, group, value, 1]
                shown = _between(input[image, channel], y, x)
                share = 1.0 if masks is None else masks[image, group, value]
                read[image, channel] = shown * share
        parts = read.reshape(images, groups, channels // groups, out_h, out_w)
        products = np.einsum("goc,ngchw->ngohw", kernels[..., value], parts)
        sums += products.reshape(sums.shape)
    return sums


def _between(pixels: Array, y: Array, x: Array) -> Array:
    """Bilinear, with zeros beyond the image."""
    height, width = pixels.shape
    padded = np.pad(pixels.astype(np.float64), 1)
    y, x = np.clip(y + 1, 0, height + 1), np.clip(x + 1, 0, width + 1)
    top = np.minimum(y.astype(int), height)
    left = np.minimum(x.astype(int), width)
    down, right = y - top, x - left
    upper = (1 - right) * padded[top, left] + right * padded[top, left + 1]
    lower = (1 - right) * padded[top + 1, left] + right * padded[top + 1, left + 1]
    between: Array = (1 - down) * upper + down * lower
    return between
