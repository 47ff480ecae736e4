"""Turned regions: angles of every quarter, beyond the image, both alignments and directions."""

import numpy as np

from deployx_edge.workflows.operators.cases import Case, Fed


def _case(
    name: str,
    image: tuple[int, int, int, int],
    count: int,
    *,
    size: float = 6.0,
    operator: str = "",
    **attributes: float,
) -> Case:
    random = np.random.default_rng(list(name.encode()))
    scale = attributes.get("spatial_scale", 1.0)
    rois = np.empty((count, 6))
    rois[:, 0] = random.integers(0, image[0], count)
    rois[:, 1] = random.uniform(-1, image[3] + 1, count) / scale
    rois[:, 2] = random.uniform(-1, image[2] + 1, count) / scale
    rois[:, 3:5] = random.uniform(0.3, size, (count, 2)) / scale
    rois[:, 5] = random.uniform(-7, 7, count)
    rois[count // 2 + 1 :: 4, 0] = -1
    return Case(
        name=name,
        inputs=(image, Fed(values=rois.astype(np.float32))),
        attributes=attributes,
        operator=operator,
        # A sample at the very border of the image is in it or not by the last bit of its place.
        tolerance=1e-4,
    )


CASES = (
    _case("defaults", (1, 3, 9, 11), 5),
    _case("bins", (1, 2, 12, 10), 7, output_height=3, output_width=5),
    _case("scaled", (1, 2, 8, 9), 4, output_height=2, output_width=2, spatial_scale=0.25),
    _case("sampled", (1, 3, 9, 7), 6, output_height=4, output_width=3, sampling_ratio=3),
    _case("legacy", (1, 2, 9, 9), 5, size=2.0, output_height=2, output_width=2, aligned=0),
    _case("clockwise", (1, 2, 10, 8), 5, output_height=3, output_width=2, clockwise=1),
    _case("several", (3, 2, 7, 6), 8, output_height=2, output_width=3),
    _case("pixel", (1, 2, 1, 1), 3, output_height=2, output_width=2),
    _case("large", (1, 1, 5, 5), 3, size=40.0, output_height=2, output_width=2),
    _case("one", (1, 5, 6, 6), 1, operator="mmcv::MMCVRoIAlignRotated", output_height=7),
)
