"""Group norms and local response norms that are written out, and what only looks so."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployx_edge.graph.links import attribute
from deployx_edge.graph.passes import fuse_group_norm, fuse_response_norm
from tests.integration.models.passes_helper import (
    Graph,
    fused,
    left_alone,
    operators,
    reference,
    right_in_ncnn,
)


def values(*shape: int, seed: int = 0) -> np.ndarray:
    found = np.random.default_rng([seed, *shape]).uniform(0.5, 1.5, shape)
    return found.astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Groups:
    """One way to write a group norm down."""

    opset: int = 13
    shape: tuple[int, ...] = (1, 8, 5, 6)
    groups: int = 4
    inner: bool = False
    factor: tuple[int, ...] | None = (8, 1, 1)
    shift: tuple[int, ...] | None = (8, 1, 1)
    turned: bool = False
    epsilon: float = 1e-5


def group_norm(form: Groups) -> onnx.ModelProto:
    graph = Graph(form.opset, x=form.shape)
    counts = [form.shape[0], form.groups, -1]
    scale = values(form.groups) if form.inner else np.ones(form.groups, np.float32)
    bias = values(form.groups, seed=1) if form.inner else np.zeros(form.groups, np.float32)
    grouped = graph("Reshape", "x", counts)
    made = graph("InstanceNormalization", grouped, scale, bias, epsilon=form.epsilon)
    made = graph("Reshape", made, list(form.shape))
    for operator, shape in (("Mul", form.factor), ("Add", form.shift)):
        if shape is not None:
            operands = (made, values(*shape, seed=2))
            made = graph(operator, *(operands[::-1] if form.turned else operands))
    return graph.model(graph("Relu", made))


GROUPS = [
    Groups(),
    Groups(opset=17, turned=True),
    Groups(opset=18, inner=True),
    Groups(opset=20, groups=1),
    Groups(groups=8),
    Groups(factor=None),
    Groups(shift=None),
    Groups(factor=None, shift=None),
    Groups(factor=None, shift=None, inner=True),
    Groups(shape=(3, 8, 5, 6)),
    Groups(shape=(1, 8, 5), factor=(8, 1), shift=(1, 8, 1)),
    Groups(shape=(1, 8, 5, 3, 2), factor=(8, 1, 1, 1), shift=(1, 8, 1, 1, 1)),
    Groups(shape=(1, 8), factor=(8,), shift=(8,)),
    Groups(factor=(1, 1, 1), shift=()),
    Groups(epsilon=0.1),
]


@pytest.mark.parametrize("form", GROUPS)
def test_group_norms_that_are_written_out(form: Groups, tmp_path: Path) -> None:
    made = group_norm(form)
    after = fused(fuse_group_norm, made, runner=reference)
    assert operators(after) == ["GroupNormalization", "Relu"]
    norm = after.graph.node[0]
    # Named like the last node of the pattern.
    assert norm.name == made.graph.node[-2].name
    assert attribute(norm, "num_groups") == form.groups
    right_in_ncnn(made, tmp_path)
    param = (tmp_path / "case.param").read_text()
    assert "GroupNorm" in param
    assert "InstanceNorm" not in param


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    groups=st.integers(1, 4),
    size=st.integers(1, 3),
    rest=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    samples=st.integers(1, 2),
    inner=st.booleans(),
    turned=st.booleans(),
)
def test_every_form_is_one_group_norm(
    groups: int, size: int, rest: list[int], samples: int, inner: bool, turned: bool
) -> None:
    channels = groups * size
    each = (channels, *[1] * len(rest))
    form = Groups(
        shape=(samples, channels, *rest),
        groups=groups,
        inner=inner,
        turned=turned,
        factor=each,
        shift=each,
        epsilon=0.1,
    )
    after = fused(fuse_group_norm, group_norm(form), rtol=1e-4, runner=reference)
    assert operators(after) == ["GroupNormalization", "Relu"]


@pytest.mark.parametrize("shape", [(5, 6), (6,), (8, 5, 1), (8, 1, 6), (1, 5, 1)])
def test_a_scale_of_other_axes_stays_beside_it(shape: tuple[int, ...]) -> None:
    before = group_norm(Groups(factor=shape, shift=None))
    after = fused(fuse_group_norm, before, runner=reference)
    assert operators(after) == ["GroupNormalization", "Mul", "Relu"]
    after = fused(fuse_group_norm, group_norm(Groups(shift=shape)), runner=reference)
    assert operators(after) == ["GroupNormalization", "Add", "Relu"]


def near_group_norm(kind: str) -> onnx.ModelProto:
    """A group norm but for one thing."""
    graph = Graph(17, x=(2, 6, 4, 4), s=(4,))
    counts = {"parts of channels": [2, 4, -1], "samples apart": [4, 3, -1]}.get(kind, [2, 3, -1])
    source = graph("Transpose", "x", perm=[0, 1, 3, 2]) if kind == "turned before" else "x"
    grouped = graph("Reshape", source, counts)
    count = counts[1]
    scale: str | np.ndarray = np.ones(count, np.float32)
    if kind == "computed scale":
        scale = graph("Slice", "s", [0], [count], [0])
    made = graph("InstanceNormalization", grouped, scale, np.zeros(count, np.float32))
    if kind == "turned between":
        made = graph("Transpose", made, perm=[0, 2, 1])
    if kind == "scale inside":
        made = graph("Mul", made, values(32))
    shape = [2, 4, 6, 4] if kind == "other shape" else [2, 6, 4, 4]
    made = graph("Reshape", made, shape)
    return graph.model(graph("Relu", made), graph("Abs", "s"))


@pytest.mark.parametrize(
    "kind",
    [
        "parts of channels",
        "samples apart",
        "computed scale",
        "turned between",
        "scale inside",
        "other shape",
    ],
)
def test_what_only_looks_like_a_group_norm_is_left_alone(kind: str) -> None:
    left_alone(fuse_group_norm, near_group_norm(kind))


def test_what_stands_before_a_group_norm_stays() -> None:
    after = fused(fuse_group_norm, near_group_norm("turned before"), runner=reference)
    assert operators(after)[:2] == ["Transpose", "GroupNormalization"]


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("is_output", [True, False])
def test_a_group_norm_that_is_also_read_inside(place: int, is_output: bool) -> None:
    graph = Graph(x=(1, 8, 5, 6))
    grouped = graph("Reshape", "x", [1, 4, -1])
    ones, zeros = np.ones(4, np.float32), np.zeros(4, np.float32)
    normed = graph("InstanceNormalization", grouped, ones, zeros)
    back = graph("Reshape", normed, [1, 8, 5, 6])
    scaled = graph("Mul", back, values(8, 1, 1))
    inner = (grouped, normed, back, scaled)[place]
    end = graph("Add", scaled, values(8, 1, 1))
    made = graph.model(graph("Relu", end), inner if is_output else graph("Abs", inner))
    if inner in (back, scaled):
        # All up to there is a group norm.
        after = fused(fuse_group_norm, made, runner=reference)
        assert operators(after)[0] == "GroupNormalization"
        assert "Add" in operators(after)
    else:
        left_alone(fuse_group_norm, made)


@dataclass(frozen=True, kw_only=True)
class Response:
    """One way to write a local response norm down."""

    opset: int = 13
    shape: tuple[int, ...] = (1, 8, 5, 6)
    view: tuple[int, ...] = (1, 1, 8, 5, 6)
    size: int = 5
    alpha: float = 0.3
    beta: float = 0.75
    offset: float = 2.0
    square: str = "mul"
    root: str = "div"
    before: int | None = None
    fill: float | None = None
    counts_padding: int = 1
    strides: int = 1


def response_norm(form: Response) -> onnx.ModelProto:
    graph = Graph(form.opset, x=form.shape)
    square = graph("Pow", "x", 2.0) if form.square == "pow" else graph("Mul", "x", "x")
    viewed = graph("Reshape", square, list(form.view))
    rank = len(form.view)
    pads = [0] * (2 * rank)
    before = form.size // 2 if form.before is None else form.before
    pads[2], pads[rank + 2] = before, form.size - 1 - before
    fill = () if form.fill is None else (form.fill,)
    padded = graph("Pad", viewed, pads, *fill)
    pooled = graph(
        "AveragePool",
        padded,
        kernel_shape=[form.size, *[1] * (rank - 3)],
        strides=[1] * (rank - 3) + [form.strides],
        count_include_pad=form.counts_padding,
    )
    mean = graph("Reshape", pooled, list(form.shape))
    spread = graph("Add", graph("Mul", mean, form.alpha), form.offset)
    power = graph("Pow", spread, form.beta)
    if form.root == "reciprocal":
        return graph.model(graph("Mul", "x", graph("Reciprocal", power)))
    return graph.model(graph("Div", "x", power))


RESPONSES = [
    Response(),
    Response(opset=18, square="pow"),
    Response(root="reciprocal", size=3, counts_padding=0),
    Response(view=(1, 1, 8, 30), fill=0.0),
    Response(view=(1, 1, 8, 6, 5), beta=0.5),
    Response(offset=0.5),
    Response(size=17),
]


@pytest.mark.parametrize("form", RESPONSES)
def test_response_norms_that_are_written_out(form: Response, tmp_path: Path) -> None:
    made = response_norm(form)
    after = fused(fuse_response_norm, made)
    assert operators(after) == ["LRN"]
    assert after.graph.node[0].name == made.graph.node[-1].name
    right_in_ncnn(made, tmp_path)
    assert "LRN" in (tmp_path / "case.param").read_text()


@pytest.mark.parametrize(
    "form",
    [
        Response(size=4),
        Response(before=1),
        Response(fill=1.0),
        Response(offset=0.0),
        Response(alpha=-0.1),
        Response(beta=-0.75),
        Response(shape=(2, 8, 5, 6), view=(2, 1, 8, 5, 6)),
        Response(shape=(1, 8, 30), view=(1, 1, 8, 30)),
        # It pools along the rows.
        Response(view=(1, 8, 5, 6), size=3),
        Response(view=(1, 1, 40, 6)),
    ],
)
def test_other_response_norms_are_left_alone(form: Response) -> None:
    left_alone(fuse_response_norm, response_norm(form))


@pytest.mark.parametrize("is_output", [True, False])
@pytest.mark.parametrize("place", range(6))
def test_a_response_norm_that_is_also_read_inside_stays(place: int, is_output: bool) -> None:
    before = response_norm(replace(RESPONSES[0], square="pow"))
    inner = [node.output[0] for node in before.graph.node][place]
    if is_output:
        before.graph.output.append(onnx.helper.make_tensor_value_info(inner, 1, None))
    else:
        before.graph.node.append(onnx.helper.make_node("Abs", [inner], ["beside"], name="abs"))
        before.graph.output.append(onnx.helper.make_tensor_value_info("beside", 1, None))
    left_alone(fuse_response_norm, before)


def test_another_numerator_is_left_alone() -> None:
    graph = Graph(x=(1, 8, 5, 6), z=(1, 8, 5, 6))
    viewed = graph("Reshape", graph("Mul", "x", "z"), [1, 1, 8, 5, 6])
    padded = graph("Pad", viewed, [0, 0, 1, 0, 0, 0, 0, 1, 0, 0])
    pooled = graph("AveragePool", padded, kernel_shape=[3, 1, 1])
    mean = graph("Reshape", pooled, [1, 8, 5, 6])
    power = graph("Pow", graph("Add", mean, 1.0), 0.5)
    left_alone(fuse_response_norm, graph.model(graph("Div", "x", power)))
