"""MMCV's deformable convolution: strides, pads, dilations, groups of both kinds."""

import numpy as np

from deployx_edge.workflows.operators.cases import Case, Fed


def _case(
    name: str,
    image: tuple[int, int, int, int],
    weight: tuple[int, int, int, int],
    places: tuple[int, int],
    *,
    deform_groups: int = 1,
    operator: str = "",
    **attributes: object,
) -> Case:
    random = np.random.default_rng(list(name.encode()))
    shape = (image[0], 2 * deform_groups * weight[2] * weight[3], *places)
    return Case(
        name=name,
        inputs=(
            image,
            Fed(values=random.uniform(-2, 2, shape).astype(np.float32)),
            random.standard_normal(weight).astype(np.float32),
        ),
        attributes={**attributes, "deform_groups": deform_groups},
        operator=operator,
    )


CASES = (
    _case("plain", (1, 3, 5, 7), (4, 3, 3, 3), (3, 5)),
    _case("padded", (1, 2, 6, 5), (3, 2, 3, 3), (6, 5), padding=[1, 1]),
    _case("unlike", (1, 2, 7, 9), (5, 2, 3, 5), (5, 9), padding=[0, 2]),
    _case("strided", (1, 3, 8, 7), (2, 3, 3, 3), (4, 3), stride=[2, 3], padding=[1, 1]),
    _case("dilated", (1, 2, 9, 8), (3, 2, 3, 2), (5, 5), dilation=[2, 3]),
    _case("groups", (1, 4, 5, 6), (6, 2, 3, 3), (3, 4), groups=2),
    _case("deform-groups", (1, 6, 5, 6), (4, 6, 3, 3), (3, 4), deform_groups=3),
    _case("four-pads", (1, 2, 4, 6), (3, 2, 3, 3), (4, 8), padding=[1, 1, 2, 2]),
    _case("pixel", (1, 1, 1, 1), (1, 1, 1, 1), (1, 1)),
    _case("several", (2, 2, 5, 4), (3, 2, 3, 3), (3, 2), im2col_step=2),
    _case("their-name", (1, 2, 5, 5), (2, 2, 3, 3), (3, 3), operator="mmcv::MMCVDeformConv2d"),
)
