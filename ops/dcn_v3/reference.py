"""Windows of each group of channels read where their offsets lead, and count by their masks."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def reference(input: Array, offset: Array, mask: Array, **attributes: Any) -> Array:
    """(images, height, width, channels); ``im2col_step`` changes nothing."""
    a = attributes
    images, channels = len(input), input.shape[3]
    _, out_h, out_w, _ = offset.shape
    window = a["kernel_h"] * a["kernel_w"]
    moves = offset.reshape(images, out_h, out_w, a["group"], window, 2)
    shares = mask.reshape(images, out_h, out_w, a["group"], window)
    result = np.zeros((images, out_h, out_w, channels))
    reach = [a[f"dilation_{axis}"] * (a[f"kernel_{axis}"] - 1) // 2 for axis in "hw"]
    rows = np.arange(out_h)[:, None] * a["stride_h"] - a["pad_h"] + reach[0]
    columns = np.arange(out_w) * a["stride_w"] - a["pad_w"] + reach[1]
    for image in range(images):
        for channel in range(channels):
            group = channel // a["group_channels"]
            for value in range(window):
                # Counted column by column, from the middle of the window.
                w = value // a["kernel_h"] * a["dilation_w"] - reach[1]
                h = value % a["kernel_h"] * a["dilation_h"] - reach[0]
                x = columns + (w + moves[image, :, :, group, value, 0]) * a["offset_scale"]
                y = rows + (h + moves[image, :, :, group, value, 1]) * a["offset_scale"]
                read = _between(input[image, :, :, channel], y, x)
                result[image, :, :, channel] += read * shares[image, :, :, group, value]
    return result


def _between(pixels: Array, y: Array, x: Array) -> Array:
    """Bilinear, with zeros beyond the image."""
    height, width = pixels.shape
    padded = np.pad(pixels.astype(np.float64), 1)
    y, x = np.clip(y + 1, 0, height + 1), np.clip(x + 1, 0, width + 1)
    top, left = np.minimum(y.astype(int), height), np.minimum(x.astype(int), width)
    down, right = y - top, x - left
    upper = (1 - right) * padded[top, left] + right * padded[top, left + 1]
    lower = (1 - right) * padded[top + 1, left] + right * padded[top + 1, left + 1]
    between: Array = (1 - down) * upper + down * lower
    return between
