"""Attention with its projections as one layer of ncnn, and what stays in layers of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest

from deployx_edge.graph.passes import NCNN_FUSIONS
from deployx_edge.runtimes.converter import LayerScales
from deployx_edge.runtimes.ncnn.files import read_param
from deployx_edge.runtimes.ncnn.native import emit
from deployx_edge.runtimes.ncnn.native.emit import find_quantizable
from deployx_edge.runtimes.ncnn.native.graph import Graph as NcnnGraph
from deployx_edge.runtimes.ncnn.native.graph import read_graph
from tests.integration.models.passes_helper import Graph, right_in_ncnn, shapes_of

HEADS, SIZE = 3, 8
WIDTH = HEADS * SIZE


@dataclass(frozen=True, kw_only=True)
class Form:
    """Attention with projections: rows and columns of what queries, keys and values come from.

    ``beside`` names a tensor inside that something else reads too.
    """

    sources: tuple[str, str, str] = ("x", "x", "x")
    rows: tuple[int, int] = (7, 7)
    columns: tuple[int, int, int] = (WIDTH, WIDTH, WIDTH)
    outputs: int = WIDTH
    biases: bool = True
    scaled: bool = True
    mask: tuple[int, ...] = ()
    values: int = SIZE
    gap: str = ""
    beside: str = ""


def random(*shape: int, seed: int) -> np.ndarray:
    values = np.random.default_rng([seed, *shape]).standard_normal(shape)
    return np.asarray(values / math.sqrt(shape[0]), dtype=np.float32)


def attention(form: Form) -> onnx.ModelProto:
    inputs: dict[str, tuple[int, ...]] = {}
    for place, name in enumerate(form.sources):
        inputs[name] = (1, form.rows[place > 0], form.columns[place])
    graph = Graph(17, **inputs)
    named: dict[str, str] = {}

    def product(name: str, tensor: str, columns: int, outputs: int, seed: int) -> str:
        made = graph("MatMul", tensor, random(columns, outputs, seed=seed))
        if form.biases:
            made = graph("Add", made, random(outputs, seed=seed))
        named[name] = made
        return graph("Relu", made) if form.gap == name else made

    def heads(place: int, order: list[int], size: int) -> str:
        tensor, columns = form.sources[place], form.columns[place]
        made = product("qkv"[place], tensor, columns, HEADS * size, place)
        made = graph("Reshape", made, [1, form.rows[place > 0], HEADS, size])
        return graph("Transpose", made, perm=order)

    queries = heads(0, [0, 2, 1, 3], SIZE)
    scores = graph("MatMul", queries, heads(1, [0, 2, 3, 1], SIZE))
    if form.scaled:
        scores = graph("Div", scores, math.sqrt(SIZE))
    if form.mask:
        scores = graph("Add", scores, random(*form.mask, seed=5))
    mixed = graph("MatMul", graph("Softmax", scores, axis=-1), heads(2, [0, 2, 1, 3], form.values))
    mixed = graph("Transpose", mixed, perm=[0, 2, 1, 3])
    named["mixed"] = graph("Reshape", mixed, [1, form.rows[0], HEADS * form.values])
    made = product("y", named["mixed"], HEADS * form.values, form.outputs, 3)
    beside = [named[form.beside]] if form.beside else []
    return graph.model(graph("Tanh", made), *beside)


def layers_of(folder: Path) -> list[str]:
    return [layer.type for layer in read_param(folder / "case.param")]


JOINED = [
    Form(),
    Form(biases=False),
    Form(scaled=False),
    Form(sources=("x", "z", "z"), rows=(7, 9)),
    Form(sources=("x", "z", "w"), rows=(7, 9)),
    Form(sources=("x", "x", "z")),
    Form(sources=("x", "z", "w"), columns=(20, 12, 16), outputs=20),
    Form(columns=(40, 40, 40), outputs=40),
    Form(mask=(7, 7)),
    Form(mask=(1, 1, 1, 7)),
    Form(mask=(1, HEADS, 7, 7)),
    Form(mask=(7, 9), sources=("x", "z", "z"), rows=(7, 9)),
    Form(mask=(HEADS, 1, 9), sources=("x", "z", "w"), rows=(7, 9)),
    Form(rows=(128, 128)),
    Form(rows=(2, 2)),
]


@pytest.mark.parametrize("form", JOINED)
def test_attention_with_projections_is_one_layer(form: Form, tmp_path: Path) -> None:
    right_in_ncnn(attention(form), tmp_path)
    found = layers_of(tmp_path)
    assert found.count("MultiHeadAttention") == 1
    assert not {"Gemm", "SDPA", "Permute"} & set(found)


@pytest.mark.parametrize(
    "form",
    [
        # ncnn's SDPA is the faster one.
        Form(rows=(129, 129)),
        Form(sources=("x", "z", "z"), rows=(7, 129)),
        # ncnn's layer has one width for all heads, and gives as many columns as it is given.
        Form(values=16),
        Form(outputs=32),
        # A single row is no matrix.
        Form(sources=("x", "z", "z"), rows=(1, 7)),
        Form(gap="q"),
        Form(gap="v"),
        Form(beside="q"),
        Form(beside="k"),
        Form(beside="v"),
        Form(beside="mixed"),
    ],
)
def test_what_does_not_fit_stays_apart(form: Form, tmp_path: Path) -> None:
    right_in_ncnn(attention(form), tmp_path)
    found = layers_of(tmp_path)
    assert "MultiHeadAttention" not in found
    assert "SDPA" in found


def test_a_product_is_taken_into_one_attention_only(tmp_path: Path) -> None:
    graph = Graph(17, x=(1, 7, WIDTH))

    def heads(tensor: str, order: list[int]) -> str:
        return graph("Transpose", graph("Reshape", tensor, [1, 7, HEADS, SIZE]), perm=order)

    def product(tensor: str, seed: int) -> str:
        return graph("MatMul", tensor, random(WIDTH, WIDTH, seed=seed))

    made = product("x", 0)
    for seed in (1, 4):
        queries = heads(product("x", seed), [0, 2, 1, 3])
        scores = graph("MatMul", queries, heads(product("x", seed + 1), [0, 2, 3, 1]))
        mixed = graph("MatMul", graph("Softmax", scores, axis=-1), heads(made, [0, 2, 1, 3]))
        mixed = graph("Reshape", graph("Transpose", mixed, perm=[0, 2, 1, 3]), [1, 7, WIDTH])
        made = product(mixed, seed + 2)
    right_in_ncnn(graph.model(made), tmp_path)
    found = layers_of(tmp_path)
    assert (found.count("MultiHeadAttention"), found.count("SDPA")) == (1, 1)


def test_what_comes_out_keeps_its_name(tmp_path: Path) -> None:
    made = attention(Form(biases=False, beside="y"))
    right_in_ncnn(made, tmp_path)
    (layer,) = (
        entry for entry in read_param(tmp_path / "case.param") if entry.type.startswith("Multi")
    )
    output = made.graph.output[1].name
    # Another layer reads the output too: it comes out of a Split.
    assert layer.tops == (f"{output}/unsplit",)
    assert layer.name == next(n.name for n in made.graph.node if n.output[0] == output)


def graph_of(form: Form) -> tuple[onnx.ModelProto, NcnnGraph]:
    made = attention(form)
    shapes = shapes_of(made)
    for fusion in NCNN_FUSIONS:
        fusion(made, shapes)
    return made, read_graph(made, shapes)


def test_layers_that_stay_fp32_stay_apart() -> None:
    made, graph = graph_of(Form())
    for node in made.graph.node:
        if node.op_type in ("MatMul", "Attention"):
            emitted = emit(graph, "fp16", {node.output[0]})
            assert "MultiHeadAttention" not in emitted.param
            assert emitted.kept_float
    assert "MultiHeadAttention" in emit(graph, "fp16").param


def test_int8_layers_stay_apart() -> None:
    _, graph = graph_of(Form())
    layers, _ = find_quantizable(graph)
    # All products are offered, as if none were joined.
    assert [layer.type for layer in layers] == ["Gemm"] * 4
    for layer in layers:
        emitted = emit(graph, "int8", (), {layer.node: LayerScales()})
        assert "MultiHeadAttention" not in emitted.param
    assert "MultiHeadAttention" in emit(graph, "int8", (), {}).param
