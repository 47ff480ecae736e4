"""Slices with steps that are joined again: YOLO's focus, Swin's merging of patches."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployx_edge.graph.passes import join_strided_slices
from tests.integration.models.passes_helper import (
    Graph,
    fused,
    left_alone,
    operators,
    right_in_ncnn,
)

FAR = 2**31 - 1
# Offsets of the parts, first along the rows.
FOCUS = ((0, 0), (1, 0), (0, 1), (1, 1))
DEPTH_FIRST = ((0, 0), (0, 1), (1, 0), (1, 1))


def joined(
    shape: tuple[int, ...],
    axes: tuple[int, ...],
    offsets: tuple[tuple[int, ...], ...],
    joint: int,
    *,
    steps: tuple[int, ...] = (2, 2),
    at_once: bool = False,
    crop: bool = False,
) -> onnx.ModelProto:
    graph = Graph(x=shape)
    source = graph("Slice", "x", [0], [shape[-1] - 2], [-1], [1]) if crop else "x"
    parts = []
    for offset in offsets:
        if at_once:
            part = graph("Slice", source, offset, [FAR] * len(axes), axes, steps)
        else:
            part = source
            for axis, start, step in zip(axes, offset, steps, strict=True):
                part = graph("Slice", part, [start], [FAR], [axis], [step])
        parts.append(part)
    return graph.model(graph("Relu", graph("Concat", *parts, axis=joint)))


@pytest.mark.parametrize("offsets", [FOCUS, DEPTH_FIRST])
@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    ("shape", "axes", "joint"),
    [
        ((1, 3, 8, 12), (2, 3), 1),
        ((2, 3, 4, 6), (2, 3), 1),
        ((1, 8, 6, 5), (1, 2), -1),
        ((6, 8), (0, 1), 1),
        ((6, 8), (0, 1), 0),
        ((1, 4, 6, 8), (-2, -1), 2),
        ((1, 4, 6, 8), (3, 2), -3),
    ],
)
def test_parts_become_axes(
    offsets: tuple[tuple[int, ...], ...],
    at_once: bool,
    shape: tuple[int, ...],
    axes: tuple[int, ...],
    joint: int,
    tmp_path: Path,
) -> None:
    made = joined(shape, axes, offsets, joint, at_once=at_once)
    after = fused(join_strided_slices, made, rtol=0.0)
    assert operators(after) == ["Reshape", "Transpose", "Reshape", "Relu"]
    assert after.graph.node[2].name == made.graph.node[-2].name
    right_in_ncnn(made, tmp_path)


def test_a_focus_is_one_permute_in_ncnn(tmp_path: Path) -> None:
    right_in_ncnn(joined((1, 3, 8, 12), (2, 3), FOCUS, 1), tmp_path)
    layers = [line.split()[0] for line in (tmp_path / "case.param").read_text().splitlines()[2:]]
    assert layers == ["Input", "Reshape", "Permute", "ReLU", "Reshape"]


def test_parts_of_what_is_cut_itself() -> None:
    made = joined((1, 3, 8, 14), (2, 3), FOCUS, 1, crop=True)
    after = fused(join_strided_slices, made, rtol=0.0)
    assert operators(after) == ["Slice", "Reshape", "Transpose", "Reshape", "Relu"]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data(), rank=st.integers(2, 4))
def test_any_steps_along_any_axes(data: st.DataObject, rank: int) -> None:
    axes = tuple(data.draw(st.lists(st.integers(0, rank - 1), min_size=1, max_size=2, unique=True)))
    steps = tuple(data.draw(st.integers(2, 3)) for _ in axes)
    shape = [data.draw(st.integers(1, 3)) for _ in range(rank)]
    for axis, step in zip(axes, steps, strict=True):
        shape[axis] *= step
    offsets = list(itertools.product(*(range(step) for step in steps)))
    shuffled = tuple(data.draw(st.permutations(offsets)))
    joint = data.draw(st.integers(0, rank - 1))
    made = joined(tuple(shape), axes, shuffled, joint, steps=steps)
    turned = sorted(offsets, key=lambda offset: offset[::-1])
    if list(shuffled) in (offsets, turned):
        after = fused(join_strided_slices, made, rtol=0.0)
        assert operators(after) == ["Reshape", "Transpose", "Reshape", "Relu"]
    else:
        left_alone(join_strided_slices, made)
    ordered = fused(
        join_strided_slices,
        joined(tuple(shape), axes, tuple(offsets), joint, steps=steps),
        rtol=0.0,
    )
    assert math.prod(shape) and "Slice" not in operators(ordered)


@pytest.mark.parametrize(
    "offsets",
    [
        ((0, 0), (1, 1), (0, 1), (1, 0)),
        ((1, 1), (0, 1), (1, 0), (0, 0)),
        ((0, 0), (1, 0), (0, 1), (0, 1)),
        ((0, 0), (1, 0), (0, 1)),
        ((0, 0), (1, 0), (0, 1), (1, 1), (0, 0)),
    ],
)
def test_other_orders_and_gaps_are_left_alone(offsets: tuple[tuple[int, ...], ...]) -> None:
    left_alone(join_strided_slices, joined((1, 3, 8, 12), (2, 3), offsets, 1))


def test_sizes_that_the_steps_do_not_divide_are_left_alone() -> None:
    graph = Graph(x=(1, 3, 7, 8))
    parts = [
        graph("Slice", "x", [start, 0], [end, FAR], [2, 3], [2, 1])
        for start, end in ((0, 6), (1, 7))
    ]
    left_alone(join_strided_slices, graph.model(graph("Concat", *parts, axis=1)))


def test_parts_of_two_tensors_are_left_alone() -> None:
    graph = Graph(x=(1, 3, 8), z=(1, 3, 8))
    parts = [
        graph("Slice", name, [index], [FAR], [2], [2]) for index, name in enumerate(("x", "z"))
    ]
    left_alone(join_strided_slices, graph.model(graph("Concat", *parts, axis=1)))


@pytest.mark.parametrize("step", [-2, 1])
def test_steps_backwards_and_none_are_left_alone(step: int) -> None:
    graph = Graph(x=(1, 3, 8))
    cuts = ((7, -FAR), (6, -FAR)) if step < 0 else ((0, 4), (4, 8))
    parts = [graph("Slice", "x", [begin], [end], [2], [step]) for begin, end in cuts]
    left_alone(join_strided_slices, graph.model(graph("Concat", *parts, axis=1)))


@pytest.mark.parametrize("is_output", [True, False])
def test_a_part_that_is_also_read_elsewhere_is_left_alone(is_output: bool) -> None:
    graph = Graph(x=(1, 3, 8))
    parts = [graph("Slice", "x", [start], [FAR], [2], [2]) for start in (0, 1)]
    end = graph("Concat", *parts, axis=1)
    left_alone(
        join_strided_slices,
        graph.model(end, parts[1] if is_output else graph("Abs", parts[1])),
    )
