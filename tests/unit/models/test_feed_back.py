"""Outputs that are fed back: what users write, what fits, and what each step is given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from deployx_edge.errors import UsageError
from deployx_edge.feed_back import FeedBack, check_feed_back, omitted, parse_feed_back
from deployx_edge.measurement.values import BenchPlan
from deployx_edge.model import AxisRange
from deployx_edge.workflows.measure.steps import Collected, Stream, make_stream

FEEDS = (FeedBack(output="stateN", input="state"),)


@dataclass(frozen=True, kw_only=True)
class Named:
    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    ranges: tuple[AxisRange, ...] = ()


X = Named(name="x", shape=(1, 4))
STATE = Named(name="state", shape=(2, 1, 3))
STATE_N = Named(name="stateN", shape=(2, 1, 3))
Y = Named(name="y", shape=(1, 1))


def zeros(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.zeros(shape, dtype=dtype)


def stream(steps: int | None = None, **arrays: np.ndarray) -> Stream:
    return make_stream([X, STATE], arrays, FEEDS, steps)


def test_what_is_fed_back_is_written_as_output_and_input() -> None:
    feeds = parse_feed_back(["stateN=state", "hn=h=0"])
    assert feeds == (*FEEDS, FeedBack(output="hn", input="h=0"))
    assert [feed.text for feed in feeds] == ["stateN=state", "hn=h=0"]
    assert parse_feed_back([]) == ()


@pytest.mark.parametrize("word", ["state", "=state", "stateN=", ""])
def test_a_word_without_both_names_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="is not OUTPUT=INPUT"):
        parse_feed_back([word])


def test_an_input_is_fed_by_one_output() -> None:
    with pytest.raises(UsageError, match="'state' is fed back from both 'a' and 'b'"):
        parse_feed_back(["a=state", "b=state"])


@pytest.mark.parametrize(
    ("feed", "said"),
    [
        (FeedBack(output="stateM", input="state"), "no output 'stateM'. Did you mean stateN"),
        (FeedBack(output="stateN", input="stade"), "no input 'stade'. Did you mean state"),
        (FeedBack(output="state", input="x"), "no output 'state'"),
        (FeedBack(output="y", input="x"), r"'y' \(1x1 float32\) .* 'x' \(1x4 float32\)"),
        (FeedBack(output="y", input="state"), r"'y' \(1x1 float32\) .* 'state' \(2x1x3 float32\)"),
    ],
)
def test_names_and_shapes_that_do_not_fit_are_refused(feed: FeedBack, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_feed_back([feed], [X, STATE], [Y, STATE_N])


def test_an_element_type_that_does_not_fit_is_refused() -> None:
    whole = Named(name="stateN", shape=STATE.shape, dtype="int64")
    with pytest.raises(UsageError, match=r"2x1x3 int64.*2x1x3 float32"):
        check_feed_back(FEEDS, [X, STATE], [whole])


def test_a_state_that_grows_fits_where_its_axis_is_open_alone() -> None:
    grown = Named(name="stateN", shape=(2, 1, 4))
    with pytest.raises(UsageError, match="2x1x4 float32") as caught:
        check_feed_back(FEEDS, [STATE], [grown])
    assert "open" in (caught.value.remedy or "")
    still_open = Named(
        name="state", shape=(2, 1, 3), ranges=(AxisRange(axis=2, minimum=1, opt=3, maximum=9),)
    )
    check_feed_back(FEEDS, [still_open], [grown])
    check_feed_back(FEEDS, [STATE], [STATE_N])
    assert make_stream([still_open], {}, FEEDS, 2).at(0)["state"].shape == (2, 1, 1)


def test_steps_are_given_what_changes_and_the_first_all_of_it() -> None:
    x = np.arange(12, dtype=np.float32).reshape(3, 1, 4)
    made = stream(x=x)
    assert made.steps == 3
    assert sorted(made.at(0)) == ["state", "x"]
    assert not made.at(0)["state"].any()
    assert list(made.at(2)) == ["x"]
    np.testing.assert_array_equal(made.at(2)["x"], x[2])
    # Along an axis of size 1 in front as well, and the same in every step.
    np.testing.assert_array_equal(stream(x=x[:, 0]).at(1)["x"], x[1])
    assert stream(5, x=x[0]).at(1) == {}
    assert stream(2, x=x).steps == 2


def test_the_first_state_can_be_given() -> None:
    state = np.ones(STATE.shape, dtype=np.float32)
    np.testing.assert_array_equal(stream(2, x=zeros(1, 4), state=state).at(0)["state"], state)


@pytest.mark.parametrize(
    ("steps", "arrays", "said"),
    [
        (None, {"x": zeros(1, 4)}, "how many steps"),
        (9, {}, "no array for the input 'x'"),
        (9, {"x": zeros(3, 1, 4)}, "9 steps were asked for, the file holds fewer: x 3"),
        (None, {"x": zeros(3, 1, 5)}, r"'x' is 1x4 float32, .* 1x5"),
        (None, {"x": zeros(3, 1, 4, dtype="float64")}, "float64"),
        (None, {"x": zeros(0, 1, 4)}, "holds no step"),
        (2, {"x": zeros(4)}, r"'x' is 1x4 float32, .* 4 "),
        (2, {"x": zeros(1, 4), "state": zeros(2, 2, 3)}, r"'state' is 2x1x3"),
        (
            None,
            {"x": zeros(3, 1, 4), "state": zeros(3, 2, 1, 3)},
            "'state' is fed back from 'stateN', and the file gives it for 3 steps",
        ),
    ],
)
def test_arrays_that_are_no_steps_are_refused(
    steps: int | None, arrays: dict[str, np.ndarray], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        stream(steps, **arrays)


def test_inputs_with_different_numbers_of_steps_are_refused() -> None:
    with pytest.raises(UsageError, match="different numbers of steps: x 3, y 2"):
        make_stream([X, Y], {"x": zeros(3, 1, 4), "y": zeros(2, 1, 1)}, (), None)


def test_what_is_fed_back_stays_unless_it_is_wanted_or_all_there_is() -> None:
    assert omitted(FEEDS, ["y", "stateN"], ()) == {"stateN"}
    assert omitted(FEEDS, ["y", "stateN"], ["stateN"]) == set()
    assert omitted(FEEDS, ["stateN"], ()) == set()


@pytest.mark.parametrize("size", [3, 1 << 20], ids=["in memory", "in a file"])
def test_steps_are_put_together_in_front(size: int) -> None:
    collected = Collected(20)
    for step in range(20):
        collected.add("y", step, np.full((1, size), step, dtype=np.float32))
    collected.add("stateN", 19, np.ones((2,), dtype=np.int64))
    assert collected.arrays["y"].shape == (20, 1, size)
    assert [int(part[0, -1]) for part in collected.arrays["y"]] == list(range(20))
    assert collected.arrays["stateN"].shape == (1, 2)


def test_an_output_that_changes_its_shape_cannot_be_put_together() -> None:
    collected = Collected(3)
    collected.add("y", 0, zeros(1, 2))
    with pytest.raises(UsageError, match="1x3 in step 1 and 1x2 in step 0"):
        collected.add("y", 1, zeros(1, 3))


def test_a_plan_says_what_is_fed_back() -> None:
    assert BenchPlan(feed_back=FEEDS).feed_back == FEEDS
    assert BenchPlan().feed_back == ()
