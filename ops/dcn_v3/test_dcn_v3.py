"""InternImage's deformable convolution: groups, strides, dilations, pads, uneven kernels, scale."""

import numpy as np

from deployx_edge.workflows.operators.cases import Case, Fed


def _case(
    name: str,
    image: tuple[int, int, int],
    places: tuple[int, int],
    *,
    images: int = 1,
    group: int = 1,
    operator: str = "",
    **attributes: object,
) -> Case:
    random = np.random.default_rng(list(name.encode()))
    window = int(str(attributes.get("kernel_h", 3))) * int(str(attributes.get("kernel_w", 3)))
    offsets = random.uniform(-2, 2, (images, *places, group * window * 2))
    shares = random.uniform(0, 1, (images, *places, group * window))
    return Case(
        name=name,
        inputs=(
            (images, *image),
            Fed(values=offsets.astype(np.float32)),
            Fed(values=shares.astype(np.float32)),
        ),
        attributes={"group": group, "group_channels": image[2] // group, **attributes},
        operator=operator,
    )


CASES = (
    _case("plain", (5, 7, 4), (5, 7)),
    _case("groups", (6, 5, 6), (6, 5), group=3),
    _case("strided", (9, 8, 4), (5, 3), group=2, stride_h=2, stride_w=3),
    _case("dilated", (9, 8, 2), (7, 4), dilation_h=2, dilation_w=3),
    _case("uneven", (7, 6, 4), (7, 6), group=2, kernel_h=1, kernel_w=5, pad_h=0, pad_w=2),
    _case("unpadded", (6, 7, 2), (4, 5), pad_h=0, pad_w=0),
    _case("scaled", (5, 6, 4), (5, 6), group=4, offset_scale=1.5),
    _case("several", (4, 5, 4), (4, 5), images=2, group=2, im2col_step=1),
    _case("pixel", (1, 1, 1), (1, 1)),
    _case("their-name", (4, 4, 2), (4, 4), operator="mmdeploy::DCNv3"),
)
