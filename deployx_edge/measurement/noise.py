"""What disturbed a measurement: spread, other programs, a board that slows down."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from deployx_edge.measurement.statistics import medians_of_runs, percentile
from deployx_edge.measurement.values import BenchSamples, BoardDescription, Reading

# Beyond these a run is called noisy: the distance of the 10th and 90th percentile over the
# median, how far the medians of repeats lie apart, the end over the beginning, cores that other
# programs kept busy, and the clock after the runs over the one before.
_SPREAD = 0.25
_BETWEEN_RUNS = 0.10
_SLOWING = 1.10
_OTHER_CORES = 0.25
_CLOCK = 0.90
# Fewer samples have no spread and no trend worth a word.
_ENOUGH_SAMPLES = 10


def noise(
    samples: BenchSamples, board: BoardDescription, other_load: float | None
) -> tuple[str, ...]:
    """A sentence for each thing that disturbed the runs. An emulator's times mean nothing."""
    if board.emulated:
        return ()
    found = (
        _spread(samples.samples_ns),
        _between(medians_of_runs(samples.samples_ns, samples.run_lengths)),
        _slowing(samples),
        _clock(samples.before.frequencies, samples.after.frequencies),
        _load(other_load, board.cores),
    )
    return tuple(sentence for sentence in found if sentence)


def _spread(samples: Sequence[int]) -> str | None:
    if len(samples) < _ENOUGH_SAMPLES:
        return None
    ordered = sorted(samples)
    low, middle, high = (percentile(ordered, at) for at in (0.1, 0.5, 0.9))
    share = (high - low) / middle
    if share <= _SPREAD:
        return None
    return f"The runs differ much: from the 10th to the 90th percentile {share:.0%} of the median."


def _between(medians: Sequence[float]) -> str | None:
    share = (max(medians) - min(medians)) / median(medians)
    if share <= _BETWEEN_RUNS:
        return None
    return f"The medians of the {len(medians)} repeats lie {share:.0%} apart."


def _slowing(samples: BenchSamples) -> str | None:
    """By the first and the last fifth: one slow start or end is no trend."""
    values = samples.samples_ns
    fifth = len(values) // 5
    if fifth < _ENOUGH_SAMPLES:
        return None
    ratio = median(values[-fifth:]) / median(values[:fifth])
    if ratio <= _SLOWING:
        return None
    degrees = max((reading.value for reading in samples.after.temperatures), default=None)
    heat = "" if degrees is None else f" ({degrees:g} °C at the end)"
    return (
        f"The board slowed down{heat}: the last fifth of the runs took {ratio - 1:.0%} longer "
        "than the first."
    )


def _clock(before: Sequence[Reading], after: Sequence[Reading]) -> str | None:
    """The clock that fell most; where runs begin it is at least what an idle board has."""
    known = {reading.name: reading.value for reading in before}
    falls = [
        (reading.value / known[reading.name], reading)
        for reading in after
        if known.get(reading.name)
    ]
    share, worst = min(falls, key=lambda fall: fall[0], default=(1.0, None))
    if worst is None or share >= _CLOCK:
        return None
    return f"The clock of {worst.name} fell from {known[worst.name]:g} to {worst.value:g} MHz."


def _load(other_load: float | None, cores: int) -> str | None:
    if other_load is None or other_load <= _OTHER_CORES:
        return None
    return f"Other programs kept {other_load:.1f} of {cores} cores busy meanwhile."
