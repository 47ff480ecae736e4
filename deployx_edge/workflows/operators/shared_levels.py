"""What cases of operators that read regions from maps of several sizes have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployx_edge.workflows.operators.cases import Case, Fed

Array = NDArray[Any]
# Makes regions (count, numbers of one) of two places, two sizes and an angle for each.
MakeRegions = Callable[[Array, Array, Array], Array]

_THREE = ((2, 3, 17, 19), (2, 3, 9, 10), (2, 3, 5, 5))
_STRIDES = (4.0, 8.0, 16.0)


def level_cases(operator: str, make_regions: MakeRegions, **usual: int) -> tuple[Case, ...]:
    """Sizes, samples, counts of pixels; ``operator`` is another name that models have.

    ``usual`` are attributes that hold in each.
    """

    def case(name: str, **words: Any) -> Case:
        return level_case(name, make_regions, **{**usual, **words})

    return (
        case("usual", count=13),
        case("samples", sampling_ratio=2),
        case("legacy", aligned=0),
        case("grown", roi_scale_factor=1.5),
        case("one-map", levels=1),
        case("coarse", finest_scale=2),
        case("their-name", levels=2, operator=operator),
    )


def level_case(
    name: str,
    make_regions: MakeRegions,
    *,
    count: int = 7,
    levels: int = 3,
    operator: str = "",
    **attributes: float,
) -> Case:
    """One of them: ``count`` regions of two images, read from the first of three maps."""
    random = np.random.default_rng(list(name.encode()))
    reach = float(_THREE[0][2] * _STRIDES[0])
    places = random.uniform(-5, reach, (count, 2))
    sizes = random.uniform(2, reach, (count, 2))
    numbers = random.integers(0, _THREE[0][0], (count, 1))
    regions = make_regions(places, sizes, random.uniform(-4, 4, (count, 1)))
    return Case(
        name=name,
        inputs=(
            Fed(values=np.concatenate([numbers, regions], axis=1).astype(np.float32)),
            *_THREE[:levels],
        ),
        attributes={
            "output_height": 3,
            "output_width": 2,
            "featmap_strides": list(_STRIDES[:levels]),
            "finest_scale": 8,
            **attributes,
        },
        operator=operator,
    )
