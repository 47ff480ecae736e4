"""What several operators' references have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


def upright_share(first: Array, second: Array) -> float:
    """The common area of two boxes (left, top, right, bottom) as a share of all."""
    width, height = np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return float(width * height / (sum(areas) - width * height))


def suppressed(
    boxes: Array,
    scores: Array,
    share: Callable[[Array, Array], float],
    *,
    background_label_id: int,
    topk: int,
    keep_topk: int,
    score_threshold: float,
    iou_threshold: float,
    clip_boxes: int,
    **unused: int,
) -> tuple[Array, Array, Array]:
    """The best ``keep_topk`` boxes of each image with their scores, labels and numbers, -1 where
    there are fewer: in each class those that share no more than the threshold with a better one."""
    images, count, classes = len(scores), scores.shape[1], scores.shape[-1]
    scores = scores.reshape(images, count, classes)
    boxes = boxes.reshape(images, count, -1, boxes.shape[-1])
    sets = boxes.shape[2]
    found = np.zeros((images, keep_topk, boxes.shape[-1] + 1), dtype=np.float32)
    labels = np.full((images, keep_topk), -1, dtype=np.int32)
    places = np.full((images, keep_topk), -1, dtype=np.int32)
    for image in range(images):
        kept: list[tuple[float, int, int]] = []
        for label in set(range(classes)) - {background_label_id}:
            of_class = scores[image, :, label]
            order = [int(i) for i in np.argsort(-of_class, kind="stable")]
            order = [i for i in order if of_class[i] > score_threshold][
                : topk if topk > 0 else None
            ]
            own = boxes[image, :, label % sets].astype(np.float64)
            chosen: list[int] = []
            for box in order:
                if all(share(own[box], own[better]) <= iou_threshold for better in chosen):
                    chosen.append(box)
            kept += [(float(of_class[box]), label, box) for box in chosen]
        kept.sort(key=lambda each: (-each[0], each[1]))
        for row, (score, label, box) in enumerate(kept[:keep_topk]):
            values = boxes[image, box, label % sets]
            found[image, row, :-1] = np.clip(values, 0, 1) if clip_boxes else values
            found[image, row, -1] = score
            labels[image, row] = label
            places[image, row] = box if sets == 1 else label * count + box
    return found, labels, places


def turned_share(first: Array, second: Array) -> float:
    """The common area of two boxes (centre, width, height, angle) as a share of all.

    Corners within the other, and where sides cross, are the corners of what is common.
    """
    one, two = _corners(first), _corners(second)
    points = [*one[_within(one, second)], *two[_within(two, first)]]
    for begin, end in zip(one, np.roll(one, -1), strict=True):
        for other_begin, other_end in zip(two, np.roll(two, -1), strict=True):
            side, other = end - begin, other_end - other_begin
            cross = (side.conjugate() * other).imag
            if abs(cross) < 1e-12 * abs(side) * abs(other):
                continue
            gap = other_begin - begin
            places = ((gap.conjugate() * other).imag / cross, (gap.conjugate() * side).imag / cross)
            if all(0 <= place <= 1 for place in places):
                points.append(begin + places[0] * side)
    common = 0.0
    if len(points) > 2:
        around = np.asarray(points) - np.mean(points)
        around = around[np.argsort(np.angle(around))]
        common = float((around.conjugate() * np.roll(around, -1)).imag.sum() / 2)
    return float(common / (first[2] * first[3] + second[2] * second[3] - common))


def _corners(box: Array) -> Array:
    half = box[2:4] / 2
    corners = np.asarray([-1 - 1j, 1 - 1j, 1 + 1j, -1 + 1j])
    corners = corners.real * half[0] + 1j * corners.imag * half[1]
    placed: Array = box[0] + 1j * box[1] + corners * np.exp(1j * box[4])
    return placed


def _within(points: Array, box: Array) -> Array:
    own = (points - box[0] - 1j * box[1]) * np.exp(-1j * box[4])
    within: Array = (abs(own.real) <= box[2] / 2 + 1e-9) & (abs(own.imag) <= box[3] / 2 + 1e-9)
    return within
