"""What reads images: pools, places between pixels, regions, deformed windows; and boxes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from deployx_edge.workflows.operators.cases import Case, Fed
from tests.integration.corners.drawing import Array, Draw, Drawn

_FAR = (np.inf, -np.inf, 1e30, -1e30)


def pool(d: Draw, opset: int) -> Case:
    axes = d.whole(1, 3)
    sizes = [d.whole(1, 7) for _ in range(axes)]
    kernel = [d.whole(1, size) for size in sizes]
    attributes: dict[str, Any] = {"kernel_shape": kernel, "p": d.whole(1, 3)}
    attributes["strides"] = [d.whole(1, 3) for _ in sizes]
    padding = d.one_of("none", "pads", "SAME_UPPER", "SAME_LOWER", "VALID")
    if padding == "pads":
        attributes["pads"] = [d.whole(0, size - 1) for size in kernel * 2]
    elif padding != "none":
        attributes["auto_pad"] = padding
    if opset >= 18 and padding in ("none", "pads"):
        if d.maybe():
            attributes["ceil_mode"] = 1
        most = [(s - 1) // max(k - 1, 1) for s, k in zip(sizes, kernel, strict=True)]
        attributes["dilations"] = [max(1, d.whole(1, 2) * (each > 1)) for each in most]
    shape = (d.whole(1, 2), d.one_of(1, 3, 17), *sizes)
    return Case(name="", inputs=(Fed(values=d.floats(shape)),), attributes=attributes)


def sample(d: Draw, opset: int) -> Case:
    """Also exactly between pixels, and as far away as infinity."""
    axes = 3 if opset >= 20 and d.random.random() < 0.3 else 2
    images, sizes = d.whole(1, 2), [d.whole(1, 5) for _ in range(axes)]
    modes = ["linear", "nearest", "cubic"][: 2 if axes == 3 else 3]
    mode = d.one_of(*modes)
    if opset < 20:
        mode = {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode)
    grid = (images, *[d.whole(1, 4) for _ in sizes], axes)
    inputs = d.given(
        d.random.standard_normal((images, d.one_of(1, 3, 17), *sizes)).astype(np.float32),
        _places(d, grid),
    )
    attributes = {
        "mode": mode,
        "padding_mode": d.one_of("zeros", "border", "reflection"),
        "align_corners": d.whole(0, 1),
    }
    return Case(name="", inputs=inputs, attributes=attributes)


def sample_by_number(d: Draw, opset: int) -> Case:
    case = sample(d, 20)
    shape = case.inputs[0].values.shape
    attributes = {
        "interpolation_mode": d.whole(0, 1 if len(shape) == 5 else 2),
        "padding_mode": d.whole(0, 2),
        "align_corners": d.whole(0, 1),
    }
    return Case(name="", inputs=case.inputs, attributes=attributes)


def _places(d: Draw, shape: tuple[int, ...]) -> Array:
    exact = d.random.integers(-8, 9, shape) / d.one_of(2, 3, 4, 5)
    places = np.where(d.random.random(shape) < 0.5, exact, d.random.uniform(-2, 2, shape))
    return np.asarray(places, dtype=np.float32)


def regions(d: Draw, opset: int) -> Case:
    """Also without area, beyond the image and, where samples are counted, turned round."""
    images, count = d.whole(1, 2), d.whole(1, 4)
    height, width = d.whole(1, 9), d.whole(1, 9)
    corners = d.random.integers(-6, 2 * max(height, width), (count, 4)) / 2
    sampling = d.whole(0, 2)
    if sampling == 0:
        corners = np.sort(corners.reshape(count, 2, 2), axis=1).reshape(count, 4)
    attributes: dict[str, Any] = {
        "output_height": d.whole(1, 3),
        "output_width": d.whole(1, 3),
        "sampling_ratio": sampling,
        "spatial_scale": d.one_of(1.0, 0.5),
        "mode": d.one_of("avg", "max"),
    }
    if opset >= 16:
        attributes["coordinate_transformation_mode"] = d.one_of("half_pixel", "output_half_pixel")
    inputs = (
        Fed(values=d.random.standard_normal((images, d.whole(1, 3), height, width)).astype("f")),
        # On noise ONNX Runtime counts samples of regions that are turned round, and fails.
        Fed(values=corners.astype(np.float32)) if sampling else corners.astype(np.float32),
        d.wholes((count,), 0, images - 1),
    )
    return Case(name="", inputs=inputs, attributes=attributes)


def turned_regions(d: Draw, opset: int) -> Case:
    images, count = d.whole(1, 2), d.whole(1, 3)
    rows = np.empty((count, 6))
    rows[:, 0] = d.random.integers(-1, images + 1, count)  # some of images that are not there
    rows[:, 1:3] = d.random.uniform(-2, 9, (count, 2))
    rows[:, 3:5] = d.random.uniform(0, 6, (count, 2))
    rows[:, 5] = d.random.uniform(-4, 4, count)
    attributes: dict[str, Any] = {
        "output_height": d.whole(1, 3),
        "output_width": d.whole(1, 3),
        "sampling_ratio": d.whole(0, 2),
        "aligned": d.whole(0, 1),
        "clockwise": d.whole(0, 1),
    }
    image = d.random.standard_normal((images, d.whole(1, 3), d.whole(1, 7), d.whole(1, 7)))
    inputs = (Fed(values=image.astype(np.float32)), Fed(values=rows.astype(np.float32)))
    return Case(name="", inputs=inputs, attributes=attributes, tolerance=1e-4)


def deformed(kind: str) -> Drawn:
    """A deformable convolution: ONNX's own, or MMCV's, plain or "modulated"."""

    def draw(d: Draw, opset: int) -> Case:
        groups, parts = d.whole(1, 2), d.whole(1, 2)
        channels = groups * parts * d.whole(1, 2)
        kernel = [d.whole(1, 3), d.whole(1, 3)]
        sizes = [each + d.whole(0, 4) for each in kernel]
        stride = [d.whole(1, 2), d.whole(1, 2)]
        pads = [d.whole(0, 1), d.whole(0, 1)]
        places = [
            (size + 2 * pad - k) // step + 1
            for size, pad, k, step in zip(sizes, pads, kernel, stride, strict=True)
        ]
        images, window = d.whole(1, 2), parts * math.prod(kernel)
        image = d.random.standard_normal((images, channels, *sizes)).astype(np.float32)
        weights = d.random.standard_normal((2 * groups, channels // groups, *kernel))
        offsets = d.random.integers(-5, 6, (images, 2 * window, *places)) / 2
        if d.maybe():
            offsets = np.where(d.random.random(offsets.shape) < 0.1, d.one_of(*_FAR), offsets)
        mask = Fed(values=d.random.random((images, window, *places)).astype(np.float32))
        bias = d.random.standard_normal(2 * groups).astype(np.float32) if d.maybe() else None
        fed = Fed(values=image), Fed(values=offsets.astype(np.float32))
        fixed = weights.astype(np.float32)
        if not kind:
            masked = mask if d.maybe() else None
            return Case(
                name="",
                inputs=(fed[0], fixed, fed[1], bias, masked),
                attributes={
                    "group": groups,
                    "offset_group": parts,
                    "strides": stride,
                    "pads": pads * 2,
                },
            )
        attributes = {"groups": groups, "deform_groups": parts, "stride": stride, "padding": pads}
        inputs = (*fed, mask, fixed, bias) if kind == "modulated" else (*fed, fixed)
        return Case(name="", inputs=inputs, attributes=attributes)

    return draw


def attention(d: Draw, opset: int) -> Case:
    """To places at the borders of maps, and far beyond them."""
    maps = [(d.whole(1, 4), d.whole(1, 4)) for _ in range(d.whole(1, 3))]
    pixels = [height * width for height, width in maps]
    batch, heads = d.whole(1, 2), d.whole(1, 2)
    of_points = (batch, d.whole(1, 4), heads, len(maps), d.whole(1, 3))
    places = d.random.integers(-4, 9, (*of_points, 2)) / 4
    weights = d.random.random(of_points)
    value = d.random.standard_normal((batch, sum(pixels), heads, d.one_of(1, 3, 8)))
    inputs = (
        Fed(values=value.astype(np.float32)),
        np.asarray(maps, dtype=np.int64),
        np.cumsum([0, *pixels[:-1]]).astype(np.int64),
        Fed(values=places.astype(np.float32)),
        Fed(values=weights.astype(np.float32)),
    )
    return Case(name="", inputs=inputs)


def suppression(d: Draw, opset: int) -> Case:
    """Boxes and scores that are often the same; what is left is filled up with rows of -1."""
    images, classes, count = d.whole(1, 2), d.whole(1, 3), d.whole(1, 9)
    boxes = d.random.integers(0, 5, (images, count, 4)).astype(np.float32)
    scores = np.round(d.random.random((images, classes, count)), 1).astype(np.float32)
    if d.maybe():
        scores = np.where(d.random.random(scores.shape) < 0.2, d.one_of(np.inf, -np.inf), scores)
    most = np.asarray([d.one_of(0, 1, 3, 2**40)], dtype=np.int64)
    limits: list[Any] = [most if d.random.random() < 0.9 else None]
    limits.append(np.asarray([d.one_of(0.0, 0.5, 1.0)], dtype=np.float32) if d.maybe() else None)
    limits.append(np.asarray([d.one_of(-1.0, 0.5)], dtype=np.float32) if d.maybe() else None)
    while limits and limits[-1] is None:
        limits.pop()
    return Case(
        name="",
        inputs=(Fed(values=boxes), Fed(values=scores.astype(np.float32)), *limits),
        attributes={"center_point_box": d.whole(0, 1)},
        filled=(d.whole(1, 12), 3),
    )
