"""Hundreds of small graphs, one operator each and some of several, for the emitter.

A case is seeded by its name and stands for itself. Operands are written as what they are:
a tuple is the shape of an input, an array a constant, None a place left out.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Operand = tuple[int, ...] | np.ndarray | None
# One node of a graph of several: operator, inputs, outputs, attributes.
Step = tuple[str, Sequence[str], Sequence[str], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A graph, and the interval its inputs are drawn from (None: normally distributed)."""

    name: str
    model: onnx.ModelProto
    interval: tuple[float, float] | None = None

    @property
    def family(self) -> str:
        return self.name.partition("/")[0]


def single(
    name: str,
    operator: str,
    *operands: Operand,
    opset: int = 17,
    outputs: int = 1,
    interval: tuple[float, float] | None = None,
    **attributes: Any,
) -> Case:
    """A graph of one node."""
    inputs = {f"x{i}": o for i, o in enumerate(operands) if isinstance(o, tuple)}
    constants = {f"c{i}": o for i, o in enumerate(operands) if isinstance(o, np.ndarray)}
    names = [
        "" if o is None else f"x{i}" if isinstance(o, tuple) else f"c{i}"
        for i, o in enumerate(operands)
    ]
    results = [f"y{i}" for i in range(outputs)]
    steps: list[Step] = [(operator, names, results, attributes)]
    return several(name, steps, inputs, results, constants, opset=opset, interval=interval)


def several(
    name: str,
    steps: Sequence[Step],
    inputs: dict[str, tuple[int, ...]],
    outputs: Sequence[str],
    constants: dict[str, np.ndarray] | None = None,
    *,
    opset: int = 17,
    interval: tuple[float, float] | None = None,
) -> Case:
    """A graph of several nodes; the steps name their tensors."""
    nodes = [
        helper.make_node(op, list(ins), list(outs), name=f"node{i}_{op}", **attributes)
        for i, (op, ins, outs, attributes) in enumerate(steps)
    ]
    graph = helper.make_graph(
        nodes,
        "case",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs],
        [numpy_helper.from_array(values, n) for n, values in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    return Case(name=name, model=model, interval=interval)


def floats(*shape: int, seed: int = 0) -> np.ndarray:
    """Normally distributed values, none of them near 0."""
    values = np.random.default_rng([seed, *shape]).standard_normal(shape)
    return np.asarray(values + 0.2 * np.sign(values), dtype=np.float32).reshape(shape)


def positive(*shape: int, seed: int = 0) -> np.ndarray:
    return np.abs(floats(*shape, seed=seed)) + np.float32(0.1)


def number(value: float) -> np.ndarray:
    return np.asarray(value, dtype=np.float32)


def ints(*values: int) -> np.ndarray:
    return np.asarray(values, dtype=np.int64)


def label(values: Sequence[int]) -> str:
    return "x".join(str(value) for value in values) or "scalar"


def all_cases() -> list[Case]:
    """Every case; names are unique."""
    cases = [case for family in FAMILIES for case in family()]
    assert len({case.name for case in cases}) == len(cases)
    return cases


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


BROADCASTS: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (
    ((7,), (7,)),
    ((7,), (1,)),
    ((3, 7), (7,)),
    ((3, 7), (3, 1)),
    ((3, 1), (1, 7)),
    ((7, 7), (7,)),
    ((1, 8), (1, 8)),
    ((1, 16, 5), (1, 16, 1)),
    ((1, 5, 5, 5), (5,)),
    ((1, 4, 5, 6), (1, 4, 5, 6)),
    ((1, 4, 5, 6), (1, 4, 1, 1)),
    ((1, 4, 5, 6), (4, 1, 1)),
    ((1, 4, 5, 6), (1, 1, 5, 6)),
    ((1, 4, 5, 6), (5, 6)),
    ((1, 4, 5, 6), (6,)),
    ((1, 4, 5, 6), (5, 1)),
    ((1, 4, 5, 6), (1, 4, 5, 1)),
    ((1, 4, 5, 6), (1, 4, 1, 6)),
    ((1, 4, 1, 6), (1, 1, 5, 1)),
    ((1, 4, 1, 1), (1, 1, 5, 6)),
    ((1, 16, 5, 6), (1, 16, 1, 1)),
    ((1, 16, 5, 6), (1, 1, 5, 6)),
    ((1, 16, 5, 6), (1, 16, 5, 1)),
    ((1, 16, 1, 6), (1, 16, 5, 1)),
    ((1, 16, 1, 1), (1, 1, 5, 6)),
    ((2, 3, 4, 5), (3, 1, 5)),
    ((2, 3, 4, 5), (2, 1, 1, 1)),
    ((2, 1, 4, 1), (1, 3, 1, 5)),
    ((16, 3, 4, 5), (16, 1, 4, 1)),
    ((1, 2, 3, 4, 5), (3, 1, 1)),
    ((1, 8, 3, 4, 5), (1, 8, 1, 1, 1)),
    ((2, 2, 3, 4, 5), (3, 4, 5)),
    ((2, 2, 3, 4, 5), (2, 1, 3, 1, 5)),
    ((1, 1, 1, 1), (1, 4, 5, 6)),
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


UNARY: dict[str, tuple[float, float] | None] = {
    "Abs": None,
    "Neg": None,
    "Floor": None,
    "Ceil": None,
    "Sqrt": (0.1, 3.0),
    "Exp": None,
    "Log": (0.1, 3.0),
    "Sin": None,
    "Cos": None,
    "Tan": (-1.2, 1.2),
    "Asin": (-0.95, 0.95),
    "Acos": (-0.95, 0.95),
    "Atan": None,
    "Reciprocal": (0.3, 3.0),
    "Round": (-5.0, 5.0),
    "Sign": None,
    "Sinh": None,
    "Cosh": None,
    "Asinh": None,
    "Acosh": (1.1, 4.0),
    "Atanh": (-0.9, 0.9),
    "Erf": None,
    "Relu": None,
    "Sigmoid": (-8.0, 8.0),
    "Tanh": (-6.0, 6.0),
    "Softplus": (-20.0, 20.0),
    "Softsign": None,
    "Mish": (-8.0, 8.0),
    "HardSwish": (-5.0, 5.0),
    "HardSigmoid": (-5.0, 5.0),
    "Elu": None,
    "Selu": None,
    "Celu": None,
    "Gelu": (-4.0, 4.0),
    "LeakyRelu": None,
    "ThresholdedRelu": None,
    "Shrink": (-2.0, 2.0),
    "Swish": (-8.0, 8.0),
}
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


def reshapes() -> Iterator[Case]:
    shape = (1, 6, 4, 5)
    for target in (
        (1, -1),
        (0, 2, -1),
        (120,),
        (6, 20),
        (1, 4, 6, 5),
        (2, 3, 4, 5),
        (1, 2, 3, 4, 5),
    ):
        yield single(f"reshape/{label(target)}", "Reshape", shape, ints(*target))
    yield single("reshape/allowzero", "Reshape", shape, ints(6, -1), allowzero=1)
    yield single("reshape/16", "Reshape", (1, 16, 4, 5), ints(1, 8, 8, 5))
    for axis in (0, 1, 2, 3, 4, -1):
        yield single(f"reshape/Flatten-{axis}", "Flatten", shape, axis=axis)
    yield single("reshape/Squeeze-11", "Squeeze", (1, 6, 1, 5), axes=[2], opset=11)
    yield single("reshape/Squeeze-13", "Squeeze", (1, 6, 1, 5), ints(0, 2))
    yield single("reshape/Squeeze-all", "Squeeze", (1, 6, 1, 5))
    yield single("reshape/Unsqueeze-11", "Unsqueeze", (6, 5), axes=[0, 3], opset=11)
    yield single("reshape/Unsqueeze-13", "Unsqueeze", (6, 5), ints(0, -1))
    yield single("reshape/Identity", "Identity", shape)
    yield single("reshape/Dropout-12", "Dropout", shape, number(0.4), opset=12)
    yield single("reshape/Dropout-10", "Dropout", shape, ratio=0.4, opset=10)
    yield single("reshape/Cast-float", "Cast", shape, to=TensorProto.FLOAT)
    yield several(
        "reshape/Cast-integer",
        [
            ("Cast", ["x"], ["t"], {"to": TensorProto.INT32}),
            ("Cast", ["t"], ["y"], {"to": TensorProto.FLOAT}),
        ],
        {"x": shape},
        ["y"],
    )
    yield several(
        "reshape/by-shape",
        [
            ("Shape", ["x"], ["s"], {}),
            ("Gather", ["s", "i"], ["n"], {}),
            ("Concat", ["n", "rest"], ["target"], {"axis": 0}),
            ("Reshape", ["x", "target"], ["y"], {}),
        ],
        {"x": shape},
        ["y"],
        {"i": ints(0), "rest": ints(3, -1)},
    )


def transposes() -> Iterator[Case]:
    for shape in ((5, 7), (1, 5, 7), (3, 5, 7), (8, 5, 16), (1, 4, 5, 7), (2, 4, 5, 7)):
        for order in itertools.permutations(range(len(shape))):
            yield single(
                f"transpose/{label(shape)}-{''.join(map(str, order))}",
                "Transpose",
                shape,
                perm=list(order),
            )
    yield single("transpose/default", "Transpose", (2, 3, 4, 5))
    for shape, order in (
        ((1, 16, 8, 12), (0, 2, 3, 1)),
        ((1, 8, 12, 16), (0, 3, 1, 2)),
        ((1, 2, 3, 4, 5), (0, 2, 1, 3, 4)),
        ((1, 2, 3, 4, 5), (0, 4, 3, 2, 1)),
        ((2, 3, 4, 5, 6), (0, 1, 4, 2, 3)),
        ((2, 3, 4, 5, 6), (4, 3, 2, 1, 0)),
        ((1, 2, 3, 1, 4, 5), (0, 2, 1, 3, 5, 4)),
        ((1, 2, 2, 3, 2, 3), (0, 3, 5, 1, 2, 4)),
        ((1, 3, 2, 4, 2, 5), (0, 1, 3, 5, 2, 4)),
        ((1, 8, 2, 4, 2, 5), (0, 1, 2, 4, 3, 5)),
        ((1, 2, 3, 4, 5, 2), (0, 1, 4, 2, 5, 3)),
    ):
        name = f"transpose/{label(shape)}-{''.join(map(str, order))}"
        yield single(name, "Transpose", shape, perm=list(order))


def concatenations() -> Iterator[Case]:
    for shape in ((5,), (3, 5), (1, 3, 5), (1, 8, 3, 5), (2, 3, 4, 5), (1, 2, 3, 4, 5)):
        for axis in range(len(shape)):
            longer = tuple(2 * size + 1 if a == axis else size for a, size in enumerate(shape))
            yield single(f"concat/{label(shape)}-{axis}", "Concat", shape, longer, shape, axis=axis)
    yield single("concat/16", "Concat", (1, 16, 5, 6), (1, 8, 5, 6), axis=1)
    yield single("concat/16-4", "Concat", (1, 16, 5, 6), (1, 4, 5, 6), (1, 3, 5, 6), axis=1)
    yield single("concat/negative", "Concat", (1, 4, 5), (1, 4, 3), axis=-1)
    yield single("concat/constant", "Concat", (1, 4, 5), floats(1, 4, 2), axis=2)
    yield single("concat/constant-first", "Concat", floats(1, 2, 5), (1, 4, 5), axis=1)
    yield single("concat/one", "Concat", (1, 4, 5), axis=1)
    yield single("concat/5d-batch", "Concat", (2, 2, 3, 4, 5), (2, 2, 1, 4, 5), axis=2)


def splits() -> Iterator[Case]:
    for shape, axis, sizes in (
        ((9,), 0, (2, 7)),
        ((4, 9), 0, (1, 3)),
        ((4, 9), 1, (2, 3, 4)),
        ((1, 9, 5), 1, (4, 5)),
        ((1, 16, 5, 6), 1, (8, 8)),
        ((1, 16, 5, 6), 1, (4, 12)),
        ((1, 16, 5, 6), 1, (3, 13)),
        ((1, 8, 6, 5), 2, (1, 5)),
        ((1, 8, 6, 5), -1, (2, 3)),
        ((2, 3, 4, 5), 0, (1, 1)),
        ((2, 3, 4, 5), 2, (1, 3)),
        ((1, 2, 3, 4, 5), 3, (1, 3)),
        ((2, 2, 3, 4, 5), 2, (1, 2)),
    ):
        name = f"split/{label(shape)}-{axis}-{label(sizes)}"
        count = len(sizes)
        yield single(name, "Split", shape, ints(*sizes), axis=axis, outputs=count)
        yield single(f"{name}-11", "Split", shape, axis=axis, split=sizes, outputs=count, opset=11)
    yield single("split/equal", "Split", (1, 9, 5), axis=1, outputs=3)
    yield single("split/equal-11", "Split", (1, 9, 5), axis=1, outputs=3, opset=11)
    yield single("split/18", "Split", (1, 10, 5), axis=1, outputs=4, num_outputs=4, opset=18)
    yield single("split/one", "Split", (1, 9, 5), axis=1, outputs=1)
    yield several(
        "split/one-used",
        [("Split", ["x"], ["a", "b", "c"], {"axis": 1}), ("Relu", ["b"], ["y"], {})],
        {"x": (1, 9, 5)},
        ["y"],
    )


def slices() -> Iterator[Case]:
    shape = (1, 8, 9, 10)
    far = 2**62
    for name, starts, ends, axes, steps in (
        ("channels", (2,), (6,), (1,), None),
        ("channels-4", (4,), (8,), (1,), None),
        ("rows", (1,), (-1,), (2,), None),
        ("both", (1, 2), (7, far), (2, 3), None),
        ("three", (1, 1, 2), (7, 5, 9), (1, 2, 3), (1, 1, 1)),
        ("negative-axis", (-3,), (far,), (-1,), None),
        ("negative-start", (-4,), (-1,), (1,), None),
        ("step", (0,), (far,), (3,), (2,)),
        ("step-odd", (1,), (far,), (2,), (3,)),
        ("step-channels", (1,), (far,), (1,), (2,)),
        ("steps", (0, 1), (far, far), (2, 3), (2, 2)),
        ("steps-three", (0, 1, 1), (far, 8, far), (1, 2, 3), (3, 2, 4)),
        ("focus", (1, 0), (far, far), (2, 3), (2, 2)),
        ("flip", (-1,), (-far,), (3,), (-1,)),
        ("flip-channels", (-1,), (-far,), (1,), (-1,)),
        ("flip-part", (6,), (1,), (2,), (-1,)),
        ("flip-step", (-1,), (-far,), (3,), (-3,)),
        ("flip-both", (-1, -1), (-far, -far), (2, 3), (-1, -1)),
        ("flip-and-cut", (-1, 1), (-far, 5), (2, 3), (-1, 1)),
        ("whole", (0,), (far,), (2,), None),
        ("large-step", (2,), (far,), (3,), (100,)),
    ):
        given = [ints(*starts), ints(*ends), ints(*axes)]
        if steps is not None:
            given.append(ints(*steps))
        yield single(f"slice/{name}", "Slice", shape, *given)
    yield single("slice/9", "Slice", shape, starts=[1, 2], ends=[5, 9], axes=[1, 3], opset=9)
    yield single("slice/9-no-axes", "Slice", shape, starts=[0, 2], ends=[1, 9], opset=9)
    yield single("slice/1d", "Slice", (11,), ints(2), ints(9), ints(0), ints(3))
    yield single("slice/1d-flip", "Slice", (11,), ints(-1), ints(-99), ints(0), ints(-1))
    yield single("slice/2d", "Slice", (5, 11), ints(1, 2), ints(4, 9))
    yield single("slice/batch", "Slice", (3, 4, 5, 6), ints(1), ints(3), ints(0))
    yield single("slice/batch-flip", "Slice", (3, 4, 5, 6), ints(-1), ints(-9), ints(0), ints(-1))
    yield single("slice/4-axes", "Slice", (3, 4, 5, 6), ints(1, 1, 1, 1), ints(3, 3, 3, 3))
    yield single("slice/5d", "Slice", (1, 3, 4, 5, 6), ints(1, 1), ints(3, 3), ints(2, 4))
    yield single("slice/5d-step", "Slice", (2, 3, 4, 5, 6), ints(1), ints(9), ints(4), ints(2))


def gathers() -> Iterator[Case]:
    shape = (1, 6, 7, 5)
    for axis, indices in itertools.product(
        (1, 2, 3),
        (
            ints(2),
            np.asarray(3, dtype=np.int64),
            np.asarray(-1, dtype=np.int64),
            ints(0, 2, 4),
            ints(4, 1, 1, 0),
            ints(-1, -2, -3),
            ints(1, 1),
        ),
    ):
        words = "scalar" if indices.ndim == 0 else "list"
        name = f"gather/{axis}-{words}-{'_'.join(str(i) for i in indices.reshape(-1))}"
        yield single(name, "Gather", shape, indices, axis=axis)
    yield single("gather/matrix", "Gather", shape, ints(0, 2, 1, 3).reshape(2, 2), axis=1)
    yield single("gather/first", "Gather", (3, 6, 7), np.asarray(1), axis=0)
    yield single("gather/first-list", "Gather", (3, 6, 7), ints(2, 0))
    yield single("gather/negative-axis", "Gather", shape, ints(2, 0), axis=-2)
    yield single("gather/1d", "Gather", (9,), ints(2, 0, 8))
    yield single("gather/5d", "Gather", (1, 3, 6, 7, 2), np.asarray(1), axis=2)
    yield single("gather/5d-list", "Gather", (2, 3, 6, 7, 2), ints(1, 0), axis=2)
    scattered = ints(*np.random.default_rng(0).permutation(7).repeat(2))
    for axis, target in ((0, (7,)), (0, (7, 5)), (1, (1, 7, 5)), (2, (1, 6, 7)), (3, (1, 2, 3, 7))):
        name = f"gather/scattered-{label(target)}"
        yield single(name, "Gather", target, scattered, axis=axis)
    across, down = np.meshgrid(scattered, ints(0, 1, 1, 2, 5), indexing="ij")
    for form, tuples in (
        ("rows", ints(2, 0, -1).reshape(3, 1)),
        ("grid", np.stack([across, down], -1)),
        ("windows", np.stack([across, down], -1).reshape(7, 2, 5, 2)),
        ("swapped-grid", np.stack([across.T, down.T], -1)),
        ("diagonal", np.stack([ints(0, 2, -3), ints(1, 1, 4)], -1)),
        ("column", np.stack([ints(3, 3, 3), ints(4, 0, 1)], -1)),
        ("one", ints(3, 2)),
        ("deep", np.stack([ints(3, 0), ints(4, 0), ints(1, 0)], -1)),
    ):
        yield single(f"gather/ND-{form}", "GatherND", (7, 6, 3), tuples)
        yield single(f"gather/ND-{form}-4d", "GatherND", (7, 6, 3, 4), tuples)
    yield single("gather/ND-batch", "GatherND", (2, 6, 3), ints(1, 2).reshape(2, 1), batch_dims=1)


def pads() -> Iterator[Case]:
    shape = (1, 6, 7, 8)
    for mode in ("constant", "edge", "reflect", "wrap"):
        opset = 19
        for name, amounts in (
            ("width", (0, 0, 0, 2, 0, 0, 0, 1)),
            ("height", (0, 0, 1, 0, 0, 0, 2, 0)),
            ("both", (0, 0, 1, 2, 0, 0, 3, 0)),
            ("channels", (0, 1, 0, 0, 0, 2, 0, 0)),
            ("three", (0, 1, 1, 2, 0, 2, 1, 0)),
            ("none", (0,) * 8),
            ("negative", (0, 0, -1, 0, 0, 0, -2, 1)),
        ):
            yield single(f"pad/{mode}-{name}", "Pad", shape, ints(*amounts), mode=mode, opset=opset)
        yield single(f"pad/{mode}-1d", "Pad", (9,), ints(2, 3), mode=mode, opset=opset)
        yield single(f"pad/{mode}-2d", "Pad", (4, 9), ints(1, 2, 2, 3), mode=mode, opset=opset)
        yield single(
            f"pad/{mode}-batch", "Pad", (2, 4, 9), ints(1, 0, 0, 0, 0, 1), mode=mode, opset=opset
        )
        yield single(
            f"pad/{mode}-5d",
            "Pad",
            (1, 3, 4, 5, 6),
            ints(0, 0, 1, 1, 1, 0, 0, 1, 0, 2),
            mode=mode,
            opset=opset,
        )
    yield single("pad/value", "Pad", shape, ints(0, 0, 1, 1, 0, 0, 1, 1), number(-1.5))
    yield single("pad/value-channels", "Pad", shape, ints(0, 1, 0, 1, 0, 1, 0, 1), number(2.5))
    yield single("pad/channels-16", "Pad", (1, 16, 5, 5), ints(0, 4, 0, 0, 0, 4, 0, 0))
    yield single("pad/channels-16-odd", "Pad", (1, 16, 5, 5), ints(0, 3, 0, 0, 0, 2, 0, 0))
    yield single("pad/16", "Pad", (1, 16, 5, 5), ints(0, 0, 1, 2, 0, 0, 0, 1), mode="reflect")
    yield single("pad/2", "Pad", shape, pads=[0, 0, 1, 1, 0, 0, 1, 1], value=0.5, opset=2)
    yield single("pad/18-axes", "Pad", shape, ints(1, 2), number(0), ints(-1), opset=18)
    yield single("pad/18-two", "Pad", shape, ints(1, 2, 3, 4), None, ints(2, 3), opset=18)
    yield single("pad/four", "Pad", (2, 3, 4, 5), ints(1, 1, 1, 1, 0, 0, 0, 0))


def repeats() -> Iterator[Case]:
    for shape, counts in (
        ((5,), (3,)),
        ((3, 5), (2, 1)),
        ((3, 5), (2, 3)),
        ((1, 4, 5), (1, 2, 3)),
        ((1, 4, 5, 6), (1, 1, 2, 2)),
        ((1, 4, 5, 6), (1, 3, 1, 1)),
        ((1, 16, 5, 6), (1, 2, 1, 1)),
        ((1, 3, 5, 6), (2, 1, 1, 1)),
        ((2, 3, 4, 5), (2, 2, 2, 2)),
        ((1, 2, 3, 4, 5), (1, 2, 1, 2, 1)),
        ((1, 4, 5, 6), (1, 1, 1, 1)),
        ((4, 1, 1, 1, 2), (3, 2, 2, 3, 2)),
    ):
        yield single(f"tile/{label(shape)}-{label(counts)}", "Tile", shape, ints(*counts))
    for shape, target in (
        ((1,), (6,)),
        ((3, 1), (3, 4)),
        ((5,), (3, 5)),
        ((1, 4, 1, 1), (1, 4, 5, 6)),
        ((1, 1, 5, 6), (1, 8, 5, 6)),
        ((1, 4, 1, 6), (1, 4, 5, 6)),
        ((1, 4, 5, 1), (1, 4, 5, 6)),
        ((4, 1, 1), (2, 4, 5, 6)),
        ((1, 1, 1, 1), (2, 3, 4, 5)),
        ((1, 2, 3, 1, 5), (1, 2, 3, 4, 5)),
        ((1, 2, 1, 3, 4), (1, 2, 2, 3, 4)),
        ((2, 1, 3, 1, 5), (2, 2, 3, 4, 5)),
        ((3, 5), (1, 1)),
        ((1, 4, 5), (1, 4, 5)),
    ):
        yield single(f"expand/{label(shape)}-{label(target)}", "Expand", shape, ints(*target))


def shuffles() -> Iterator[Case]:
    for mode, (shape, size) in itertools.product(
        ("DCR", "CRD"), (((1, 8, 3, 5), 2), ((1, 18, 4, 3), 3), ((1, 32, 4, 5), 2))
    ):
        yield single(
            f"shuffle/DepthToSpace-{mode}-{label(shape)}",
            "DepthToSpace",
            shape,
            blocksize=size,
            mode=mode,
        )
    for shape, size in (((1, 3, 6, 8), 2), ((1, 4, 9, 6), 3), ((1, 16, 4, 4), 2)):
        yield single(f"shuffle/SpaceToDepth-{label(shape)}", "SpaceToDepth", shape, blocksize=size)
    yield single("shuffle/DepthToSpace-batch", "DepthToSpace", (2, 8, 3, 5), blocksize=2)
    yield single("shuffle/DepthToSpace-1", "DepthToSpace", (1, 8, 3, 5), blocksize=2, opset=1)
    for form, shape, sizes, options in (
        ("whole", (1, 24, 20), (8, 10), {"strides": [2, 2]}),
        ("overlapping", (1, 18, 42), (8, 9), {}),
        ("padded", (1, 12, 15), (6, 7), {"pads": [0, 1, 1, 2], "strides": [2, 2]}),
        ("dilated", (1, 12, 15), (6, 7), {"dilations": [3, 2], "strides": [1, 1]}),
        ("batch", (2, 12, 20), (8, 10), {"strides": [2, 2]}),
    ):
        block = ints(3, 3) if form == "overlapping" else ints(2, 2)
        operands = (shape, ints(*sizes), block)
        yield single(f"shuffle/Col2Im-{form}", "Col2Im", *operands, opset=18, **options)
    yield single("shuffle/Col2Im-1d", "Col2Im", (1, 6, 5), ints(10), ints(2), opset=18, strides=[2])
    for groups, channels in ((2, 16), (8, 16), (3, 24), (3, 12), (4, 32), (2, 58), (5, 10)):
        yield several(
            f"shuffle/channels-{groups}-{channels}",
            [
                ("Relu", ["x"], ["r"], {}),
                ("Reshape", ["r", "a"], ["t"], {}),
                ("Transpose", ["t"], ["s"], {"perm": [0, 2, 1, 3, 4]}),
                ("Reshape", ["s", "b"], ["y"], {}),
            ],
            {"x": (1, channels, 5, 6)},
            ["y"],
            {"a": ints(1, groups, channels // groups, 5, 6), "b": ints(1, channels, 5, 6)},
        )


REDUCTIONS = (
    "ReduceSum",
    "ReduceMean",
    "ReduceMax",
    "ReduceMin",
    "ReduceProd",
    "ReduceL1",
    "ReduceL2",
    "ReduceSumSquare",
    "ReduceLogSum",
    "ReduceLogSumExp",
)


def reductions() -> Iterator[Case]:
    shape = (1, 6, 4, 5)
    for operator in REDUCTIONS:
        interval = (0.5, 1.5) if operator in ("ReduceLogSum", "ReduceProd") else None
        for axes, keep in (
            ((1,), 1),
            ((1,), 0),
            ((-1,), 0),
            ((2,), 1),
            ((2, 3), 0),
            ((1, 2), 1),
            ((1, 3), 1),
            ((0, 3), 0),
            ((1, 2, 3), 0),
        ):
            name = f"reduce/{operator}-{'_'.join(map(str, axes))}-{keep}"
            yield single(
                name, operator, shape, ints(*axes), keepdims=keep, opset=18, interval=interval
            )
        yield single(f"reduce/{operator}-all", operator, shape, opset=18, interval=interval)
        yield single(f"reduce/{operator}-all-0", operator, shape, keepdims=0, opset=18)
        listed = {"axes": [2, 3]}
        yield single(
            f"reduce/{operator}-11", operator, shape, opset=11, interval=interval, **listed
        )
        for other, axes in (
            ((9,), (0,)),
            ((4, 9), (0,)),
            ((4, 9), (1,)),
            ((1, 16, 5, 6), (1,)),
            ((1, 16, 5, 6), (2, 3)),
            ((1, 16, 5, 6), (3,)),
            ((2, 3, 4, 5), (0, 2)),
            ((2, 3, 4, 5), (1, 3)),
            ((1, 2, 3, 4, 5), (2, 4)),
            ((2, 2, 3, 4, 5), (0, 2, 4)),
            ((3, 1, 5), (1,)),
        ):
            name = f"reduce/{operator}-{label(other)}-{'_'.join(map(str, axes))}"
            yield single(name, operator, other, ints(*axes), opset=18, interval=interval)
    # The axes of ReduceSum were an input five opsets before those of the others.
    yield single("reduce/ReduceSum-13", "ReduceSum", shape, ints(2), opset=13)
    yield single("reduce/ReduceMean-13", "ReduceMean", shape, axes=[2], opset=13)
    yield single("reduce/noop", "ReduceSum", shape, noop_with_empty_axes=1, opset=18)
    yield single("reduce/noop-square", "ReduceSumSquare", shape, noop_with_empty_axes=1, opset=18)
    yield single("reduce/empty-axes", "ReduceSum", shape, ints(), opset=18)
    yield single(
        "reduce/large-logsumexp", "ReduceLogSumExp", shape, ints(1), opset=18, interval=(50, 120)
    )
    for operator in ("ArgMax", "ArgMin"):
        yield several(
            f"reduce/{operator}",
            [(operator, ["x"], ["t"], {"axis": 1}), ("Cast", ["t"], ["y"], {"to": 1})],
            {"x": shape},
            ["y"],
        )
    yield several(
        "reduce/TopK",
        [("TopK", ["x", "k"], ["y", "i"], {"axis": 1})],
        {"x": shape},
        ["y"],
        {"k": ints(2)},
    )
    for axis, exclusive, reverse in itertools.product((1, -1, 2), (0, 1), (0, 1)):
        yield single(
            f"reduce/CumSum-{axis}-{exclusive}-{reverse}",
            "CumSum",
            shape,
            np.asarray(axis, dtype=np.int64),
            exclusive=exclusive,
            reverse=reverse,
        )
    yield single("reduce/CumSum-1d", "CumSum", (9,), np.asarray(0))
    yield single("reduce/CumSum-16", "CumSum", (1, 16, 5, 6), np.asarray(1))
    yield single("reduce/CumSum-batch", "CumSum", (2, 3, 4, 5), np.asarray(0))


def matrices() -> Iterator[Case]:
    for rows, trans_a, trans_b in itertools.product((1, 4), (0, 1), (0, 1)):
        left = (7, rows) if trans_a else (rows, 7)
        right = (5, 7) if trans_b else (7, 5)
        options = {"transA": trans_a, "transB": trans_b}
        name = f"gemm/{rows}-{trans_a}{trans_b}"
        yield single(f"{name}-const", "Gemm", left, floats(*right), **options)
        yield single(f"{name}-const-bias", "Gemm", left, floats(*right), floats(5), **options)
        yield single(f"{name}-both", "Gemm", left, right, **options)
        yield single(f"{name}-both-c", "Gemm", left, right, (5,), **options)
        yield single(f"{name}-left", "Gemm", floats(*left), right, **options)
    for name, c in (
        ("scalar", number(0.7)),
        ("one", floats(1)),
        ("row", floats(1, 5)),
        ("column", floats(4, 1)),
        ("full", floats(4, 5)),
        ("computed", (4, 5)),
        ("computed-row", (5,)),
        ("computed-column", (4, 1)),
    ):
        yield single(f"gemm/c-{name}", "Gemm", (4, 7), floats(7, 5), c, alpha=0.5, beta=-1.5)
        yield single(f"gemm/c-{name}-tensors", "Gemm", (4, 7), (7, 5), c, alpha=0.5, beta=-1.5)
    yield single("gemm/c-one-row", "Gemm", (1, 7), floats(7, 5), (1, 5), beta=0.5)
    yield single("gemm/beta-0", "Gemm", (4, 7), floats(7, 5), floats(5), beta=0.0)
    yield single("gemm/wide", "Gemm", (16, 32), floats(32, 48), floats(48))
    yield single("gemm/wide-row", "Gemm", (1, 64), floats(64, 48), floats(48))
    yield several(
        "gemm/relu",
        [("Gemm", ["x", "w", "b"], ["t"], {}), ("Relu", ["t"], ["y"], {})],
        {"x": (1, 9)},
        ["y"],
        {"w": floats(9, 4), "b": floats(4)},
    )
    for left, right in (
        ((7,), (7,)),
        ((7,), (7, 5)),
        ((4, 7), (7,)),
        ((4, 7), (7, 5)),
        ((1, 7), (7, 5)),
        ((1, 4, 7), (7, 5)),
        ((3, 4, 7), (7, 5)),
        ((3, 4, 7), (3, 7, 5)),
        ((3, 4, 7), (1, 7, 5)),
        ((1, 4, 7), (3, 7, 5)),
        ((4, 7), (3, 7, 5)),
        ((3, 4, 7), (7,)),
        ((7,), (3, 7, 5)),
        ((1, 3, 4, 7), (1, 3, 7, 5)),
        ((1, 8, 4, 16), (1, 8, 16, 4)),
        ((2, 3, 4, 7), (2, 3, 7, 5)),
        ((2, 3, 4, 7), (3, 7, 5)),
        ((2, 1, 4, 7), (1, 3, 7, 5)),
        ((2, 3, 4, 7), (2, 1, 7, 5)),
        ((2, 3, 4, 7), (7, 5)),
        ((1, 2, 3, 4, 7), (1, 2, 3, 7, 5)),
        ((2, 2, 3, 4, 7), (2, 2, 3, 7, 5)),
        ((2, 2, 3, 4, 7), (3, 7, 5)),
        ((2, 1, 3, 4, 7), (1, 2, 1, 7, 5)),
        ((1, 1, 7), (1, 7, 5)),
        ((1, 4, 1), (1, 1, 5)),
    ):
        name = f"matmul/{label(left)}-{label(right)}"
        yield single(f"{name}-both", "MatMul", left, right)
        yield single(f"{name}-right", "MatMul", left, floats(*right))
        yield single(f"{name}-left", "MatMul", floats(*left), right)
    for shape, bias in (
        ((1, 4, 7), floats(5)),
        ((1, 7), floats(5)),
        ((1, 4, 7), floats(1, 1, 5)),
        ((1, 4, 7), floats(4, 5)),
        ((1, 4, 7), floats(1)),
        ((1, 5, 7), floats(5, 1)),
        ((1, 4, 7), floats(3, 1, 5)),
    ):
        for order in (["t", "b"], ["b", "t"]):
            yield several(
                f"matmul/bias-{label(shape)}-{label(bias.shape)}-{order[0]}",
                [("MatMul", ["x", "w"], ["t"], {}), ("Add", order, ["y"], {})],
                {"x": shape},
                ["y"],
                {"w": floats(7, 5), "b": bias},
            )
    yield several(
        "matmul/bias-of-itself",
        [("MatMul", ["x", "w"], ["t"], {}), ("Add", ["t", "t"], ["y"], {})],
        {"x": (1, 4, 7)},
        ["y"],
        {"w": floats(7, 5)},
    )
    for form, shape, steps in (
        ("tokens", (1, 4, 7), [("Reshape", ["t", "rows"], ["r"], {})]),
        ("rows", (4, 7), [("Identity", ["t"], ["r"], {})]),
        ("row", (1, 7), [("Identity", ["t"], ["r"], {})]),
        # Another axis than that of the columns is normalized.
        ("turned", (1, 4, 7), [("Reshape", ["t", "turned"], ["r"], {})]),
    ):
        columns = 4 if form == "turned" else 5
        yield several(
            f"matmul/norm-behind-{form}",
            [
                ("MatMul", ["x", "w"], ["m"], {}),
                ("Add", ["m", "b"], ["t"], {}),
                *steps,
                ("BatchNormalization", ["r", "scale", "shift", "mean", "variance"], ["y"], {}),
            ],
            {"x": shape},
            ["y"],
            {
                "w": floats(7, 5),
                "b": floats(5),
                "rows": ints(-1, 5),
                "turned": ints(5, 4),
                "scale": floats(columns, seed=1),
                "shift": floats(columns, seed=2),
                "mean": floats(columns, seed=3),
                "variance": positive(columns),
            },
        )
    yield single("matmul/Einsum", "Einsum", (3, 4), (4, 5), equation="ij,jk->ik")
    yield several(
        "matmul/attention",
        [
            ("Transpose", ["k"], ["t"], {"perm": [0, 1, 3, 2]}),
            ("MatMul", ["q", "t"], ["s"], {}),
            ("Mul", ["s", "scale"], ["m"], {}),
            ("Softmax", ["m"], ["p"], {"axis": -1}),
            ("MatMul", ["p", "v"], ["y"], {}),
        ],
        {"q": (1, 4, 9, 8), "k": (1, 4, 9, 8), "v": (1, 4, 9, 8)},
        ["y"],
        {"scale": number(0.35)},
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


GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def recurrent() -> Iterator[Case]:
    steps, size, hidden = 6, 5, 4
    for operator, direction in itertools.product(GATES, ("forward", "reverse", "bidirectional")):
        count = 2 if direction == "bidirectional" else 1
        gates = GATES[operator]
        weight, recurrence = (
            floats(count, gates * hidden, size),
            floats(count, gates * hidden, hidden),
        )
        bias = floats(count, 2 * gates * hidden)
        options: dict[str, Any] = {"hidden_size": hidden, "direction": direction}
        if operator == "GRU":
            options["linear_before_reset"] = 1
        outputs = ["y", "h", "c"][: 3 if operator == "LSTM" else 2]
        constants = {"w": 0.4 * weight, "r": 0.4 * recurrence, "b": 0.4 * bias}
        states = ["h0", "c0"][: len(outputs) - 1]
        for form, ins, outs, wanted in (
            ("all", ["x", "w", "r", "b"], outputs, outputs),
            ("sequence", ["x", "w", "r", "b"], ["y"], ["y"]),
            ("last", ["x", "w", "r", "b"], ["", "h"], ["h"]),
            ("no-bias", ["x", "w", "r"], ["y"], ["y"]),
            ("states", ["x", "w", "r", "b", "", *states], outputs, outputs),
            ("state", ["x", "w", "r", "b", "", "h0"], ["y"], ["y"]),
            ("computed", ["x", "w", "r", "b", "", *states], outputs, ["y"]),
        ):
            initial = {name: floats(count, 1, hidden, seed=3) for name in states if name in ins}
            inputs = {"x": (steps, 1, size)}
            if form == "computed":
                inputs |= dict.fromkeys(states, (count, 1, hidden))
                initial = {}
            yield several(
                f"recurrent/{operator}-{direction}-{form}",
                [(operator, ins, outs, options)],
                inputs,
                wanted,
                {**{n: v for n, v in constants.items() if n in ins}, **initial},
                opset=14,
            )
        yield several(
            f"recurrent/{operator}-{direction}-squeezed",
            [
                ("Transpose", ["x"], ["t"], {"perm": [1, 0, 2]}),
                (operator, ["t", "w", "r", "b"], ["y"], options),
                ("Transpose", ["y"], ["z"], {"perm": [2, 0, 1, 3]}),
                ("Reshape", ["z", "shape"], ["out"], {}),
            ],
            {"x": (1, steps, size)},
            ["out"],
            {**constants, "shape": ints(0, 0, -1)},
            opset=14,
        )
    x, w, r = (steps, 1, size), floats(1, 12, size), floats(1, 12, hidden)
    yield single("recurrent/GRU-reset-first", "GRU", x, w, r, hidden_size=hidden)
    yield single(
        "recurrent/batch",
        "LSTM",
        (steps, 2, size),
        floats(1, 16, size),
        floats(1, 16, hidden),
        hidden_size=hidden,
    )
    yield single(
        "recurrent/activations",
        "RNN",
        x,
        w[:, :4],
        r[:, :4],
        hidden_size=hidden,
        activations=["Relu"],
    )
    yield single(
        "recurrent/activation-named",
        "RNN",
        x,
        w[:, :4],
        r[:, :4],
        hidden_size=hidden,
        activations=["Tanh"],
    )
    yield single(
        "recurrent/clip",
        "LSTM",
        x,
        floats(1, 16, size),
        floats(1, 16, hidden),
        hidden_size=hidden,
        clip=0.5,
    )
    yield single(
        "recurrent/layout",
        "LSTM",
        (1, steps, size),
        floats(1, 16, size),
        floats(1, 16, hidden),
        hidden_size=hidden,
        layout=1,
    )
    yield single(
        "recurrent/peepholes",
        "LSTM",
        x,
        floats(1, 16, size),
        floats(1, 16, hidden),
        None,
        None,
        None,
        None,
        floats(1, 12),
        hidden_size=hidden,
    )
    lengths = np.asarray([steps], dtype=np.int32)
    yield single(
        "recurrent/lengths",
        "LSTM",
        x,
        floats(1, 16, size),
        floats(1, 16, hidden),
        None,
        lengths,
        hidden_size=hidden,
    )
    yield single(
        "recurrent/shorter",
        "LSTM",
        x,
        floats(1, 16, size),
        floats(1, 16, hidden),
        None,
        lengths - 2,
        hidden_size=hidden,
    )
    yield single(
        "recurrent/large",
        "LSTM",
        (3, 1, 32),
        0.2 * floats(1, 64, 32),
        0.2 * floats(1, 64, 16),
        hidden_size=16,
    )


def graphs() -> Iterator[Case]:
    image = (1, 4, 6, 5)
    weight = {"w": floats(4, 4, 3, 3)}
    same = {"pads": [1, 1, 1, 1]}

    def graph(name: str, steps: list[Step], outputs: list[str], **options: Any) -> Case:
        inputs = options.pop("inputs", {"x": image})
        return several(f"graph/{name}", steps, inputs, outputs, options.pop("constants", None))

    yield graph(
        "shared",
        [
            ("Relu", ["x"], ["a"], {}),
            ("Sigmoid", ["a"], ["b"], {}),
            ("Tanh", ["a"], ["c"], {}),
            ("Add", ["b", "c"], ["y"], {}),
        ],
        ["y"],
    )
    yield graph("shared-input", [("Relu", ["x"], ["a"], {}), ("Add", ["a", "x"], ["y"], {})], ["y"])
    yield graph("twice-add", [("Add", ["x", "x"], ["y"], {})], ["y"])
    yield graph("twice-mul", [("Exp", ["x"], ["a"], {}), ("Mul", ["a", "a"], ["y"], {})], ["y"])
    yield graph("twice-concat", [("Concat", ["x", "x", "x"], ["y"], {"axis": 1})], ["y"])
    yield graph(
        "twice-matmul", [("MatMul", ["x", "x"], ["y"], {})], ["y"], inputs={"x": (1, 4, 5, 5)}
    )
    yield graph(
        "output-read-inside",
        [("Relu", ["x"], ["a"], {}), ("Exp", ["a"], ["y"], {})],
        ["a", "y"],
    )
    yield graph(
        "output-read-twice",
        [
            ("Relu", ["x"], ["a"], {}),
            ("Exp", ["a"], ["y"], {}),
            ("Neg", ["a"], ["z"], {}),
        ],
        ["z", "a", "y"],
    )
    yield graph(
        "conv-output-not-fused",
        [("Conv", ["x", "w"], ["a"], same), ("Relu", ["a"], ["y"], {})],
        ["a", "y"],
        constants=weight,
    )
    yield graph(
        "conv-shared-not-fused",
        [
            ("Conv", ["x", "w"], ["a"], same),
            ("Relu", ["a"], ["b"], {}),
            ("Add", ["a", "b"], ["y"], {}),
        ],
        ["y"],
        constants=weight,
    )
    yield graph(
        "conv-norm-relu",
        [
            ("Conv", ["x", "w"], ["a"], same),
            ("BatchNormalization", ["a", "s", "b", "m", "v"], ["c"], {}),
            ("Relu", ["c"], ["y"], {}),
        ],
        ["y"],
        constants={
            **weight,
            "s": floats(4),
            "b": floats(4, seed=1),
            "m": floats(4, seed=2),
            "v": positive(4),
        },
    )
    yield graph(
        "residual",
        [
            ("Conv", ["x", "w"], ["a"], same),
            ("Relu", ["a"], ["b"], {}),
            ("Conv", ["b", "w"], ["c"], same),
            ("Add", ["c", "x"], ["d"], {}),
            ("Relu", ["d"], ["y"], {}),
        ],
        ["y"],
        constants=weight,
    )
    yield graph(
        "squeeze-excite",
        [
            ("GlobalAveragePool", ["x"], ["a"], {}),
            ("Conv", ["a", "k"], ["b"], {}),
            ("Sigmoid", ["b"], ["c"], {}),
            ("Mul", ["x", "c"], ["y"], {}),
        ],
        ["y"],
        constants={"k": floats(4, 4, 1, 1)},
    )
    yield graph(
        "pool-flatten-gemm",
        [
            ("GlobalAveragePool", ["x"], ["a"], {}),
            ("Flatten", ["a"], ["b"], {}),
            ("Gemm", ["b", "k", "z"], ["y"], {"transB": 1}),
        ],
        ["y"],
        constants={"k": floats(3, 4), "z": floats(3)},
    )
    yield graph(
        "views",
        [
            ("Reshape", ["x", "s"], ["a"], {}),
            ("Transpose", ["a"], ["b"], {"perm": [0, 2, 1]}),
            ("Reshape", ["b", "t"], ["y"], {}),
        ],
        ["y"],
        constants={"s": ints(1, 4, 30), "t": ints(1, 6, 5, 4)},
    )
    yield graph(
        "views-read-twice",
        [
            ("Reshape", ["x", "s"], ["a"], {}),
            ("Relu", ["a"], ["b"], {}),
            ("Neg", ["a"], ["c"], {}),
            ("Concat", ["b", "c"], ["y"], {"axis": 1}),
        ],
        ["a", "y"],
        constants={"s": ints(1, 8, 15)},
    )
    yield graph(
        "views-only", [("Flatten", ["x"], ["a"], {}), ("Identity", ["a"], ["y"], {})], ["a", "y"]
    )
    yield graph(
        "same-result-twice",
        [("Relu", ["x"], ["a"], {}), ("Identity", ["a"], ["y"], {})],
        ["a", "y"],
    )
    yield graph(
        "view-of-input",
        [("Unsqueeze", ["x", "a"], ["y"], {}), ("Relu", ["y"], ["z"], {})],
        ["y", "z"],
        inputs={"x": (2, 3, 8)},
        constants={"a": ints(0)},
    )
    yield graph(
        "two-inputs",
        [("Mul", ["x", "z"], ["a"], {}), ("Sub", ["a", "x"], ["y"], {})],
        ["y"],
        inputs={"x": image, "z": (1, 4, 1, 1)},
    )
    yield graph(
        "inputs-crossed",
        [("Relu", ["x"], ["y"], {}), ("Neg", ["z"], ["u"], {})],
        ["u", "y"],
        inputs={"x": image, "z": (1, 7)},
    )
    yield graph(
        "constants-computed",
        [
            ("Mul", ["p", "q"], ["c"], {}),
            ("Add", ["x", "c"], ["y"], {}),
        ],
        ["y"],
        constants={"p": floats(4, 1, 1), "q": floats(1, 6, 5)},
    )
    yield graph(
        "constant-read-twice",
        [
            ("Add", ["x", "c"], ["a"], {}),
            ("Relu", ["a"], ["b"], {}),
            ("Mul", ["b", "c"], ["y"], {}),
        ],
        ["y"],
        constants={"c": floats(4, 1, 1)},
    )
    yield graph(
        "constant-node",
        [
            ("Constant", [], ["c"], {"value": numpy_helper.from_array(floats(4, 1, 1))}),
            ("Mul", ["x", "c"], ["y"], {}),
        ],
        ["y"],
    )
    yield graph("silu", [("Sigmoid", ["x"], ["a"], {}), ("Mul", ["x", "a"], ["y"], {})], ["y"])
    yield graph(
        "layer-norm-by-hand",
        [
            ("ReduceMean", ["x"], ["m"], {"axes": [-1]}),
            ("Sub", ["x", "m"], ["d"], {}),
            ("Pow", ["d", "two"], ["q"], {}),
            ("ReduceMean", ["q"], ["v"], {"axes": [-1]}),
            ("Add", ["v", "eps"], ["e"], {}),
            ("Sqrt", ["e"], ["r"], {}),
            ("Div", ["d", "r"], ["n"], {}),
            ("Mul", ["n", "g"], ["k"], {}),
            ("Add", ["k", "b"], ["y"], {}),
        ],
        ["y"],
        inputs={"x": (1, 9, 16)},
        constants={"two": number(2), "eps": number(1e-5), "g": floats(16), "b": floats(16, seed=1)},
    )
    yield graph(
        "head",
        [
            ("Conv", ["x", "w"], ["a"], same),
            ("Reshape", ["a", "s"], ["b"], {}),
            ("Transpose", ["b"], ["c"], {"perm": [0, 1, 3, 4, 2]}),
            ("Sigmoid", ["c"], ["d"], {}),
            ("Slice", ["d", "from", "to", "axis"], ["e"], {}),
            ("Mul", ["e", "k"], ["f"], {}),
            ("Reshape", ["f", "t"], ["y"], {}),
        ],
        ["y"],
        constants={
            **weight,
            "s": ints(1, 2, 2, 6, 5),
            "t": ints(1, -1, 1),
            "from": ints(1),
            "to": ints(2),
            "axis": ints(4),
            "k": floats(1, 2, 1, 1, 1),
        },
    )
    yield graph(
        "split-and-join",
        [
            ("Split", ["x"], ["a", "b"], {"axis": 1}),
            ("Sigmoid", ["b"], ["c"], {}),
            ("Mul", ["a", "c"], ["d"], {}),
            ("Concat", ["d", "a"], ["y"], {"axis": 1}),
        ],
        ["y", "d"],
    )
    yield graph(
        "names",
        [("Relu", ["an input"], ["a\tresult"], {}), ("Exp", ["a\tresult"], ["y y"], {})],
        ["y y"],
        inputs={"an input": image},
    )
    yield single("graph/5d-input", "Relu", (2, 2, 3, 4, 5))
    yield single("graph/Trilu", "Trilu", (5, 6))
    yield several(
        "graph/Trilu-constant",
        [("Trilu", ["c"], ["t"], {"upper": 0}), ("Mul", ["x", "t"], ["y"], {})],
        {"x": (1, 6, 6)},
        ["y"],
        {"c": floats(6, 6)},
    )
    yield several(
        "graph/ConstantOfShape",
        [
            ("ConstantOfShape", ["s"], ["t"], {}),
            ("Add", ["x", "t"], ["y"], {}),
        ],
        {"x": (1, 6)},
        ["y"],
        {"s": ints(1, 6)},
    )


def attentions() -> Iterator[Case]:
    """Heads with an axis of their own, and beside each other; masks of every form."""

    def apart(heads: int, groups: int, batch: int = 1) -> tuple[tuple[int, ...], ...]:
        return (batch, heads, 7, 8), (batch, groups, 9, 8), (batch, groups, 9, 6)

    def beside(heads: int, groups: int, batch: int = 1) -> tuple[tuple[int, ...], ...]:
        return (batch, 7, heads * 8), (batch, 9, groups * 8), (batch, 9, groups * 6)

    square = ((1, 3, 6, 8), (1, 3, 6, 8), (1, 3, 6, 4))
    forms: tuple[tuple[str, tuple[Operand, ...], dict[str, Any]], ...] = (
        ("plain", apart(3, 3), {}),
        ("scale", apart(3, 3), {"scale": 0.7}),
        ("no-scale", apart(3, 3), {"scale": 1.0}),
        ("batch", apart(3, 3, 2), {}),
        ("groups", apart(6, 2), {}),
        ("groups-batch", apart(6, 2, 2), {}),
        ("one-group", apart(4, 1), {"scale": 0.3}),
        ("beside", beside(3, 3), {"q_num_heads": 3, "kv_num_heads": 3}),
        ("beside-batch", beside(3, 3, 2), {"q_num_heads": 3, "kv_num_heads": 3}),
        ("beside-groups", beside(6, 2, 2), {"q_num_heads": 6, "kv_num_heads": 2}),
        ("beside-one", beside(1, 1, 3), {"q_num_heads": 1, "kv_num_heads": 1}),
        ("mask", (*apart(3, 3), floats(7, 9)), {}),
        ("mask-heads", (*apart(3, 3, 2), floats(1, 3, 7, 9)), {"scale": 0.5}),
        ("mask-samples", (*apart(3, 3, 2), floats(2, 1, 7, 9)), {}),
        ("mask-all", (*apart(4, 2, 2), floats(2, 4, 7, 9)), {}),
        ("mask-computed", (*apart(3, 3), (1, 1, 7, 9)), {}),
        ("mask-of-truth", (*apart(3, 3), floats(7, 9) > -1.0), {}),
        (
            "mask-beside",
            (*beside(3, 3), floats(3, 7, 9)),
            {"q_num_heads": 3, "kv_num_heads": 3},
        ),
        ("mask-hiding", (*apart(3, 3), np.where(floats(7, 9) > -1.0, number(0), -np.inf)), {}),
        ("causal", square, {"is_causal": 1}),
        ("causal-mask", (*square, floats(6, 6)), {"is_causal": 1}),
        ("one-query", ((1, 3, 1, 8), (1, 3, 9, 8), (1, 3, 9, 8)), {}),
        ("one-key", ((1, 3, 5, 8), (1, 3, 1, 8), (1, 3, 1, 8)), {}),
        ("large", ((1, 4, 70, 40), (1, 4, 90, 40), (1, 4, 90, 33)), {}),
        ("past", (*apart(3, 3), None, (1, 3, 2, 8), (1, 3, 2, 6)), {"outputs": 3}),
        ("scores", apart(3, 3), {"outputs": 4}),
        ("softcap", apart(3, 3), {"softcap": 5.0}),
        ("causal-apart", apart(3, 3), {"is_causal": 1}),
        ("causal-heads", (*square, floats(3, 6, 6)), {"is_causal": 1}),
        ("mask-short", (*apart(3, 3), floats(7, 7)), {}),
    )
    for name, operands, attributes in forms:
        yield single(f"attention/{name}", "Attention", *operands, opset=23, **attributes)


FAMILIES: tuple[Callable[[], Iterator[Case]], ...] = (
    convolutions,
    transposed_convolutions,
    poolings,
    elementwise,
    unaries,
    activations,
    softmaxes,
    reshapes,
    transposes,
    concatenations,
    splits,
    slices,
    gathers,
    pads,
    repeats,
    shuffles,
    reductions,
    matrices,
    attentions,
    normalizations,
    resizes,
    recurrent,
    graphs,
)
