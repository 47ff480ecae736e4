"""What disturbs a run is told, and a quiet one is not."""

import random
from dataclasses import replace

import pytest

from deployx_edge.measurement.noise import noise
from deployx_edge.measurement.values import BoardLoad, Conditions, Reading
from tests.unit.report.results import BOARD, result

QUIET = [2_000_000 + 1000 * (i * 37 % 11) for i in range(100)]


CALM = BoardLoad(programs=0.05, stolen=0.0)


def told(
    samples=QUIET,
    *,
    lengths=(),
    clock=(2400, 2400),
    load=CALM,
    waited=1_000_000,
    held=None,
    **board,
):
    before, after = (
        Conditions(frequencies=(Reading(name="cpu0", value=mhz, source="f"),)) for mhz in clock
    )
    bench = result(samples=samples, lengths=lengths).bench
    bench = replace(bench, before=before, after=after, waited_ns=waited, throttled_ns=held)
    return noise(bench, replace(BOARD, **board), load)


def shuffled(samples):
    return random.Random(0).sample(samples, len(samples))


def test_a_quiet_run_has_no_warning():
    assert told() == told(lengths=(50, 50)) == told(load=None) == told([5], waited=0) == ()
    assert told(waited=None) == told(held=0) == ()


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        ("differ much", {"samples": shuffled(QUIET[:70] + [3_000_000] * 30)}),
        ("repeats lie 50% apart", {"samples": [2, 2, 4, 4, 4, 4], "lengths": (2, 2, 2)}),
        ("slowed down", {"samples": QUIET[:50] + [2_300_000] * 50}),
        ("fell from 2400 to 1200 MHz", {"clock": (2400, 1200)}),
        ("kept 1.3 of 4 cores busy", {"load": BoardLoad(programs=1.3, stolen=0.0)}),
        ("took 0.4 of its 4 cores", {"load": BoardLoad(programs=0.0, stolen=0.4)}),
        ("held the worker back for 3 ms while the runs took 200 ms", {"held": 3_000_000}),
        ("had to wait for the processor: the threads waited 20 ms", {"waited": 20_000_000}),
    ],
)
def test_each_disturbance_is_told(words, changes):
    assert any(words in sentence for sentence in told(**changes))
    assert told(emulated=True, **changes) == ()


SPREAD = shuffled(QUIET[:70] + [3_000_000] * 30)
# 100 runs of 24 µs, of which three were interrupted for milliseconds: no percentile but the last
# tells of them.
INTERRUPTED = [24_000] * 97 + [4_000_000] * 3


def test_a_spread_that_comes_from_waiting_is_told_as_such():
    why = "The spread comes from waiting for the processor: the threads waited"
    assert any(s.startswith(f"{why} 28 ms") for s in told(SPREAD, waited=28_000_000))
    assert told(INTERRUPTED, waited=11_900_000) == (
        f"{why} 11.9 ms for a processor, and the runs took 11.9 ms longer than at their median.",
    )


def test_a_spread_that_waiting_does_not_explain_is_not_blamed_on_it():
    for waited in (None, 0, 14_000_000):
        sentences = told(SPREAD, waited=waited)
        assert any("differ much" in sentence for sentence in sentences)
        assert not any("spread comes from waiting" in sentence for sentence in sentences)
