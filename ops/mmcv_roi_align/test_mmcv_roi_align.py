"""Regions of one map: sizes, samples, counts of pixels, images that are not there."""

import numpy as np

from deployx_edge.workflows.operators.cases import Case, Fed


def _regions(name: str, count: int, images: int, reach: float) -> Fed:
    random = np.random.default_rng(list(name.encode()))
    corners = random.uniform(-5, reach, (count, 2))
    sizes = random.uniform(2, reach, (count, 2))
    numbers = random.integers(0, images, (count, 1))
    values = np.concatenate([numbers, corners, corners + sizes], axis=1)
    return Fed(values=values.astype(np.float32))


def _case(
    name: str, image: tuple[int, int, int, int], *, operator: str = "", **attributes: object
) -> Case:
    return Case(
        name=name,
        inputs=(image, _regions(name, 7, image[0], 16.0)),
        attributes={"output_height": 3, "output_width": 2, "spatial_scale": 0.5, **attributes},
        operator=operator,
        opset=15,  # from 16 on ONNX has its means
    )


CASES = (
    _case("means", (2, 3, 9, 11), mode="avg"),
    _case("largest", (2, 3, 9, 11), mode="max"),
    _case("samples", (1, 2, 8, 7), mode="max", sampling_ratio=3),
    _case("legacy", (1, 2, 8, 7), mode="max", aligned=0),
    _case("finer", (1, 4, 9, 9), output_height=5, output_width=7),
    _case("their-name", (1, 1, 8, 8), operator="mmcv::MMCVRoiAlign", mode="max"),
)
