"""How ONNX axes become ncnn's dimensions, and permutations of many axes."""

from __future__ import annotations

import math
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployx_edge.runtimes.ncnn.native.axes import (
    aligned,
    broadcast_grouping,
    group_axes,
    grouped,
    natural_dims,
    place_of,
)
from deployx_edge.runtimes.ncnn.native.graph import RefusedError
from deployx_edge.runtimes.ncnn.native.names import Names, readable
from deployx_edge.runtimes.ncnn.native.permutation import moves_to, moving_blocks, permute_order

shapes = st.lists(st.integers(1, 5), min_size=1, max_size=6).map(tuple)


@pytest.mark.parametrize(
    ("shape", "dims"),
    [
        ((1, 3, 8, 8), (3, 8, 8)),
        ((1, 10), (10,)),
        ((1,), (1,)),
        ((), (1,)),
        ((4, 3, 8, 8), (4, 3, 8, 8)),
        ((1, 2, 3, 4, 5), (2, 3, 4, 5)),
        ((2, 1, 3, 1, 4), (2, 3, 4)),
        ((2, 3, 4, 5, 6), (6, 4, 5, 6)),
    ],
)
def test_natural_dims(shape: tuple[int, ...], dims: tuple[int, ...]) -> None:
    assert natural_dims(shape) == dims


@given(shapes)
def test_natural_dims_hold_every_element(shape: tuple[int, ...]) -> None:
    dims = natural_dims(shape)
    assert 1 <= len(dims) <= 4
    assert math.prod(dims) == math.prod(shape)


@given(shapes, st.data())
def test_a_kept_axis_is_a_dimension_of_its_own(shape: tuple[int, ...], data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    grouping = group_axes(shape, keep=(axis,))
    dims = grouped(shape, grouping)
    assert len(dims) <= 4
    assert math.prod(dims) == math.prod(shape)
    assert dims[place_of(axis, grouping)] == shape[axis]


@given(shapes, st.data())
def test_operands_broadcast_alike_when_grouped(shape: tuple[int, ...], data: st.DataObject) -> None:
    """What numpy computes of the grouped operands is what it computes of the operands."""
    other = tuple(data.draw(st.sampled_from((1, size))) for size in shape)
    other = other[data.draw(st.integers(0, len(other) - 1)) :]
    first = np.arange(math.prod(shape), dtype=np.float64).reshape(shape)
    second = np.arange(math.prod(other), dtype=np.float64).reshape(other) * 100
    try:
        grouping = broadcast_grouping(shape, [shape, other])
    except RefusedError:
        assert sum(size > 1 for size in shape) > 4
        return
    rank = len(shape)
    left = first.reshape(grouped(aligned(shape, rank), grouping))
    right = second.reshape(grouped(aligned(other, rank), grouping))
    assert max(left.ndim, right.ndim) <= 4
    assert np.array_equal((left + right).reshape(shape), first + second)


def test_permute_numbers_are_those_of_ncnn() -> None:
    """The tables in ncnn's permute.cpp, fastest axis first."""
    three = ["whc", "hwc", "wch", "cwh", "hcw", "chw"]
    four = [
        *("whdc", "hwdc", "wdhc", "dwhc", "hdwc", "dhwc"),
        *("whcd", "hwcd", "wchd", "cwhd", "hcwd", "chwd"),
        *("wdch", "dwch", "wcdh", "cwdh", "dcwh", "cdwh"),
        *("hdcw", "dhcw", "hcdw", "chdw", "dchw", "cdhw"),
    ]
    for names, table in (("whc", three), ("whdc", four)):
        rank = len(names)
        for turned in permutations(range(rank)):
            fastest_first = "".join(names[rank - 1 - axis] for axis in reversed(turned))
            assert table[permute_order(turned)] == fastest_first


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6])
def test_moves_lead_to_every_order(count: int) -> None:
    generator = np.random.default_rng(count)
    for _ in range(20):
        target = tuple(int(block) for block in generator.permutation(count))
        state = list(range(count))
        for lengths, order in moves_to(target):
            assert len(lengths) <= 4
            edges = np.cumsum((0, *lengths))
            runs = [state[a:b] for a, b in pairwise(edges)]
            state = [block for place in order for block in runs[place]]
        assert tuple(state) == target


def test_axes_that_move_together_are_one_block() -> None:
    assert moving_blocks((1, 2, 7, 2, 7, 32), (0, 1, 3, 2, 4, 5)) == [(1,), (3,), (2,), (4, 5)]
    assert moving_blocks((1, 8, 1, 8), (0, 2, 1, 3)) == [(1, 3)]


def test_names_are_words_and_differ() -> None:
    names = Names()
    assert names.blob("a b\tc") == "a_b_c"
    assert names.blob("a b c") == "a_b_c_1"
    assert names.layer("a b c") == "a_b_c"
    long = readable("x" * 500)
    assert len(long) <= 200
    assert long != readable("x" * 501)
