"""MMCV's deformable convolution with a mask: with and without bias, groups of both kinds."""

import numpy as np

from deployx_edge.workflows.operators.cases import Case, Fed


def _case(
    name: str,
    image: tuple[int, int, int, int],
    weight: tuple[int, int, int, int],
    places: tuple[int, int],
    *,
    deform_groups: int = 1,
    bias: bool = True,
    operator: str = "",
    **attributes: object,
) -> Case:
    random = np.random.default_rng(list(name.encode()))
    taps = deform_groups * weight[2] * weight[3]
    offsets = random.uniform(-2, 2, (image[0], 2 * taps, *places))
    shares = random.uniform(0, 1, (image[0], taps, *places))
    inputs = (
        image,
        Fed(values=offsets.astype(np.float32)),
        Fed(values=shares.astype(np.float32)),
        random.standard_normal(weight).astype(np.float32),
    )
    added = random.standard_normal(weight[0]).astype(np.float32)
    return Case(
        name=name,
        inputs=(*inputs, added if bias else None),
        attributes={**attributes, "deform_groups": deform_groups},
        operator=operator,
    )


CASES = (
    _case("plain", (1, 3, 5, 7), (4, 3, 3, 3), (3, 5)),
    _case("no-bias", (1, 2, 6, 5), (3, 2, 3, 3), (6, 5), padding=[1, 1], bias=False),
    _case("strided", (1, 3, 8, 7), (2, 3, 3, 3), (4, 3), stride=[2, 3], padding=[1, 1]),
    _case("dilated", (1, 2, 9, 8), (3, 2, 3, 2), (5, 5), dilation=[2, 3]),
    _case("groups", (1, 4, 5, 6), (6, 2, 3, 3), (3, 4), groups=2, deform_groups=2),
    _case("several", (2, 2, 5, 4), (3, 2, 3, 3), (3, 2)),
    _case("theirs", (1, 2, 5, 5), (2, 2, 3, 3), (3, 3), operator="mmcv::MMCVModulatedDeformConv2d"),
)
