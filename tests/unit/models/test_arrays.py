from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployx_edge.errors import UsageError
from deployx_edge.model import (
    InputRequest,
    format_shape,
    from_runtime_array,
    parse_inputs,
    to_runtime_array,
    to_runtime_arrays,
)
from tests.unit.models.bundles import spec


def ramp(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)


def test_one_sample_loses_its_batch_axis() -> None:
    array, batched = to_runtime_array(spec(), ramp(1, 3, 8, 6))
    assert array.shape == (3, 8, 6)
    assert not batched
    assert np.array_equal(array, ramp(3, 8, 6))


def test_several_samples_keep_theirs_in_front() -> None:
    array, batched = to_runtime_array(spec(), ramp(5, 3, 8, 6))
    assert (array.shape, batched) == ((5, 3, 8, 6), True)
    inner = spec(shape=(7, 1, 4), batch_axis=1)
    array, batched = to_runtime_array(inner, ramp(7, 2, 4))
    assert (array.shape, batched) == ((2, 7, 4), True)
    assert array.flags.c_contiguous
    assert np.array_equal(array[1], ramp(7, 2, 4)[:, 1])


def test_without_a_batch_axis_the_shape_stays() -> None:
    array, batched = to_runtime_array(spec(shape=(1, 3, 4), batch_axis=None), ramp(1, 3, 4))
    assert (array.shape, batched) == ((1, 3, 4), False)
    scalar, _ = to_runtime_array(spec(shape=(), batch_axis=None), np.float32(3).reshape(()))
    assert scalar.shape == ()


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((1, 3, 8, 6), np.float64), "'image' is float32, .* is float64"),
        (np.zeros((1, 3, 8, 6), np.uint8), "is float32, the array given for it is uint8"),
        (np.zeros((3, 8, 6), np.float32), "has the shape Nx3x8x6, the array given for it 3x8x6"),
        (np.zeros((1, 3, 6, 8), np.float32), "has the shape Nx3x8x6, .* 1x3x6x8"),
        (np.zeros((0, 3, 8, 6), np.float32), "the array given for it 0x3x8x6"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit(array: np.ndarray, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        to_runtime_array(spec(), array)


def test_inputs_are_found_by_name() -> None:
    specs = (spec(), spec("mask", (1, 2), runtime_name="in1"))
    arrays = {"mask": ramp(1, 2), "image": ramp(1, 3, 8, 6), "labels": ramp(9)}
    found = to_runtime_arrays(specs, arrays)
    assert list(found) == ["in0", "in1"]
    assert found["in1"][0].shape == (2,)
    with pytest.raises(UsageError, match="inputs are image, mask; given were image"):
        to_runtime_arrays(specs, {"image": ramp(1, 3, 8, 6)})
    with pytest.raises(UsageError, match="different numbers of samples: image 2, mask 3"):
        to_runtime_arrays(specs, {"image": ramp(2, 3, 8, 6), "mask": ramp(3, 2)})


def test_outputs_get_the_shape_of_the_source() -> None:
    scores = spec("scores", (1, 10), runtime_name="out0")
    assert from_runtime_array(scores, ramp(10)).shape == (1, 10)
    assert from_runtime_array(scores, ramp(4, 10), batched=True).shape == (4, 10)
    pooled = spec("pooled", (1, 10, 1, 1), runtime_name="out0")
    assert from_runtime_array(pooled, ramp(10)).shape == (1, 10, 1, 1)
    assert from_runtime_array(spec("sum", (), None), ramp(1)).shape == ()


def test_outputs_of_another_shape_are_refused() -> None:
    square = spec("out", (1, 4, 8), runtime_name="out0")
    with pytest.raises(UsageError, match="has the shape Nx4x8, the runtime gave 8x4"):
        from_runtime_array(square, ramp(8, 4))
    with pytest.raises(UsageError, match="has the shape Nx4x8, the runtime gave 32"):
        from_runtime_array(square, ramp(32))
    with pytest.raises(UsageError, match="has the shape 4x8"):
        from_runtime_array(spec("out", (4, 8), None), ramp(2, 4, 8), batched=True)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=5),
    axis=st.integers(-1, 4),
    samples=st.integers(1, 4),
)
def test_there_and_back_is_the_same(shape: list[int], axis: int, samples: int) -> None:
    batch_axis = axis if 0 <= axis < len(shape) else None
    tensor = spec(shape=tuple(shape), batch_axis=batch_axis)
    if batch_axis is not None:
        shape[batch_axis] = samples
    array = ramp(*shape)
    sent, batched = to_runtime_array(tensor, array)
    assert batched == (batch_axis is not None and samples > 1)
    back = from_runtime_array(tensor, sent, batched=batched)
    assert np.array_equal(back, array)


def test_shapes_as_text() -> None:
    assert format_shape((1, 3, 224, 224)) == "1x3x224x224"
    assert format_shape(()) == "scalar"
    found = parse_inputs(["a:0:1x2", "b:7:int64", "c:1x{2..9}x{1..4..8}"])
    assert found["a:0"] == InputRequest(shape=(1, 2))
    assert found["b"] == InputRequest(shape=(7,), dtype="int64")
    assert found["c"].shape_at("minimum") == (1, 2, 1)
    assert found["c"].shape_at("opt") == found["c"].shape == (1, 9, 4)
    assert found["c"].shape_at("maximum") == (1, 9, 8)


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "1x", "0x3", "-1", "1X2", "1x2.5", "1x99999999999", "１", "1x2:complex64"),
        *("{}", "{3}", "{3..}", "{..3}", "{0..3}", "{1..2..3..4}", "1x{2.. 3}"),
    ],
)
def test_words_that_are_no_shape(text: str) -> None:
    with pytest.raises(UsageError, match="does not say an input's shape"):
        parse_inputs([f"x:{text}"])


@pytest.mark.parametrize("text", ["{5..3}", "{1..9..8}"])
def test_sizes_that_do_not_grow(text: str) -> None:
    with pytest.raises(UsageError, match="do not grow from left to right"):
        parse_inputs([f"x:1x{text}"])


def test_open_axes_have_bounds() -> None:
    (request,) = parse_inputs(["x:1x{2..4}"]).values()
    bounded = spec(shape=request.shape, batch_axis=None, ranges=request.ranges)
    bounded.check(ramp(1, 2))
    bounded.check(ramp(1, 4))
    for size in (1, 5):
        with pytest.raises(UsageError, match=r"Input 'image' has the shape 1x\{2\.\.4\}"):
            bounded.check(ramp(1, size))


def test_a_shape_that_no_board_takes() -> None:
    with pytest.raises(UsageError, match="has more than 268435456 elements"):
        parse_inputs(["x:1x3x99999x99999"])
