"""torch's grid_sampler: every mode beside every padding, places at and beyond the borders."""

import numpy as np

from deployx_edge.workflows.operators.cases import Case, Fed


def _case(
    name: str,
    image: tuple[int, ...],
    places: tuple[int, ...],
    *,
    reach: float = 1.0,
    operator: str = "",
    **modes: int,
) -> Case:
    random = np.random.default_rng(list(name.encode()))
    shape = (image[0], *places, len(image) - 2)
    grid = random.uniform(-reach, reach, shape).astype(np.float32)
    return Case(name=name, inputs=(image, Fed(values=grid)), attributes=modes, operator=operator)


CASES = (
    _case("defaults", (1, 3, 5, 7), (4, 6)),
    *(
        _case(
            f"mode-{mode}-padding-{padding}-{align}",
            (1, 3, 5, 7),
            (5, 3),
            reach=1.7,
            interpolation_mode=mode,
            padding_mode=padding,
            align_corners=align,
        )
        for mode in range(3)
        for padding in range(3)
        for align in range(2)
    ),
    _case("several", (2, 2, 4, 3), (3, 5), reach=1.2, padding_mode=1),
    _case("pixel", (1, 2, 1, 1), (2, 3), reach=1.5),
    _case("far", (1, 1, 4, 4), (3, 3), reach=40.0, padding_mode=2),
    _case("volume", (1, 2, 3, 4, 5), (2, 3, 4), reach=1.2, padding_mode=1),
    _case("their-name", (1, 3, 5, 7), (4, 6), operator="mmcv::grid_sampler", align_corners=1),
)
