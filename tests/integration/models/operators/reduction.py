"""Reductions, products of matrices, attention."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.integration.models.operators.case import (
    Case,
    Operand,
    floats,
    ints,
    label,
    number,
    positive,
    several,
    single,
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
    yield several(
        "reduce/NonMaxSuppression",
        [
            ("NonMaxSuppression", ["b", "s", "k", "o"], ["n"], {}),
            ("Concat", ["n", "rest"], ["all"], {"axis": 0}),
            ("Slice", ["all", "zero", "rows"], ["r"], {}),
            ("Cast", ["r"], ["y"], {"to": 1}),
        ],
        {"b": (1, 17, 4), "s": (1, 2, 17)},
        ["y"],
        {
            "k": ints(5),
            "o": number(0.3).reshape(1),
            "rest": np.full((12, 3), -1, dtype=np.int64),
            "zero": ints(0),
            "rows": ints(12),
        },
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
    for name, equation, operands in (
        ("diagonal", "bijj->jb", [(2, 3, 5, 5)]),
        ("sum", "bij->b", [(2, 3, 5)]),
        ("three", "bij,jk,bkl->bil", [(2, 3, 5), (5, 4), (2, 4, 7)]),
        ("outer", "ij,kl->ikjl", [(2, 3), (4, 5)]),
    ):
        yield single(f"matmul/Einsum-{name}", "Einsum", *operands, equation=equation)
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
