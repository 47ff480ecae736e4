"""RoiAlign: both ways of counting pixels, fixed and adaptive samples, regions beyond the image, the
mean and the largest, and models of an opset that had one way only."""

import numpy as np

from deployx_edge.workflows.operators.cases import Case, Fed

_REGIONS = np.asarray(
    [[0.5, 1.0, 7.5, 6.0], [2.0, 0.0, 9.0, 9.5], [-3.0, -2.0, 4.0, 3.0], [4.0, 4.0, 4.2, 4.1]],
    dtype=np.float32,
)
# Without samples where these are as many as the bin has pixels.
_EMPTY = np.asarray([[5.0, 5.0, 5.0, 5.0]], dtype=np.float32)
_BEYOND = np.asarray([[8.0, 7.0, 30.0, 25.0], [-20.0, -9.0, -5.0, -4.0]], dtype=np.float32)


def _case(
    name: str,
    image: tuple[int, ...],
    regions: np.ndarray,
    images: list[int],
    opset: int = 19,
    **attributes: object,
) -> Case:
    chosen = np.asarray(images, dtype=np.int64)
    inputs = (image, Fed(values=regions), chosen)
    return Case(name=name, inputs=inputs, attributes=attributes, opset=opset)


_ONE = [0, 0, 0, 0]
CASES = (
    _case("plain", (1, 3, 10, 11), _REGIONS, _ONE, output_height=3, output_width=2),
    _case("one-bin", (1, 5, 10, 11), _REGIONS, _ONE, sampling_ratio=4),
    _case(
        "sampled", (1, 3, 10, 11), _REGIONS, _ONE, output_height=7, output_width=7, sampling_ratio=2
    ),
    _case(
        "output-half-pixel",
        (1, 3, 10, 11),
        _REGIONS,
        _ONE,
        output_height=4,
        output_width=5,
        coordinate_transformation_mode="output_half_pixel",
    ),
    _case(
        "scaled",
        (1, 2, 9, 7),
        4 * _REGIONS,
        _ONE,
        output_height=2,
        output_width=3,
        spatial_scale=0.25,
    ),
    _case(
        "beyond", (1, 2, 9, 9), _BEYOND, [0, 0], output_height=3, output_width=3, sampling_ratio=3
    ),
    _case("several-images", (2, 3, 8, 9), _REGIONS, [1, 0, 1, 1], output_height=2, output_width=2),
    *(
        _case(
            f"opset-{opset}-{mode}-{samples}",
            (2, 3, 10, 11),
            np.concatenate([_REGIONS, _BEYOND, _EMPTY]),
            [0, 1, 1, 0, 1, 0, 1],
            opset=opset,
            mode=mode,
            sampling_ratio=samples,
            output_height=3,
            output_width=4,
        )
        for opset, mode in ((10, "avg"), (10, "max"), (15, "avg"), (16, "max"))
        for samples in (0, 2)
    ),
)
