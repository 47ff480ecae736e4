"""DeformConv at its corners: groups, offset groups, masks, strides, dilations, uneven padding."""

import numpy as np

from deployx_edge.workflows.operators.cases import Case


def _weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).standard_normal(shape).astype(np.float32)


def _case(
    name: str,
    image: tuple[int, int, int],
    weights: np.ndarray,
    places: tuple[int, int],
    *,
    bias: bool = True,
    mask: bool = False,
    **attributes: object,
) -> Case:
    channels, height, width = image
    outputs, _, kernel_h, kernel_w = weights.shape
    groups = int(str(attributes.get("offset_group", 1)))
    window = groups * kernel_h * kernel_w
    return Case(
        name=name,
        inputs=(
            (1, channels, height, width),
            weights,
            (1, 2 * window, *places),
            _weights(outputs) if bias else None,
            (1, window, *places) if mask else None,
        ),
        attributes=attributes,
    )


CASES = (
    _case("plain", (3, 9, 11), _weights(5, 3, 3, 3), (9, 11), pads=[1, 1, 1, 1]),
    _case("valid", (3, 9, 11), _weights(5, 3, 3, 3), (7, 9)),
    _case("masked", (4, 8, 7), _weights(6, 4, 3, 3), (8, 7), mask=True, pads=[1, 1, 1, 1]),
    _case("mask-alone", (4, 8, 7), _weights(6, 4, 3, 3), (6, 5), mask=True, bias=False),
    _case("strides", (3, 10, 13), _weights(4, 3, 3, 3), (5, 5), strides=[2, 3], pads=[1, 2, 1, 2]),
    _case(
        "dilated", (3, 11, 12), _weights(4, 3, 3, 3), (11, 8), dilations=[2, 3], pads=[2, 1, 2, 1]
    ),
    _case("uneven", (2, 7, 9), _weights(3, 2, 2, 3), (7, 8), pads=[1, 0, 0, 1]),
    _case("groups", (6, 9, 9), _weights(4, 3, 3, 3), (9, 9), group=2, pads=[1, 1, 1, 1]),
    _case(
        "offset-groups", (6, 9, 9), _weights(4, 6, 3, 3), (9, 9), offset_group=3, pads=[1, 1, 1, 1]
    ),
    _case(
        "all",
        (8, 9, 7),
        _weights(6, 4, 3, 3),
        (5, 4),
        group=2,
        offset_group=2,
        mask=True,
        strides=[2, 2],
        pads=[1, 1, 1, 1],
    ),
    _case("one", (5, 6, 7), _weights(3, 5, 1, 1), (6, 7)),
    _case("wide", (16, 20, 20), _weights(32, 16, 3, 3), (20, 20), pads=[1, 1, 1, 1]),
    # More windows than are multiplied together.
    _case("many", (64, 19, 21), _weights(6, 32, 3, 3), (19, 21), group=2, pads=[1, 1, 1, 1]),
    _case(
        "many-masked",
        (48, 21, 20),
        _weights(5, 48, 3, 3),
        (21, 20),
        offset_group=4,
        mask=True,
        pads=[1, 1, 1, 1],
    ),
)
