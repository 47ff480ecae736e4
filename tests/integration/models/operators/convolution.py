"""Convolutions of every form, and what slides like them: pools."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from tests.integration.models.operators.case import (
    Case,
    floats,
    label,
    number,
    several,
    single,
)

IMAGES = {1: (1, 6, 13), 2: (1, 6, 9, 11), 3: (1, 4, 5, 6, 7)}


def convolutions() -> Iterator[Case]:
    forms: list[tuple[str, dict[str, Any]]] = [
        ("plain", {}),
        ("stride", {"strides": 2}),
        ("dilation", {"dilations": 2}),
        ("pads", {"begin": 1, "end": 2}),
        ("same-upper", {"auto_pad": "SAME_UPPER", "strides": 2}),
        ("same-lower", {"auto_pad": "SAME_LOWER", "strides": 2}),
        ("valid", {"auto_pad": "VALID"}),
    ]
    for rank, (form, options) in itertools.product(IMAGES, forms):
        attributes = windowed(rank, options)
        channels = IMAGES[rank][1]
        kernel = (3, 2, 3)[:rank]
        for kind, group, outputs in (
            ("full", 1, 5),
            ("grouped", 2, 8),
            ("depthwise", channels, channels),
            ("multiplier", channels, 2 * channels),
        ):
            if kind in ("grouped", "multiplier") and form not in ("plain", "pads", "stride"):
                continue
            bias = None if form == "stride" else floats(outputs)
            yield single(
                f"conv/{rank}d-{kind}-{form}",
                "Conv",
                IMAGES[rank],
                floats(outputs, channels // group, *kernel),
                bias,
                group=group,
                **attributes,
            )
    for form, image, attributes in (
        ("plain", (1, 16, 1, 1), {}),
        ("1d", (1, 16, 1), {}),
        ("3d", (1, 16, 1, 1, 1), {}),
        ("padded", (1, 16, 1, 1), {"pads": [1, 1, 1, 1]}),
        ("grouped", (1, 16, 1, 1), {"group": 2}),
        ("batch", (3, 16, 1, 1), {}),
    ):
        weights = floats(12, 16 // attributes.get("group", 1), *image[2:])
        for bias in (None, floats(12)):
            name = f"conv/pixel-{form}{'' if bias is None else '-bias'}"
            yield single(name, "Conv", image, weights, bias, **attributes)
    yield several(
        "conv/pixel-relu",
        [("Conv", ["x", "w", "b"], ["t"], {}), ("Relu", ["t"], ["y"], {})],
        {"x": (1, 16, 1, 1)},
        ["y"],
        {"w": floats(12, 16, 1, 1), "b": floats(12)},
    )
    for channels, outputs, kernel, stride in (
        (16, 32, 1, 1),
        (16, 16, 3, 1),
        (3, 16, 3, 2),
        (32, 20, 5, 1),
        (8, 64, 3, 1),
        (64, 64, 3, 1),
    ):
        yield single(
            f"conv/packed-{channels}-{outputs}-k{kernel}-s{stride}",
            "Conv",
            (1, channels, 14, 15),
            floats(outputs, channels, kernel, kernel),
            floats(outputs),
            strides=[stride] * 2,
            pads=[kernel // 2] * 4,
        )
    for group in (4, 8, 16, 32):
        yield single(
            f"conv/packed-group-{group}",
            "Conv",
            (1, 32, 9, 9),
            floats(32, 32 // group, 3, 3),
            None,
            group=group,
        )
    yield single("conv/batch", "Conv", (2, 3, 8, 8), floats(4, 3, 3, 3))
    yield single("conv/computed-weight", "Conv", (1, 3, 8, 8), (4, 3, 3, 3))
    for activation, attributes in (
        ("Relu", {}),
        ("LeakyRelu", {"alpha": 0.2}),
        ("Sigmoid", {}),
        ("HardSwish", {}),
        ("Tanh", {}),
        ("Elu", {}),
        ("HardSigmoid", {}),
        ("Softplus", {}),
    ):
        for channels in (5, 16):
            yield several(
                f"conv/fused-{activation}-{channels}",
                [("Conv", ["x", "w", "b"], ["t"], {}), (activation, ["t"], ["y"], attributes)],
                {"x": (1, 3, 8, 8)},
                ["y"],
                {"w": floats(channels, 3, 3, 3), "b": floats(channels)},
            )
    yield several(
        "conv/fused-clip",
        [("Conv", ["x", "w"], ["t"], {}), ("Clip", ["t", "low", "high"], ["y"], {})],
        {"x": (1, 3, 8, 8)},
        ["y"],
        {"w": floats(5, 3, 3, 3), "low": number(0), "high": number(6)},
    )


def transposed_convolutions() -> Iterator[Case]:
    forms: list[tuple[str, dict[str, Any]]] = [
        ("plain", {}),
        ("stride", {"strides": 2}),
        ("dilation", {"dilations": 2, "strides": 2}),
        ("pads", {"begin": 1, "end": 2, "strides": 2}),
        ("output-padding", {"strides": 2, "begin": 1, "end": 1, "output_padding": 1}),
        ("same-upper", {"auto_pad": "SAME_UPPER", "strides": 2}),
        ("same-lower", {"auto_pad": "SAME_LOWER", "strides": 2}),
        ("valid", {"auto_pad": "VALID", "strides": 2}),
        ("same-output-padding", {"auto_pad": "SAME_UPPER", "strides": 2, "output_padding": 1}),
    ]
    for rank, (form, options) in itertools.product(IMAGES, forms):
        channels = IMAGES[rank][1]
        for kind, group, outputs in (
            ("full", 1, 5),
            ("grouped", 2, 8),
            ("depthwise", channels, channels),
        ):
            if kind == "grouped" and form not in ("plain", "pads"):
                continue
            bias = None if form == "stride" else floats(outputs)
            yield single(
                f"deconv/{rank}d-{kind}-{form}",
                "ConvTranspose",
                IMAGES[rank],
                floats(channels, outputs // group, *(3, 2, 3)[:rank]),
                bias,
                group=group,
                **windowed(rank, options),
            )
    image, weight = (1, 4, 7, 6), floats(4, 5, 3, 3)
    for name, attributes in (
        ("shape", {"output_shape": [14, 12], "strides": [2, 2]}),
        ("shape-odd", {"output_shape": [13, 12], "strides": [2, 2]}),
        (
            "shape-lower",
            {"output_shape": [14, 12], "strides": [2, 2], "auto_pad": "SAME_LOWER"},
        ),
        (
            "shape-upper",
            {"output_shape": [14, 12], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
        ),
        ("shape-large", {"output_shape": [17, 15], "strides": [2, 2]}),
    ):
        yield single(f"deconv/{name}", "ConvTranspose", image, weight, None, **attributes)
    for group in (1, 4, 16):
        yield single(
            f"deconv/packed-group-{group}",
            "ConvTranspose",
            (1, 16, 6, 7),
            floats(16, 16 // group, 4, 4),
            floats(16),
            group=group,
            strides=[2, 2],
            pads=[1, 1, 1, 1],
        )
    yield several(
        "deconv/fused-relu",
        [
            ("ConvTranspose", ["x", "w"], ["t"], {"strides": [2, 2]}),
            ("Relu", ["t"], ["y"], {}),
        ],
        {"x": image},
        ["y"],
        {"w": weight},
    )


def windowed(rank: int, options: dict[str, Any]) -> dict[str, Any]:
    """Attributes for every spatial axis; the strides of two axes differ."""
    made = dict(options)
    if "begin" in made:
        begin, end = made.pop("begin"), made.pop("end")
        made["pads"] = [begin] * rank + [end] * rank
    for name in ("dilations", "output_padding"):
        if name in made:
            made[name] = [made[name]] * rank
    if "strides" in made:
        made["strides"] = [made["strides"] + axis % 2 for axis in range(rank)]
    return made


def poolings() -> Iterator[Case]:
    forms: list[tuple[str, dict[str, Any]]] = [
        ("plain", {}),
        ("stride", {"strides": 2}),
        ("stride-3", {"strides": 3}),
        ("ceil", {"strides": 2, "ceil_mode": 1}),
        ("ceil-3", {"strides": 3, "ceil_mode": 1}),
        ("pads", {"strides": 2, "begin": 1, "end": 1}),
        ("pads-uneven", {"strides": 2, "begin": 0, "end": 1}),
        ("pads-ceil", {"strides": 2, "begin": 1, "end": 1, "ceil_mode": 1}),
        ("same-upper", {"strides": 2, "auto_pad": "SAME_UPPER"}),
        ("same-lower", {"strides": 2, "auto_pad": "SAME_LOWER"}),
        ("valid", {"strides": 2, "auto_pad": "VALID"}),
    ]
    images = {1: (1, 5, 14), 2: (1, 5, 9, 12), 3: (1, 4, 6, 7, 8)}
    for rank, (form, options) in itertools.product(images, forms):
        for operator in ("MaxPool", "AveragePool"):
            attributes = windowed(rank, options)
            kernel = [3, 3, 2][:rank]
            yield single(
                f"pool/{operator}-{rank}d-{form}",
                operator,
                images[rank],
                kernel_shape=kernel,
                opset=19,
                **attributes,
            )
            if operator == "AveragePool" and ("pads" in form or "same" in form or "ceil" in form):
                yield single(
                    f"pool/{operator}-{rank}d-{form}-counting",
                    operator,
                    images[rank],
                    kernel_shape=kernel,
                    count_include_pad=1,
                    opset=19,
                    **attributes,
                )
    for channels, kernel in itertools.product((8, 16), (2, 3)):
        for operator in ("MaxPool", "AveragePool"):
            yield single(
                f"pool/{operator}-packed-{channels}-k{kernel}",
                operator,
                (1, channels, 9, 10),
                kernel_shape=[kernel] * 2,
                strides=[2, 2],
                pads=[kernel // 2] * 4,
            )
    yield single(
        "pool/MaxPool-dilated", "MaxPool", (1, 4, 9, 9), kernel_shape=[3, 3], dilations=[2, 2]
    )
    yield single(
        "pool/AveragePool-dilated",
        "AveragePool",
        (1, 4, 9, 9),
        kernel_shape=[3, 3],
        dilations=[2, 2],
        opset=19,
    )
    yield single("pool/MaxPool-batch", "MaxPool", (3, 4, 9, 9), kernel_shape=[3, 3])
    yield single("pool/LpPool", "LpPool", (1, 4, 9, 9), kernel_shape=[3, 3], p=2)
    yield single(
        "pool/LpPool-1-pads", "LpPool", (1, 4, 9), kernel_shape=[3], p=1, pads=[1, 1], strides=[2]
    )
    yield single("pool/LpPool-3", "LpPool", (1, 4, 9, 9), kernel_shape=[3, 3], p=3)
    for operator in ("GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool"):
        for shape in ((1, 5, 13), (1, 6, 7, 5), (1, 16, 7, 5), (1, 4, 3, 5, 2), (1, 1, 4, 4)):
            yield single(f"pool/{operator}-{label(shape)}", operator, shape)
        yield single(f"pool/{operator}-batch", operator, (2, 3, 5, 5))
