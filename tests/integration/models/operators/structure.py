"""Graphs of several nodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from onnx import numpy_helper

from tests.integration.models.operators.case import (
    Case,
    Step,
    floats,
    ints,
    number,
    positive,
    several,
    single,
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
