"""A small graph as a test case, and what its operands are made of.

A case is seeded by its name and stands for itself. Operands are written as what they are:
a tuple is the shape of an input, an array a constant, None a place left out.
"""

from __future__ import annotations

from collections.abc import Sequence
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
