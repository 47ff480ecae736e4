"""Norms and resizing."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from tests.integration.models.operators.case import (
    Case,
    floats,
    ints,
    label,
    number,
    positive,
    single,
)


def normalizations() -> Iterator[Case]:
    shapes = ((1, 6, 9), (1, 6, 5, 7), (1, 16, 5, 7), (1, 6, 3, 4, 5))
    for shape in (*shapes, (1, 9)):
        channels = shape[1]
        for opset in (7, 14, 17):
            yield single(
                f"norm/Batch-{label(shape)}-{opset}",
                "BatchNormalization",
                shape,
                floats(channels),
                floats(channels, seed=1),
                floats(channels, seed=2),
                positive(channels),
                epsilon=1e-3,
                opset=opset,
            )
    yield single(
        "norm/Batch-batch",
        "BatchNormalization",
        (3, 4, 5),
        floats(4),
        floats(4, seed=1),
        floats(4, seed=2),
        positive(4),
    )
    for shape in shapes:
        channels = shape[1]
        scale, bias = floats(channels), floats(channels, seed=1)
        yield single(f"norm/Instance-{label(shape)}", "InstanceNormalization", shape, scale, bias)
        for groups in {1, 2, channels}:
            yield single(
                f"norm/Group-{label(shape)}-{groups}",
                "GroupNormalization",
                shape,
                scale,
                bias,
                num_groups=groups,
                opset=21,
            )
        yield single(
            f"norm/Group-18-{label(shape)}",
            "GroupNormalization",
            shape,
            floats(2),
            floats(2, seed=1),
            num_groups=2,
            opset=18,
        )
        for axis in range(1, len(shape)):
            rest = shape[axis:]
            for operator, opset in (("LayerNormalization", 17), ("RMSNormalization", 23)):
                extra = (floats(*rest, seed=1),) if operator == "LayerNormalization" else ()
                yield single(
                    f"norm/{operator}-{label(shape)}-{axis}",
                    operator,
                    shape,
                    floats(*rest),
                    *extra,
                    axis=axis,
                    epsilon=1e-4,
                    opset=opset,
                )
    yield single("norm/LayerNormalization-no-bias", "LayerNormalization", (1, 5, 16), floats(16))
    yield single(
        "norm/LayerNormalization-broadcast", "LayerNormalization", (1, 5, 16), floats(1), axis=1
    )
    yield single("norm/LayerNormalization-2d", "LayerNormalization", (5, 8), floats(8))
    yield single("norm/LayerNormalization-1d", "LayerNormalization", (8,), floats(8))
    for size, shape in itertools.product((1, 3, 5, 4), ((1, 7, 5, 6), (1, 16, 5, 6))):
        yield single(
            f"norm/LRN-{size}-{label(shape)}",
            "LRN",
            shape,
            size=size,
            alpha=0.2,
            beta=0.6,
            bias=1.5,
        )
    yield single("norm/LRN-1d", "LRN", (1, 7, 9), size=3)
    yield single("norm/LRN-3d", "LRN", (1, 7, 2, 3, 4), size=3)
    for axis, p in itertools.product((1, 2, -1), (1, 2)):
        yield single(f"norm/Lp-{axis}-{p}", "LpNormalization", (1, 6, 5, 7), axis=axis, p=p)
    yield single("norm/Lp-16", "LpNormalization", (1, 16, 5, 7), axis=1)
    yield single("norm/Lp-2d", "LpNormalization", (1, 9))
    for axes in ((0, 2, 3), (0, 1, 2, 3), (1,), (2, 3)):
        yield single(
            f"norm/MeanVariance-{'_'.join(map(str, axes))}",
            "MeanVarianceNormalization",
            (1, 6, 5, 7),
            axes=list(axes),
        )
    yield single("norm/MeanVariance-default", "MeanVarianceNormalization", (1, 16, 5, 7))


def resizes() -> Iterator[Case]:
    image = (1, 5, 6, 8)
    coordinates = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
    rounding = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
    scales = {"up": (1, 1, 2, 2), "down": (1, 1, 0.5, 0.5), "odd": (1, 1, 1.7, 0.6)}
    for (word, factors), coordinate in itertools.product(scales.items(), coordinates):
        given = np.asarray(factors, dtype=np.float32)
        for mode in ("linear", "cubic"):
            yield single(
                f"resize/{mode}-{word}-{coordinate}",
                "Resize",
                image,
                None,
                given,
                mode=mode,
                coordinate_transformation_mode=coordinate,
                opset=13,
            )
        for nearest in rounding:
            yield single(
                f"resize/nearest-{word}-{coordinate}-{nearest}",
                "Resize",
                image,
                None,
                given,
                mode="nearest",
                nearest_mode=nearest,
                coordinate_transformation_mode=coordinate,
                opset=13,
            )
    for mode, size in itertools.product(("nearest", "linear", "cubic"), ((12, 16), (3, 5), (7, 8))):
        yield single(
            f"resize/{mode}-sizes-{label(size)}",
            "Resize",
            image,
            None,
            None,
            ints(1, 5, *size),
            mode=mode,
            opset=13,
        )
    factors = np.asarray([1, 1, 2, 2], dtype=np.float32)
    roi = np.asarray([0, 0, 0.1, 0.1, 1, 1, 0.9, 0.9], dtype=np.float32)
    yield single("resize/10", "Resize", image, factors, mode="linear", opset=10)
    yield single("resize/10-nearest", "Resize", image, factors, mode="nearest", opset=10)
    yield single(
        "resize/same-size", "Resize", image, None, np.asarray([1, 1, 1.1, 1.1], "f"), mode="linear"
    )
    # One axis keeps its size, not its scale.
    for mode in ("nearest", "linear", "cubic"):
        yield single(
            f"resize/{mode}-half-same",
            "Resize",
            (1, 8, 3, 8),
            None,
            np.asarray([1, 1, 1.3, 3], "f"),
            mode=mode,
        )
    empty = np.zeros(0, dtype=np.float32)
    yield single("resize/11", "Resize", image, empty, factors, mode="linear", opset=11)
    yield single(
        "resize/11-sizes", "Resize", image, empty, empty, ints(1, 5, 9, 7), mode="linear", opset=11
    )
    for coordinate in ("half_pixel_symmetric", "tf_half_pixel_for_nn"):
        opset = 19 if "symmetric" in coordinate else 11
        yield single(
            f"resize/{coordinate}",
            "Resize",
            image,
            empty,
            np.asarray([1, 1, 1.3, 0.7], dtype=np.float32),
            mode="nearest",
            coordinate_transformation_mode=coordinate,
            opset=opset,
        )
    yield single(
        "resize/18-axes",
        "Resize",
        image,
        None,
        number(2) * np.ones(2, "f"),
        axes=[2, 3],
        mode="linear",
        opset=18,
    )
    yield single(
        "resize/18-axes-sizes",
        "Resize",
        image,
        None,
        None,
        ints(9, 4),
        axes=[2, 3],
        mode="linear",
        opset=18,
    )
    yield single(
        "resize/18-antialias",
        "Resize",
        image,
        None,
        number(0.5) * np.ones(2, "f"),
        axes=[2, 3],
        mode="linear",
        antialias=1,
        opset=18,
    )
    yield single(
        "resize/18-keep-ratio",
        "Resize",
        image,
        None,
        None,
        ints(9, 9),
        axes=[2, 3],
        mode="linear",
        keep_aspect_ratio_policy="not_larger",
        opset=18,
    )
    yield single("resize/cubic-a", "Resize", image, None, factors, mode="cubic", cubic_coeff_a=-0.5)
    yield single(
        "resize/cubic-outside", "Resize", image, None, factors, mode="cubic", exclude_outside=1
    )
    yield single(
        "resize/crop",
        "Resize",
        image,
        roi,
        factors,
        mode="linear",
        coordinate_transformation_mode="tf_crop_and_resize",
    )
    yield single(
        "resize/channels", "Resize", image, None, np.asarray([1, 2, 1, 1], "f"), mode="nearest"
    )
    for opset in (7, 9):
        for mode in ("nearest", "linear"):
            if opset == 7:
                yield single(
                    f"resize/Upsample-{mode}-7",
                    "Upsample",
                    image,
                    scales=[1.0, 1.0, 2.0, 3.0],
                    mode=mode,
                    opset=7,
                )
            else:
                yield single(
                    f"resize/Upsample-{mode}-9",
                    "Upsample",
                    image,
                    np.asarray([1, 1, 2, 3], "f"),
                    mode=mode,
                    opset=9,
                )
    line = np.asarray([1, 1, 2], dtype=np.float32)
    for mode in ("nearest", "linear"):
        yield single(f"resize/{mode}-1d", "Resize", (1, 5, 7), None, line, mode=mode)
        yield single(
            f"resize/{mode}-3d",
            "Resize",
            (1, 2, 3, 4, 5),
            None,
            np.asarray([1, 1, 2, 2, 2], "f"),
            mode=mode,
        )
        yield single(f"resize/{mode}-packed", "Resize", (1, 16, 5, 6), None, factors, mode=mode)
        yield single(f"resize/{mode}-batch", "Resize", (2, 3, 5, 6), None, factors, mode=mode)
    for mode, padding, align in itertools.product(
        ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection"), (0, 1)
    ):
        yield single(
            f"resize/GridSample-{mode}-{padding}-{align}",
            "GridSample",
            (1, 4, 6, 7),
            np.clip(floats(1, 5, 3, 2), -1.55, 1.57),
            mode=mode,
            padding_mode=padding,
            align_corners=align,
            opset=16,
        )
    yield single(
        "resize/GridSample-computed",
        "GridSample",
        (1, 4, 6, 7),
        (1, 5, 3, 2),
        opset=16,
        interval=(-1.2, 1.2),
    )
    for form, attributes in (
        ("reflected", {"padding_mode": "reflection"}),
        ("nearest", {"mode": "nearest"}),
    ):
        yield single(
            f"resize/GridSample-computed-{form}",
            "GridSample",
            (1, 4, 6, 7),
            (1, 5, 3, 2),
            opset=16,
            **attributes,
        )
    yield single(
        "resize/GridSample-packed",
        "GridSample",
        (1, 16, 6, 7),
        (1, 5, 3, 2),
        opset=16,
        interval=(-1.2, 1.2),
    )
    yield single(
        "resize/GridSample-20",
        "GridSample",
        (1, 4, 6, 7),
        (1, 5, 3, 2),
        opset=20,
        mode="linear",
        interval=(-1.2, 1.2),
    )
    yield single(
        "resize/GridSample-3d",
        "GridSample",
        (1, 2, 4, 5, 6),
        (1, 3, 2, 5, 3),
        opset=20,
        mode="linear",
        interval=(-1.2, 1.2),
    )
