"""Attention: written out in the ways of exporters, and as ONNX's own operator."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployx_edge.graph.passes import NCNN_FUSIONS, fuse_attention, widened
from deployx_edge.runtimes.ncnn.native import emit
from deployx_edge.runtimes.ncnn.native.graph import read_graph
from tests.integration.models.operator_runner import check
from tests.integration.models.operators.reduction import attentions
from tests.integration.models.passes_helper import (
    Graph,
    fused,
    left_alone,
    operators,
    reference,
    right_in_ncnn,
    shapes_of,
)

QUERIES, KEYS, SIZE, WIDTH = 7, 9, 8, 6


@dataclass(frozen=True, kw_only=True)
class Form:
    """One way to write attention down; ``outer`` are batch and heads."""

    opset: int = 13
    outer: tuple[int, ...] = (1, 3)
    scale: str = "div"
    keys: str = "turned"
    mask: tuple[int, ...] = ()
    mask_is_input: bool = False
    turned: bool = False
    axis: int | None = -1
    views: bool = False


def random(*shape: int) -> np.ndarray:
    values = np.random.default_rng([7, *shape]).standard_normal(shape)
    return values.astype(np.float32)


def attention(form: Form, size: int = SIZE) -> onnx.ModelProto:
    outer = form.outer
    inputs = {"q": (*outer, QUERIES, size), "v": (*outer, KEYS, WIDTH)}
    heads_last = form.keys == "heads last"
    inputs["k"] = (outer[0], KEYS, *outer[1:], size) if heads_last else (*outer, KEYS, size)
    if form.mask_is_input:
        inputs["m"] = form.mask
    graph = Graph(form.opset, **inputs)
    rank = len(outer) + 2
    order = [0, 2, 3, 1] if heads_last else [*range(rank - 2), rank - 1, rank - 2]
    queries, shift = "q", 1.0 / math.sqrt(size)
    if form.keys == "viewed":
        flat = graph("Reshape", "k", [-1, KEYS, size])
        keys = graph("Transpose", flat, perm=[0, 2, 1])
        keys = graph("Reshape", keys, [*outer, size, KEYS])
    else:
        keys = graph("Transpose", "k", perm=order)
    if form.scale == "both":
        queries = graph("Mul", queries, math.sqrt(shift))
        keys = graph("Mul", math.sqrt(shift), keys)
    if form.scale == "queries":
        queries = graph("Mul", shift, queries)
    if form.views:
        queries = graph("Reshape", queries, [-1, QUERIES, size])
        keys = graph("Reshape", keys, [-1, size, KEYS])
    scores = graph("MatMul", queries, keys)
    if form.views:
        scores = graph("Reshape", scores, [*outer, QUERIES, KEYS])
    if form.scale == "div":
        scores = graph("Div", scores, math.sqrt(size))
    if form.mask:
        mask = "m" if form.mask_is_input else graph.constant(random(*form.mask))
        scores = graph("Add", *((mask, scores) if form.turned else (scores, mask)))
    shares = graph("Softmax", scores, **({} if form.axis is None else {"axis": form.axis}))
    return graph.model(graph("Relu", graph("MatMul", shares, "v")))


FORMS = [
    Form(),
    Form(scale="both"),
    Form(scale="queries", keys="heads last"),
    Form(scale=""),
    Form(keys="viewed"),
    Form(keys="viewed", scale="both", mask=(1, 3, QUERIES, KEYS)),
    Form(outer=(5,)),
    Form(outer=(5,), mask=(QUERIES, KEYS)),
    Form(outer=(2, 3), keys="heads last"),
    Form(views=True),
    Form(views=True, scale="both", outer=(2, 3)),
    Form(opset=11, axis=3),
    Form(axis=None),
    Form(mask=(QUERIES, KEYS)),
    Form(mask=(1, 1, QUERIES, KEYS), turned=True),
    Form(mask=(1, 1, 1, KEYS)),
    Form(mask=(KEYS,)),
    Form(mask=(3, 1, KEYS)),
    Form(mask=(1, 3, QUERIES, KEYS)),
    Form(mask=(1, 3, QUERIES, KEYS), outer=(2, 3)),
    Form(mask=(2, 1, 1, KEYS), outer=(2, 3)),
    Form(mask=(2, 3, QUERIES, KEYS), outer=(2, 3)),
    Form(mask=(1, 1, 1, KEYS), mask_is_input=True),
    Form(mask=(1, 3, QUERIES, KEYS), mask_is_input=True, turned=True),
]


@pytest.mark.parametrize("form", FORMS)
def test_attention_that_is_written_out(form: Form, tmp_path: Path) -> None:
    made = attention(form)
    after = fused(fuse_attention, made, runner=reference)
    left = set(operators(after)) - {"Transpose", "Reshape"}
    assert left == {"Attention", "Relu"}
    assert "Transpose" not in operators(after) or form.keys == "heads last"
    right_in_ncnn(made, tmp_path)
    layers = [line.split()[0] for line in (tmp_path / "case.param").read_text().splitlines()[2:]]
    assert "SDPA" in layers
    assert not {"MatMul", "Softmax"} & set(layers)


forms = st.builds(
    Form,
    opset=st.sampled_from([13, 18]),
    outer=st.one_of(st.tuples(st.integers(1, 3), st.integers(1, 3)), st.tuples(st.integers(1, 4))),
    scale=st.sampled_from(["div", "both", "queries", ""]),
    keys=st.sampled_from(["turned", "heads last", "viewed"]),
    turned=st.booleans(),
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(form=forms, ones=st.lists(st.booleans(), min_size=4, max_size=4), mask=st.booleans())
def test_every_form_is_one_attention(form: Form, ones: list[bool], mask: bool) -> None:
    if len(form.outer) == 1 and form.keys == "heads last":
        form = replace(form, keys="turned")
    if mask:
        full = (*form.outer, QUERIES)
        outer = tuple(1 if one else size for one, size in zip(ones, full, strict=False))
        form = replace(form, mask=(*outer, KEYS))
    made = attention(form)
    if len(form.outer) == 1 and any(size != 1 for size in form.mask[:-2]):
        left_alone(fuse_attention, made)
        return
    after = fused(fuse_attention, made, rtol=1e-4, runner=reference)
    assert "Softmax" not in operators(after)


def near(kind: str) -> onnx.ModelProto:
    """Attention but for one thing."""
    extra = {"s": (1,)} if kind == "computed scale" else {}
    graph = Graph(q=(1, 3, 6, 6), k=(1, 3, 6, 6), v=(1, 3, 6, 6), **extra)
    keys = "k" if kind == "no transpose" else graph("Transpose", "k", perm=[0, 1, 3, 2])
    if kind == "other axes":
        keys = graph("Reshape", graph("Reshape", keys, [1, 3, 4, 9]), [1, 3, 6, 6])
    scores = graph("MatMul", "q", keys)
    if kind == "computed scale":
        scores = graph("Mul", scores, "s")
    elif kind == "negative scale":
        scores = graph("Div", scores, -2.0)
    elif kind == "scale by head":
        scores = graph("Mul", scores, random(3, 1, 1))
    elif kind == "scale behind":
        scores = graph("Mul", graph("Add", scores, random(6, 6)), 0.5)
    elif kind == "subtracted":
        scores = graph("Sub", random(6, 6), scores)
    elif kind == "mask of one":
        scores = graph("Add", scores, random(6, 1))
    elif kind == "two masks":
        scores = graph("Add", graph("Add", scores, random(6, 6)), random(1, 1, 1, 6))
    shares = graph("Softmax", scores, axis=2 if kind == "other axis" else -1)
    if kind == "other activation":
        shares = graph("Sigmoid", scores)
    if kind == "scaled shares":
        shares = graph("Mul", shares, 0.5)
    operands = ("v", shares) if kind == "exchanged" else (shares, "v")
    return graph.model(graph("MatMul", *operands))


@pytest.mark.parametrize(
    "kind",
    [
        "no transpose",
        "other axes",
        "computed scale",
        "negative scale",
        "scale by head",
        "scale behind",
        "subtracted",
        "mask of one",
        "two masks",
        "other axis",
        "other activation",
        "scaled shares",
        "exchanged",
    ],
)
def test_what_only_looks_like_attention_is_left_alone(kind: str, tmp_path: Path) -> None:
    made = near(kind)
    left_alone(fuse_attention, made)
    right_in_ncnn(made, tmp_path)


def test_operands_that_broadcast_are_left_alone() -> None:
    for name, shape in (("q", (1, 1, 6, 6)), ("k", (1, 1, 6, 6)), ("v", (1, 1, 6, 6))):
        shapes = {"q": (1, 3, 6, 6), "k": (1, 3, 6, 6), "v": (1, 3, 6, 6), name: shape}
        graph = Graph(**shapes)
        scores = graph("MatMul", "q", graph("Transpose", "k", perm=[0, 1, 3, 2]))
        made = graph.model(graph("MatMul", graph("Softmax", scores, axis=-1), "v"))
        left_alone(fuse_attention, made)


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("is_output", [True, False])
def test_what_is_also_read_elsewhere_stays(place: int, is_output: bool) -> None:
    graph = Graph(q=(1, 3, 6, 5), k=(1, 3, 6, 5), v=(1, 3, 6, 5))
    keys = graph("Transpose", "k", perm=[0, 1, 3, 2])
    scores = graph("MatMul", "q", keys)
    scaled = graph("Div", scores, 2.0)
    masked = graph("Add", scaled, random(6, 6))
    shares = graph("Softmax", masked, axis=-1)
    inner = (keys, scores, scaled, masked, shares)[place]
    end = graph("MatMul", shares, "v")
    made = graph.model(end, inner if is_output else graph("Abs", inner))
    if inner == keys:
        # The Transpose stays for the others.
        after = fused(fuse_attention, made, runner=reference)
        assert operators(after)[:2] == ["Transpose", "Attention"]
    else:
        left_alone(fuse_attention, made)


def test_attention_by_einsum(tmp_path: Path) -> None:
    graph = Graph(q=(1, 6, 3, 5), k=(1, 7, 3, 5), v=(1, 7, 3, 5))
    scores = graph("Einsum", "q", "k", equation="bihd,bjhd->bhij")
    shares = graph("Softmax", graph("Mul", scores, 0.4), axis=-1)
    made = graph.model(graph("Einsum", shares, "v", equation="bhij,bjhd->bihd"))
    right_in_ncnn(made, tmp_path)
    assert "SDPA" in (tmp_path / "case.param").read_text()


def test_wide_scores_keep_their_attention_fp32() -> None:
    made = attention(Form())
    after = fused(fuse_attention, made, runner=reference)
    scores, result = made.graph.node[1].output[0], made.graph.node[-2].output[0]
    assert widened(after, {scores, "q"}) == {scores, "q", result}
    assert widened(after, {"q"}) == {"q"}
    graph = read_graph(after, shapes_of(made))
    name = after.graph.node[0].name
    kept = emit(graph, "fp16", widened(after, {scores})).kept_float
    assert name in [item.layer for item in kept]
    assert not emit(graph, "fp16", widened(after, set())).kept_float
    # What a normalization took in is computed as fp32 by its own layer.
    normed = Graph(x=(1, 5, 16))
    power = normed("Pow", "x", 2.0)
    root = normed("Sqrt", normed("Add", normed.mean(power), 1e-5))
    model = normed.model(normed("Div", "x", root))
    shapes = shapes_of(model)
    assert sum(fusion(model, shapes) for fusion in NCNN_FUSIONS) == 1
    assert widened(model, {power}) == {power}


REFUSED: dict[str, str] = {
    "past": "goes on from past keys",
    "scores": "also gives",
    "softcap": "bounds its scores",
    "causal-apart": "causal with 7 queries and 9 keys",
    "causal-heads": "differs by head",
    "mask-short": "not one value a key",
}


@pytest.mark.parametrize(("name", "reason"), REFUSED.items())
def test_what_sdpa_cannot_do_is_refused(name: str, reason: str, tmp_path: Path) -> None:
    (case,) = (case for case in attentions() if case.name == f"attention/{name}")
    outcome = check(case, tmp_path)
    assert outcome.verdict == "refused", outcome.detail
    assert reason in outcome.detail
