"""What disturbs a run is told, and a quiet one is not."""

import random
from dataclasses import replace

import pytest

from deployx_edge.measurement.noise import noise
from deployx_edge.measurement.values import Conditions, Reading
from tests.unit.report.results import BOARD, result

QUIET = [2_000_000 + 1000 * (i * 37 % 11) for i in range(100)]


def told(samples=QUIET, *, lengths=(), clock=(2400, 2400), load=0.05, **board):
    before, after = (
        Conditions(frequencies=(Reading(name="cpu0", value=mhz, source="f"),)) for mhz in clock
    )
    bench = result(samples=samples, lengths=lengths).bench
    return noise(replace(bench, before=before, after=after), replace(BOARD, **board), load)


def shuffled(samples):
    return random.Random(0).sample(samples, len(samples))


def test_a_quiet_run_has_no_warning():
    assert told() == told(lengths=(50, 50)) == told(load=None) == told([5]) == ()


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        ("differ much", {"samples": shuffled(QUIET[:70] + [3_000_000] * 30)}),
        ("repeats lie 50% apart", {"samples": [2, 2, 4, 4, 4, 4], "lengths": (2, 2, 2)}),
        ("slowed down", {"samples": QUIET[:50] + [2_300_000] * 50}),
        ("fell from 2400 to 1200 MHz", {"clock": (2400, 1200)}),
        ("kept 1.3 of 4 cores busy", {"load": 1.3}),
    ],
)
def test_each_disturbance_is_told(words, changes):
    assert any(words in sentence for sentence in told(**changes))
    assert told(emulated=True, **changes) == ()
