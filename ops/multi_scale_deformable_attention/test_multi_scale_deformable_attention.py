"""Multi-scale deformable attention: maps of several sizes, places at and beyond their borders."""

import math

import numpy as np

from deployx_edge.workflows.operators.cases import Case, Fed


def _case(
    name: str,
    sizes: list[tuple[int, int]],
    *,
    batch: int = 1,
    queries: int = 5,
    heads: int = 2,
    dims: int = 4,
    points: int = 3,
    reach: float = 0.0,
    operator: str = "",
) -> Case:
    """Places are shares of a map, by up to ``reach`` beyond it."""
    random = np.random.default_rng(list(name.encode()))
    pixels = [math.prod(size) for size in sizes]
    starts = np.cumsum([0, *pixels[:-1]])
    of_points = (batch, queries, heads, len(sizes), points)
    places = random.uniform(-reach, 1 + reach, (*of_points, 2)).astype(np.float32)
    weights = random.dirichlet(np.ones(len(sizes) * points), (batch, queries, heads))
    return Case(
        name=name,
        inputs=(
            (batch, sum(pixels), heads, dims),
            np.asarray(sizes, dtype=np.int64),
            starts.astype(np.int64),
            Fed(values=places),
            Fed(values=weights.reshape(of_points).astype(np.float32)),
        ),
        operator=operator,
    )


CASES = (
    _case("one-map", [(5, 7)]),
    _case("three-maps", [(8, 9), (4, 5), (2, 2)], heads=4, dims=8, points=4),
    _case("borders", [(3, 4), (2, 3)], reach=0.3),
    _case("beyond", [(4, 3)], reach=2.0, queries=17),
    _case("pixels", [(1, 1), (1, 6)], reach=0.5, dims=1),
    _case("one-head", [(6, 6), (3, 3)], heads=1, dims=5, points=1),
    _case("several", [(4, 6), (2, 3)], batch=2),
    _case("their-name", [(4, 6)], operator="mmcv::MMCVMultiScaleDeformableAttention"),
)
