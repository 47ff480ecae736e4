"""Suppression with a fixed number of rows: both kinds of boxes, images and classes, thresholds."""

import numpy as np

from deployx_edge.workflows.operators.cases import Case, Fed

_RANDOM = np.random.default_rng(40)


def _boxes(images: int, count: int, *, is_centered: bool = False) -> Fed:
    centers = _RANDOM.uniform(0, 12, (images, count, 2))
    sizes = _RANDOM.uniform(0.5, 6, (images, count, 2))
    if is_centered:
        return Fed(values=np.concatenate([centers, sizes], axis=-1).astype(np.float32))
    # Two opposite corners in any order.
    turned = np.where(_RANDOM.random((images, count, 2)) < 0.5, -0.5, 0.5) * sizes
    both = np.concatenate([centers - turned, centers + turned], axis=-1)
    return Fed(values=both.astype(np.float32))


def _scores(images: int, classes: int, count: int, *, of_tenths: bool = False) -> Fed:
    values = _RANDOM.random((images, classes, count))
    return Fed(values=(np.round(values, 1) if of_tenths else values).astype(np.float32))


def _whole(value: int) -> np.ndarray:
    return np.asarray([value], dtype=np.int64)


def _number(value: float) -> np.ndarray:
    return np.asarray([value], dtype=np.float32)


_SAME = Fed(values=np.tile(np.asarray([0, 0, 2, 2], dtype=np.float32), (1, 9, 1)))
_FLAT = Fed(values=np.tile(np.asarray([1, 0, 1, 2], dtype=np.float32), (1, 7, 1)))
_EQUAL = Fed(values=np.full((1, 1, 9), 0.5, dtype=np.float32))
_LOGITS = Fed(values=_RANDOM.standard_normal((1, 3, 21)).astype(np.float32))

CASES = (
    Case(
        name="one-class",
        inputs=(_boxes(1, 23), _scores(1, 1, 23), _whole(5), _number(0.3), _number(0.2)),
        filled=(8, 3),
    ),
    Case(
        name="classes",
        inputs=(_boxes(1, 37), _scores(1, 5, 37), _whole(4), _number(0.4), _number(0.6)),
        filled=(20, 3),
    ),
    Case(
        name="images",
        inputs=(_boxes(3, 17), _scores(3, 2, 17), _whole(6), _number(0.2), _number(0.5)),
        filled=(36, 3),
    ),
    Case(
        name="cut-short",
        inputs=(_boxes(2, 19), _scores(2, 4, 19), _whole(9), _number(0.6)),
        filled=(11, 3),
    ),
    Case(
        name="centered",
        inputs=(_boxes(1, 41, is_centered=True), _scores(1, 3, 41), _whole(7), _number(0.25)),
        attributes={"center_point_box": 1},
        filled=(21, 3),
    ),
    Case(
        name="ties",
        inputs=(_boxes(1, 33), _scores(1, 2, 33, of_tenths=True), _whole(9), _number(0.5)),
        filled=(18, 3),
    ),
    Case(
        name="none-shared",
        inputs=(_boxes(1, 15), _scores(1, 1, 15), _whole(15), _number(0.0)),
        filled=(15, 3),
    ),
    Case(
        name="all-shared",
        inputs=(_boxes(1, 15), _scores(1, 1, 15), _whole(99), _number(1.0)),
        filled=(15, 3),
    ),
    Case(name="same-boxes", inputs=(_SAME, _EQUAL, _whole(9), _number(0.5)), filled=(9, 3)),
    Case(
        name="no-area",
        inputs=(_FLAT, _scores(1, 1, 7), _whole(9), _number(0.1)),
        filled=(9, 3),
    ),
    Case(
        name="below-the-score",
        inputs=(_boxes(1, 9), _scores(1, 2, 9), _whole(3), _number(0.5), _number(2.0)),
        filled=(6, 3),
    ),
    Case(
        name="negative-scores",
        inputs=(_boxes(1, 21), _LOGITS, _whole(4), None, _number(-0.5)),
        filled=(12, 3),
    ),
    Case(
        name="as-many-as-there-are",
        inputs=(_boxes(1, 13), _scores(1, 2, 13), _whole(2**62), _number(0.4)),
        filled=(26, 3),
    ),
    Case(name="none-asked-for", inputs=(_boxes(1, 5), _scores(1, 1, 5)), filled=(4, 3)),
    Case(
        name="opset-10",
        inputs=(_boxes(1, 11), _scores(1, 1, 11), _whole(5), _number(0.3)),
        opset=10,
        filled=(5, 3),
    ),
)
