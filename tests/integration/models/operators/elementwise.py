"""What is computed element by element, and softmaxes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from onnx import TensorProto

from tests.integration.models.operators.case import (
    BROADCASTS,
    UNARY,
    Case,
    floats,
    label,
    number,
    positive,
    several,
    single,
)


def elementwise() -> Iterator[Case]:
    for index, (first, second) in enumerate(BROADCASTS):
        for operator in ("Add", "Sub", "Mul", "Div", "Max", "Min"):
            # Every pattern by one operator that commutes and one that does not.
            if operator not in (("Add", "Mul", "Max", "Min")[index % 4], ("Sub", "Div")[index % 2]):
                continue
            drawn = (0.3, 2.0) if operator == "Div" else None
            name = f"binary/{operator}-{label(first)}-{label(second)}"
            yield single(f"{name}-both", operator, first, second, interval=drawn)
            yield single(f"{name}-swapped", operator, second, first, interval=drawn)
            yield single(f"{name}-right", operator, first, positive(*second), interval=drawn)
            yield single(f"{name}-left", operator, positive(*second), first, interval=drawn)
    shape = (1, 4, 5, 6)
    for operator in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Pow"):
        for kind, constant in (("scalar", number(1.7)), ("one", floats(1)), ("ones", floats(1, 1))):
            value = np.asarray(np.abs(constant))
            yield single(
                f"binary/{operator}-{kind}-right", operator, shape, value, interval=(0.2, 2)
            )
            yield single(
                f"binary/{operator}-{kind}-left", operator, value, shape, interval=(0.2, 2)
            )
    for exponent in (2.0, 0.5, 3.0, -1.0, 0.0, 1.0, -2.0, -0.5, 4.0):
        yield single(f"binary/Pow-{exponent}", "Pow", shape, number(exponent), interval=(0.2, 2))
    for exponent in (2.0, 3.0, 4.0, 5.0, 1.0, -1.0, -2.0):
        yield single(f"binary/Pow-of-negative-{exponent}", "Pow", shape, number(exponent))
    yield single("binary/Pow-integer", "Pow", shape, np.asarray(3, dtype=np.int64))
    yield single("binary/Pow-tensors", "Pow", shape, (1, 4, 1, 1), interval=(0.2, 2))
    yield single("binary/Pow-channel", "Pow", shape, floats(4, 1, 1), interval=(0.2, 2))
    yield single(
        "binary/Pow-negative-channel", "Pow", shape, np.asarray([1, 2, 3, 2], "f").reshape(4, 1, 1)
    )
    yield single("binary/rank-up", "Add", (5, 6), floats(1, 4, 1, 1))
    yield single("binary/rank-up-tensors", "Sub", (5, 6), (1, 4, 1, 1))
    yield single("binary/rank-up-number", "Mul", (6,), floats(1, 1, 1))
    yield single("binary/number-left-alone", "Sub", number(1.0), (1, 8))
    for operator in ("Max", "Min", "Sum", "Mean"):
        yield single(f"binary/{operator}-1", operator, shape)
        yield single(f"binary/{operator}-2", operator, shape, (4, 1, 1))
        yield single(f"binary/{operator}-3", operator, shape, (4, 1, 1), (1, 1, 5, 6))
        yield single(f"binary/{operator}-grows", operator, (6,), (5, 1), (4, 1, 1), (1, 4, 5, 6))
        yield single(f"binary/{operator}-constant", operator, shape, floats(4, 1, 1), shape)
    yield single("binary/Max-scalars", "Max", shape, number(0.1), number(0.3))
    yield single("binary/Mod", "Mod", shape, shape, fmod=1, interval=(0.5, 3))
    yield single("unary/Det", "Det", (1, 3, 5, 5))
    for operator in ("Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual"):
        yield several(
            f"binary/{operator}",
            [(operator, ["a", "b"], ["t"], {}), ("Cast", ["t"], ["y"], {"to": TensorProto.FLOAT})],
            {"a": shape, "b": shape},
            ["y"],
        )
    mask = np.arange(120).reshape(shape) % 3 == 0
    yield single("binary/Where-constant", "Where", mask, shape, shape)
    yield single("binary/Where-number", "Where", mask[:, :1], shape, number(-3.0))
    yield single("binary/Where-number-left", "Where", mask[:, :, :1], number(-9.0), shape)
    yield single("binary/Where-all", "Where", np.full((1, 1, 1, 1), True), shape, shape)
    yield single("binary/Where-never", "Where", np.full((6,), False), shape, number(2.0))
    yield single("binary/Where-grows", "Where", mask, number(2.0), (1, 4, 1, 1))
    yield single("binary/Where-infinite", "Where", mask[0, 0], number(-np.inf), shape)
    yield several(
        "binary/Where-infinite-softmax",
        [
            ("Where", ["m", "low", "x"], ["t"], {}),
            ("Softmax", ["t"], ["y"], {"axis": -1}),
        ],
        {"x": shape},
        ["y"],
        {"m": mask, "low": number(-np.inf)},
    )
    yield several(
        "binary/Where-computed",
        [("Greater", ["a", "b"], ["t"], {}), ("Where", ["t", "a", "b"], ["y"], {})],
        {"a": shape, "b": shape},
        ["y"],
    )


UNARY_SHAPES = ((7,), (3, 5), (1, 5, 3, 7), (1, 16, 3, 5), (2, 3, 4, 5), (1, 8, 2, 3, 5))


NEWER = {"Gelu": 20, "Mish": 18, "Swish": 24}


def unaries() -> Iterator[Case]:
    for operator, interval in UNARY.items():
        for shape in UNARY_SHAPES:
            yield single(
                f"unary/{operator}-{label(shape)}",
                operator,
                shape,
                opset=NEWER.get(operator, 17),
                interval=interval,
            )
    # Ties and integers, where rounding and signs show.
    shift = np.asarray([[-2.5, -1.5, -0.5, 0.0, 0.5, 1.5, 2.5, 3.0]], dtype=np.float32)
    for operator in ("Round", "Floor", "Ceil", "Sign"):
        yield several(
            f"unary/{operator}-ties",
            [
                ("Mul", ["x", "zero"], ["t"], {}),
                ("Add", ["t", "c"], ["s"], {}),
                (operator, ["s"], ["y"], {}),
            ],
            {"x": (1, 8)},
            ["y"],
            {"zero": number(0), "c": shift},
        )
    for name, interval in (
        ("Softplus", (20.0, 120.0)),
        ("Mish", (20.0, 120.0)),
        ("Exp", (-100, 5)),
    ):
        yield single(
            f"unary/{name}-large", name, (1, 5, 6), interval=interval, opset=NEWER.get(name, 17)
        )
    yield several(
        "unary/Pow-of-zero",
        [("Relu", ["x"], ["t"], {}), ("Pow", ["t", "p"], ["y"], {})],
        {"x": (1, 16, 5, 6)},
        ["y"],
        {"p": number(0.7)},
    )
    yield single("unary/Tanh-small", "Tanh", (1, 5, 6), interval=(-0.01, 0.01))
    yield single("unary/Sinh-small", "Sinh", (1, 5, 6), interval=(-0.01, 0.01))


def activations() -> Iterator[Case]:
    shape = (1, 6, 5, 7)
    parameters: tuple[tuple[str, dict[str, float]], ...] = (
        ("LeakyRelu", {"alpha": 0.3}),
        ("LeakyRelu", {"alpha": 0.0}),
        ("LeakyRelu", {"alpha": 1.5}),
        ("Elu", {"alpha": 0.4}),
        ("Celu", {"alpha": 0.7}),
        ("Selu", {"alpha": 1.2, "gamma": 0.8}),
        ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
        ("HardSigmoid", {"alpha": 0.4, "beta": 0.1}),
        ("HardSigmoid", {"alpha": -0.4, "beta": 0.1}),
        ("HardSigmoid", {"alpha": 0.0, "beta": 0.3}),
        ("Shrink", {"bias": 0.3, "lambd": 0.7}),
        ("Shrink", {"bias": 0.0, "lambd": 0.2}),
        ("ThresholdedRelu", {"alpha": 0.5}),
        ("ThresholdedRelu", {"alpha": -0.5}),
        ("Swish", {"alpha": 0.5}),
        ("Swish", {"alpha": -1.5}),
    )
    for operator, attributes in parameters:
        words = "-".join(f"{key}{value:.3g}" for key, value in attributes.items())
        yield single(
            f"activation/{operator}-{words}",
            operator,
            shape,
            opset=NEWER.get(operator, 17),
            **attributes,
        )
    yield single("activation/Gelu-tanh", "Gelu", shape, opset=20, approximate="tanh")
    for name, slope in (
        ("one", floats(1)),
        ("scalar", number(0.2)),
        ("channel", floats(6, 1, 1)),
        ("channel-4d", floats(1, 6, 1, 1)),
        ("full", floats(6, 5, 7)),
        ("last", floats(7)),
        ("row", floats(5, 1)),
    ):
        yield single(f"activation/PRelu-{name}", "PRelu", shape, slope)
    yield single("activation/PRelu-16", "PRelu", (1, 16, 5, 7), floats(16, 1, 1))
    yield single("activation/PRelu-2d", "PRelu", (1, 9), floats(9))
    yield single("activation/PRelu-rows", "PRelu", (4, 9), floats(9))
    yield single("activation/PRelu-batch", "PRelu", (2, 9, 3), floats(9, 1))
    yield single("activation/PRelu-3d", "PRelu", (1, 8, 9), floats(8, 1))
    yield single("activation/PRelu-5d", "PRelu", (1, 4, 3, 2, 5), floats(4, 1, 1, 1))
    yield single("activation/PRelu-computed", "PRelu", shape, (6, 1, 1))
    yield single("activation/Clip-6", "Clip", shape, min=0.0, max=6.0, opset=6)
    yield single("activation/Clip-6-min", "Clip", shape, min=-0.3, opset=6)
    yield single("activation/Clip-11", "Clip", shape, number(-0.4), number(0.6), opset=11)
    yield single("activation/Clip-min", "Clip", shape, number(0.1))
    yield single("activation/Clip-max", "Clip", shape, None, number(0.1))
    yield single("activation/Clip-none", "Clip", shape)
    yield single("activation/Clip-crossed", "Clip", shape, number(0.5), number(-0.5))
    yield several(
        "activation/Clip-computed",
        [
            ("ReduceMax", ["x"], ["m"], {"keepdims": 0}),
            ("Clip", ["x", "", "m"], ["y"], {}),
        ],
        {"x": shape},
        ["y"],
    )


def softmaxes() -> Iterator[Case]:
    for operator in ("Softmax", "LogSoftmax", "Hardmax"):
        for shape in ((9,), (4, 9), (1, 5, 7), (1, 6, 5, 7), (1, 16, 5, 8), (2, 3, 4, 5)):
            for axis in range(-1, len(shape) - 1):
                if operator == "Hardmax" and axis != -1:
                    continue
                yield single(
                    f"softmax/{operator}-{label(shape)}-{axis}", operator, shape, axis=axis
                )
        yield single(f"softmax/{operator}-default", operator, (1, 3, 5))
        yield single(f"softmax/{operator}-5d", operator, (1, 2, 3, 4, 5), axis=2)
        yield single(f"softmax/{operator}-5d-batch", operator, (2, 2, 3, 4, 5), axis=2)
        if operator == "Hardmax":
            continue
        for axis in (0, 1, 2, -1):
            yield single(
                f"softmax/{operator}-11-{axis}", operator, (1, 6, 5, 7), axis=axis, opset=11
            )
        yield single(f"softmax/{operator}-11-default", operator, (3, 6, 5), opset=11)
