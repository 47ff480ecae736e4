"""Normalizations that are written out, in the ways of many exporters, and what only looks so."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployx_edge.graph.passes import fuse_layer_norm, fuse_rms_norm
from tests.integration.models.passes_helper import (
    Graph,
    fused,
    left_alone,
    operators,
    right_in_ncnn,
)

SCALE = np.linspace(0.5, 1.5, 16, dtype=np.float32)
BIAS = np.linspace(-1.0, 1.0, 16, dtype=np.float32)
ROOTS = ("div", "reciprocal", "one over", "power")


@dataclass(frozen=True, kw_only=True)
class Form:
    """One way to write a normalization down."""

    opset: int = 13
    shape: tuple[int, ...] = (1, 5, 16)
    count: int = 1
    square: str = "pow"
    root: str = "div"
    twice: bool = False
    sums: bool = False
    drops: bool = False
    unbiased: bool = False
    turned: bool = False
    scale: str = "last"
    bias: bool = True
    epsilon: float = 1e-5

    @property
    def axes(self) -> tuple[int, ...]:
        return tuple(range(-self.count, 0))

    @property
    def rows(self) -> tuple[int, ...]:
        return self.shape[-self.count :]

    def constant(self, values: np.ndarray) -> np.ndarray:
        return np.resize(values, self.rows)

    @property
    def size(self) -> int:
        return int(np.prod(self.rows))


def pair(graph: Graph, operator: str, first: str, second: object, turned: bool) -> str:
    """A node of two operands that may stand in either order."""
    operands = (second, first) if turned else (first, second)
    return graph(operator, *operands)


def normalized(graph: Graph, form: Form, top: str, squared: str) -> str:
    """``top`` over the root of the mean of the squares, times the scale."""
    power = graph("Pow", squared, 2.0) if form.square == "pow" else graph("Mul", squared, squared)
    keeps = int(not form.drops)
    if form.sums:
        axes = [axis % len(form.shape) for axis in form.axes]
        total = graph("ReduceSum", power, axes, keepdims=keeps)
        variance = graph("Div", total, float(form.size - form.unbiased))
    else:
        variance = graph.mean(power, form.axes, keepdims=keeps)
        if form.unbiased:
            variance = graph("Mul", variance, form.size / (form.size - 1.0))
    if form.drops:
        shape = (*form.shape[: -form.count], *[1] * form.count)
        variance = graph("Reshape", variance, shape)
    spread = pair(graph, "Add", variance, form.epsilon, form.turned)
    scale = form.constant(SCALE)
    if form.root == "power":
        factor = graph("Pow", spread, -0.5)
    else:
        deviation = graph("Sqrt", spread)
        if form.root == "div":
            if form.scale == "first":
                top = pair(graph, "Mul", top, scale, form.turned)
            made = graph("Div", top, deviation)
            return pair(graph, "Mul", made, scale, form.turned) if form.scale == "last" else made
        one = form.root == "one over"
        factor = graph("Div", 1.0, deviation) if one else graph("Reciprocal", deviation)
    if form.scale == "root":
        factor = pair(graph, "Mul", factor, scale, form.turned)
    if form.scale == "first":
        top = pair(graph, "Mul", top, scale, form.turned)
    made = pair(graph, "Mul", top, factor, form.turned)
    return pair(graph, "Mul", made, scale, form.turned) if form.scale == "last" else made


def layer_norm(form: Form) -> onnx.ModelProto:
    graph = Graph(form.opset, x=form.shape)

    def centred() -> str:
        return graph("Sub", "x", graph.mean("x", form.axes))

    top = centred()
    made = normalized(graph, form, top, centred() if form.twice else top)
    if form.bias:
        made = pair(graph, "Add", made, form.constant(BIAS), form.turned)
    return graph.model(graph("Relu", made))


def rms_norm(form: Form) -> onnx.ModelProto:
    graph = Graph(form.opset, x=form.shape)
    return graph.model(graph("Relu", normalized(graph, form, "x", "x")))


LAYER_FORMS = [
    Form(),
    Form(square="mul", root="reciprocal"),
    Form(root="one over", turned=True),
    Form(root="power", twice=True),
    Form(opset=18, turned=True),
    Form(opset=11, scale="", bias=False),
    Form(scale="", turned=True),
    Form(bias=False, scale="root", root="reciprocal"),
    Form(scale="first", twice=True),
    Form(sums=True),
    Form(sums=True, unbiased=True, root="power"),
    Form(unbiased=True, epsilon=1e-3),
    Form(drops=True, twice=True),
    Form(drops=True, opset=18),
    Form(count=2, shape=(2, 3, 4, 5)),
    Form(count=3, shape=(1, 3, 4, 5), turned=True),
    Form(shape=(7, 16)),
    Form(shape=(16,), opset=18),
    Form(shape=(2, 3, 4, 1, 5)),
    Form(epsilon=1e-12),
]
RMS_FORMS = [
    replace(form, bias=False, twice=False, scale="last" if form.scale == "first" else form.scale)
    for form in LAYER_FORMS
]


@pytest.mark.parametrize("form", LAYER_FORMS)
def test_layer_norms_that_are_written_out(form: Form, tmp_path: Path) -> None:
    made = layer_norm(form)
    after = fused(fuse_layer_norm, made)
    assert operators(after) == ["LayerNormalization", "Relu"]
    right_in_ncnn(made, tmp_path)


@pytest.mark.parametrize("form", list(dict.fromkeys(RMS_FORMS)))
def test_rms_norms_that_are_written_out(form: Form, tmp_path: Path) -> None:
    made = rms_norm(form)
    after = fused(fuse_rms_norm, made)
    assert operators(after) == ["RMSNormalization", "Relu"]
    left_alone(fuse_layer_norm, made)
    right_in_ncnn(made, tmp_path)


forms = st.builds(
    Form,
    opset=st.sampled_from([13, 18]),
    shape=st.lists(st.integers(1, 6), min_size=3, max_size=4).map(tuple),
    count=st.integers(1, 2),
    square=st.sampled_from(["pow", "mul"]),
    root=st.sampled_from(ROOTS),
    twice=st.booleans(),
    sums=st.booleans(),
    drops=st.booleans(),
    turned=st.booleans(),
    scale=st.sampled_from(["last", "first", "root", ""]),
    bias=st.booleans(),
    epsilon=st.sampled_from([1e-2, 1e-5]),
)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(form=forms)
def test_every_form_is_one_normalization(form: Form) -> None:
    if form.root == "div" and form.scale == "root":
        form = replace(form, scale="last")
    first = replace(form, twice=form.twice or form.scale == "first")
    assert operators(fused(fuse_layer_norm, layer_norm(first), rtol=1e-4)) == [
        "LayerNormalization",
        "Relu",
    ]
    second = replace(form, scale="last" if form.scale == "first" else form.scale)
    assert operators(fused(fuse_rms_norm, rms_norm(second), rtol=1e-4)) == [
        "RMSNormalization",
        "Relu",
    ]


@pytest.mark.parametrize("turned", [False, True])
def test_layer_norm_as_a_batch_norm(turned: bool, tmp_path: Path) -> None:
    graph = Graph(x=(1, 5, 16))
    mean = graph.mean("x")
    variance = graph.mean(graph("Pow", graph("Sub", "x", mean), 2.0))
    root = graph("Reciprocal", graph("Sqrt", graph("Add", variance, 1e-3)))
    factor = pair(graph, "Mul", root, SCALE, turned)
    shift = graph("Sub", BIAS, pair(graph, "Mul", mean, factor, turned))
    made = graph.model(pair(graph, "Add", pair(graph, "Mul", "x", factor, turned), shift, turned))
    assert operators(fused(fuse_layer_norm, made)) == ["LayerNormalization"]
    right_in_ncnn(made, tmp_path)


def test_names_stay_and_constants_go_with_their_readers() -> None:
    made = layer_norm(Form())
    after = fused(fuse_layer_norm, made)
    norm = after.graph.node[0]
    # Named like the last node of the pattern; its scale is the constant that was there.
    assert norm.name == made.graph.node[-2].name
    assert list(norm.output) == list(made.graph.node[-2].output)
    assert norm.input[1] == made.graph.node[-3].input[1]
    assert {tensor.name for tensor in after.graph.initializer} == set(norm.input[1:])


def test_two_in_a_row_are_two() -> None:
    graph = Graph(x=(1, 5, 16))
    tensor = "x"
    for _ in range(3):
        centred = graph("Sub", tensor, graph.mean(tensor))
        variance = graph.mean(graph("Mul", centred, centred))
        tensor = graph("Div", centred, graph("Sqrt", graph("Add", variance, 1e-5)))
    after = fused(fuse_layer_norm, graph.model(tensor), times=3)
    assert operators(after) == ["LayerNormalization"] * 3


@pytest.mark.parametrize("epsilon", [0.0, -1e-5])
def test_an_epsilon_that_is_not_positive_is_left_alone(epsilon: float) -> None:
    left_alone(fuse_layer_norm, layer_norm(Form(epsilon=epsilon)))
    left_alone(fuse_rms_norm, rms_norm(Form(epsilon=epsilon)))


@pytest.mark.parametrize("axes", [(1,), (0, 2), (-2,), (1, 2), (0,)])
def test_another_axis_is_left_alone(axes: tuple[int, ...]) -> None:
    for mean_axes, variance_axes in itertools.permutations([axes, (-1,)]):
        graph = Graph(x=(2, 3, 4, 5))
        centred = graph("Sub", "x", graph.mean("x", mean_axes))
        variance = graph.mean(graph("Pow", centred, 2.0), variance_axes)
        made = graph.model(graph("Div", centred, graph("Sqrt", graph("Add", variance, 1e-5))))
        left_alone(fuse_layer_norm, made)
    graph = Graph(x=(2, 3, 4, 5))
    mean = graph.mean(graph("Pow", "x", 2.0), axes)
    made = graph.model(graph("Div", "x", graph("Sqrt", graph("Add", mean, 1e-5))))
    left_alone(fuse_rms_norm, made)


@pytest.mark.parametrize("place", range(7))
@pytest.mark.parametrize("is_output", [True, False])
def test_what_is_also_read_elsewhere_is_left_alone(place: int, is_output: bool) -> None:
    graph = Graph(x=(1, 5, 16))
    mean = graph.mean("x")
    centred = graph("Sub", "x", mean)
    power = graph("Pow", centred, 2.0)
    variance = graph.mean(power)
    spread = graph("Add", variance, 1e-5)
    root = graph("Sqrt", spread)
    divided = graph("Div", centred, root)
    inner = (mean, centred, power, variance, spread, root, divided)[place]
    made = graph("Mul", divided, SCALE)
    other = inner if is_output else graph("Abs", inner)
    model = graph.model(graph("Relu", made), other)
    if inner == divided:
        # All before it is a normalization without the scale.
        after = fused(fuse_layer_norm, model)
        assert operators(after)[:2] == ["LayerNormalization", "Mul"]
    else:
        left_alone(fuse_layer_norm, model)


def test_computed_scale_and_bias_stay_beside_it() -> None:
    graph = Graph(18, x=(1, 5, 16), s=(16,), b=(16,))
    centred = graph("Sub", "x", graph.mean("x"))
    root = graph("Sqrt", graph("Add", graph.mean(graph("Pow", centred, 2.0)), 1e-5))
    made = graph("Add", graph("Mul", graph("Div", centred, root), "s"), "b")
    after = fused(fuse_layer_norm, graph.model(made))
    assert operators(after) == ["LayerNormalization", "Mul", "Add"]


@pytest.mark.parametrize("shape", [(5, 1), (1, 5, 16), (5, 16), (2, 1, 1), (1, 1, 1, 16)])
def test_scale_and_bias_of_other_axes_stay_beside_it(shape: tuple[int, ...]) -> None:
    values = np.linspace(0.5, 1.5, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    for place in ("scale", "bias"):
        graph = Graph(18, x=(1, 5, 16))
        centred = graph("Sub", "x", graph.mean("x"))
        root = graph("Sqrt", graph("Add", graph.mean(graph("Pow", centred, 2.0)), 1e-5))
        made = graph("Mul" if place == "scale" else "Add", graph("Div", centred, root), values)
        after = fused(fuse_layer_norm, graph.model(made))
        assert operators(after)[0] == "LayerNormalization"
        assert len(after.graph.node) == 2


@pytest.mark.parametrize("kind", ["cube", "other mean", "other centre", "maximum", "outside"])
def test_what_only_looks_like_a_layer_norm_is_left_alone(kind: str) -> None:
    graph = Graph(x=(1, 5, 16), z=(1, 5, 16))
    mean = graph.mean("z" if kind == "other mean" else "x")
    centred = graph("Sub", "x", mean)
    beside = graph("Sub", "z", graph.mean("z"))
    power = graph("Pow", centred, 3.0 if kind == "cube" else 2.0)
    if kind == "other centre":
        power = graph("Mul", centred, beside)
    is_most = kind == "maximum"
    variance = graph("ReduceMax", power, axes=[-1]) if is_most else graph.mean(power)
    inside, outside = (0.0, 1e-5) if kind == "outside" else (1e-5, 0.0)
    root = graph("Add", graph("Sqrt", graph("Add", variance, inside)), outside)
    if not outside:
        root = graph("Sqrt", graph("Add", variance, inside))
    model = graph.model(graph("Div", centred, root), graph("Relu", beside))
    left_alone(fuse_layer_norm, model)
    if kind == "other mean":
        # It is the difference that is normalized, whatever was taken off.
        assert "RMSNormalization" in operators(fused_at_18(model))
    else:
        left_alone(fuse_rms_norm, model)


def fused_at_18(made: onnx.ModelProto) -> onnx.ModelProto:
    """A fusion of a model that keeps a ReduceMean, whose axes are an input from opset 18 on."""
    graph = Graph(18, x=(1, 5, 16), z=(1, 5, 16))
    centred = graph("Sub", "x", graph.mean("z"))
    root = graph("Sqrt", graph("Add", graph.mean(graph("Pow", centred, 2.0)), 1e-5))
    return fused(fuse_rms_norm, graph.model(graph("Div", centred, root)))
