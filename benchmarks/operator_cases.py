"""What ``operators.py`` times: every operator of ours that ncnn has, at sizes of usual networks."""

from __future__ import annotations

import numpy as np

from deployx_edge.workflows.operators.cases import Case, Fed

_RANDOM = np.random.default_rng(0)
_WINDOW = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
_MMCV_WINDOW = {"padding": [1, 1]}
_QUERIES, _HEADS, _WIDTH, _POINTS = 300, 8, 32, 4


def _floats(*shape: int) -> np.ndarray:
    return _RANDOM.standard_normal(shape).astype(np.float32)


def _shares(*shape: int) -> Fed:
    return Fed(values=_RANDOM.random(shape).astype(np.float32))


def _places(*shape: int) -> Fed:
    return Fed(values=_RANDOM.uniform(-1.1, 1.1, shape).astype(np.float32))


def _indices(size: int, *shape: int) -> Fed:
    return Fed(values=_RANDOM.integers(0, size, shape))


def _truths(*shape: int) -> Fed:
    return Fed(values=_RANDOM.random(shape) < 0.5)


def _boxes(count: int) -> Fed:
    corners = _RANDOM.uniform(0, 600, (1, count, 2))
    sizes = _RANDOM.uniform(10, 100, (1, count, 2))
    return Fed(values=np.concatenate([corners, corners + sizes], axis=-1).astype(np.float32))


def _regions(count: int) -> np.ndarray:
    return np.sort(_RANDOM.uniform(0, 400, (count, 2, 2)), axis=1).reshape(count, 4)


def _turned_regions(count: int) -> Fed:
    image = np.zeros((count, 1))
    centres = _RANDOM.uniform(50, 350, (count, 2))
    sizes = _RANDOM.uniform(20, 200, (count, 2))
    angles = _RANDOM.uniform(-1.5, 1.5, (count, 1))
    whole = np.concatenate([image, centres, sizes, angles], axis=1)
    return Fed(values=whole.astype(np.float32))


def _deformed(channels: int, size: int, *, masked: bool) -> Case:
    shape = (1, channels, size, size)
    mask = ((1, 9, size, size),) if masked else ()
    weights = _floats(channels, channels, 3, 3)
    return Case(
        name=f"{'masked ' if masked else ''}{channels}x{size}x{size}",
        inputs=(shape, weights, (1, 18, size, size), _floats(channels), *mask),
        attributes=_WINDOW,
    )


def _attention(name: str, *sides: int, operator: str = "") -> Case:
    """As the decoder of a detection transformer has it, of square maps."""
    levels = len(sides)
    return Case(
        name=name,
        inputs=(
            (1, sum(side * side for side in sides), _HEADS, _WIDTH),
            np.asarray([(side, side) for side in sides]),
            np.cumsum([0, *(side * side for side in sides[:-1])]),
            _shares(1, _QUERIES, _HEADS, levels, _POINTS, 2),
            _shares(1, _QUERIES, _HEADS, levels, _POINTS),
        ),
        attributes={"im2col_step": 64},
        operator=operator,
    )


def _suppression(classes: int, least: float) -> Case:
    return Case(
        name=f"8400 boxes, {classes} classes",
        inputs=(
            _boxes(8400),
            _shares(1, classes, 8400),
            np.asarray([100]),
            np.asarray([0.5], dtype=np.float32),
            np.asarray([least], dtype=np.float32),
        ),
        filled=(100 * classes, 3),
    )


_CLASSES = (1, 8400, 80)
_TWO = (Case(name="8400x80", inputs=(_CLASSES, (1, 1, 80))),)
_TRUTHS = (Case(name="8400x80", inputs=(_truths(*_CLASSES), _truths(*_CLASSES))),)
_EXTREMES = (
    Case(name="8400x80", inputs=(_CLASSES,), attributes={"axis": -1}, opset=13),
    Case(name="21x128x128", inputs=((1, 21, 128, 128),), attributes={"axis": 1}, opset=13),
)
_ROWS = _indices(8400, 1, 300, 4)
_ALIGNED = {"output_height": 7, "output_width": 7, "sampling_ratio": 2, "spatial_scale": 0.125}

# By operator, nodes of the sizes of usual networks.
CASES: dict[str, tuple[Case, ...]] = {
    "arg_max": _EXTREMES,
    "arg_min": _EXTREMES,
    "deform_conv": (
        _deformed(64, 40, masked=False),
        _deformed(128, 20, masked=True),
        _deformed(128, 64, masked=True),
    ),
    "equal": _TWO,
    "gather": (Case(name="300 rows of 8400x4", inputs=((8400, 4), _indices(8400, 300))),),
    "gather_elements": (
        Case(name="8400x4, 300 rows", inputs=((1, 8400, 4), _ROWS), attributes={"axis": 1}),
    ),
    "gather_nd": (
        Case(
            name="300 of 80x8400",
            inputs=(
                (80, 8400),
                Fed(values=np.stack([_indices(80, 300).values, _indices(8400, 300).values], -1)),
            ),
        ),
    ),
    "greater": _TWO,
    "greater_or_equal": _TWO,
    "grid_sample": tuple(
        Case(
            name=f"{mode}, {padding} 64x80x80",
            inputs=((1, 64, 80, 80), _places(1, 80, 80, 2)),
            attributes={"mode": mode, "padding_mode": padding},
        )
        for mode, padding in (
            ("nearest", "zeros"),
            ("bilinear", "reflection"),
            ("bicubic", "zeros"),
        )
    ),
    "grid_sampler": (
        Case(name="64x80x80", inputs=((1, 64, 80, 80), _places(1, 80, 80, 2))),
        Case(
            name="mmcv's 64x80x80",
            inputs=((1, 64, 80, 80), _places(1, 80, 80, 2)),
            operator="mmcv::grid_sampler",
        ),
    ),
    "hardmax": (Case(name="8400x80", inputs=(_CLASSES,)),),
    "less": _TWO,
    "less_or_equal": _TWO,
    "logical_and": _TRUTHS,
    "logical_not": (Case(name="8400x80", inputs=(_truths(*_CLASSES),)),),
    "logical_or": _TRUTHS,
    "logical_xor": _TRUTHS,
    "lp_pool": (
        Case(
            name="64x56x56",
            inputs=((1, 64, 56, 56),),
            attributes={"kernel_shape": [3, 3], "strides": [2, 2]},
            opset=18,
        ),
    ),
    "mmcv_deform_conv2d": (
        Case(
            name="64x40x40",
            inputs=((1, 64, 40, 40), (1, 18, 40, 40), _floats(64, 64, 3, 3)),
            attributes=_MMCV_WINDOW,
        ),
    ),
    "mmcv_modulated_deform_conv2d": (
        Case(
            name="128x64x64",
            inputs=(
                (1, 128, 64, 64),
                (1, 18, 64, 64),
                (1, 9, 64, 64),
                _floats(128, 128, 3, 3),
                _floats(128),
            ),
            attributes=_MMCV_WINDOW,
        ),
    ),
    "mod": (Case(name="8400x80", inputs=(_CLASSES, _floats(80)), attributes={"fmod": 1}),),
    "multi_scale_deformable_attention": (
        _attention("300 queries, 4 levels", 40, 20, 10, 5),
        _attention("300 queries, 3 levels", 80, 40, 20),
        _attention(
            "mmcv's, 3 levels", 80, 40, 20, operator="mmcv::MMCVMultiScaleDeformableAttention"
        ),
    ),
    "non_max_suppression": (_suppression(4, 0.7), _suppression(80, 0.25)),
    "roi_align": (
        Case(
            name="100 of 64x50x50",
            inputs=(
                (1, 64, 50, 50),
                Fed(values=_regions(100).astype(np.float32)),
                np.zeros(100, dtype=np.int64),
            ),
            attributes=_ALIGNED,
        ),
    ),
    "roi_align_rotated": (
        Case(
            name="100 of 64x50x50",
            inputs=((1, 64, 50, 50), _turned_regions(100)),
            attributes=_ALIGNED,
        ),
    ),
    "scatter_elements": (
        Case(
            name="300 of 8400x4",
            inputs=((1, 8400, 4), _ROWS, (1, 300, 4)),
            attributes={"axis": 1},
        ),
    ),
    "scatter_nd": (
        Case(name="300 rows of 8400x4", inputs=((8400, 4), _indices(8400, 300, 1), (300, 4))),
    ),
    "top_k": (
        Case(name="300 of 8400", inputs=((1, 8400), np.asarray([300]))),
        Case(name="300 of 672000", inputs=((1, 672000), np.asarray([300]))),
        Case(name="5 of 80, 8400 times", inputs=(_CLASSES, np.asarray([5]))),
    ),
    "where": (Case(name="8400x80", inputs=(_truths(1, 8400, 1), _CLASSES, (1, 1, 80))),),
}
