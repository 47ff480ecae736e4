"""Boxes by falling score, each kept unless it shares too much with one that was kept before."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def reference(boxes: Array, scores: Array, iou_threshold: float, score_threshold: float) -> Array:
    """Rows of image, class and box."""
    rows = []
    for image, of_image in enumerate(boxes.astype(np.float64)):
        for name, of_class in enumerate(scores[image]):
            kept: list[int] = []
            for box in np.argsort(-of_class, kind="stable"):
                shares = [_shared(of_image[box], of_image[other]) for other in kept]
                if of_class[box] > score_threshold and max(shares, default=0) <= iou_threshold:
                    kept.append(int(box))
            rows += [(image, name, box) for box in kept]
    return np.asarray(rows, dtype=np.int64).reshape(-1, 3)


def _shared(first: Array, second: Array) -> float:
    """The common area as a share of all; corners within the other, and where sides cross, are the
    corners of what is common."""
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
    return common / (first[2] * first[3] + second[2] * second[3] - common)


def _corners(box: Array) -> Array:
    half = box[2:4] / 2
    corners = np.asarray([-1 - 1j, 1 - 1j, 1 + 1j, -1 + 1j])
    corners = corners.real * half[0] + 1j * corners.imag * half[1]
    return box[0] + 1j * box[1] + corners * np.exp(1j * box[4])


def _within(points: Array, box: Array) -> Array:
    own = (points - box[0] - 1j * box[1]) * np.exp(-1j * box[4])
    return (abs(own.real) <= box[2] / 2 + 1e-9) & (abs(own.imag) <= box[3] / 2 + 1e-9)
