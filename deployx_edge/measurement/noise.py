"""What disturbed a measurement: spread and where it comes from, others, a board that slows down."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from deployx_edge.measurement.statistics import medians_of_runs, percentile
from deployx_edge.measurement.values import BenchSamples, BoardDescription, BoardLoad, Reading

# Beyond these a run is called noisy: the distance of the 10th and 90th percentile over the
# median, how far the medians of repeats lie apart, the end over the beginning, cores that other
# programs kept busy, cores whose time the board's host took, the clock after the runs over the one
# before, and of the time of the runs what was waited for a processor or held back by a quota.
_SPREAD = 0.25
_BETWEEN_RUNS = 0.10
_SLOWING = 1.10
_OTHER_CORES = 0.25
_STOLEN_CORES = 0.05
_CLOCK = 0.90
_WAITING = 0.05
_HELD_BACK = 0.01
# Where waiting makes this share of what the runs took beyond their median, it explains them.
_EXPLAINS = 0.5
# Fewer samples have no spread and no trend worth a word.
_ENOUGH_SAMPLES = 10


def noise(
    samples: BenchSamples, board: BoardDescription, load: BoardLoad | None
) -> tuple[str, ...]:
    """A sentence for each thing that disturbed the runs. An emulator's times mean nothing."""
    if board.emulated:
        return ()
    spread = _spread(samples.samples_ns)
    found = (
        spread,
        _waiting(samples, told=spread is not None),
        _held_back(samples),
        _between(medians_of_runs(samples.samples_ns, samples.run_lengths)),
        _slowing(samples),
        _clock(samples.before.frequencies, samples.after.frequencies),
        _programs(load, board.cores),
        _stolen(load, board.cores),
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
    """By the first and the last fifth: one slow start or end is not a trend."""
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


def _waiting(samples: BenchSamples, *, told: bool) -> str | None:
    """How long the threads waited for a processor; where they spread by that, it is the reason.

    ``told``: whether the spread was named already. A few huge runs are none by its percentiles.
    """
    times = samples.samples_ns
    waited = samples.waited_ns or 0
    if not times or waited <= _WAITING * sum(times):
        return None
    middle = median(times)
    beyond = sum(max(0.0, time - middle) for time in times)
    how = (
        f"the threads waited {_time(waited)} for a processor, and the runs took {_time(beyond)} "
        "longer than at their median."
    )
    explained = waited >= _EXPLAINS * beyond
    if explained and (told or beyond > _SPREAD * middle * len(times)):
        return f"The spread comes from waiting for the processor: {how}"
    return f"The worker had to wait for the processor: {how}"


def _held_back(samples: BenchSamples) -> str | None:
    held = samples.throttled_ns or 0
    if held <= _HELD_BACK * sum(samples.samples_ns):
        return None
    return (
        f"A control group's quota held the worker back for {_time(held)} while the runs took "
        f"{_time(sum(samples.samples_ns))}."
    )


def _time(nanoseconds: float) -> str:
    milliseconds = nanoseconds / 1e6
    return f"{milliseconds / 1e3:.2f} s" if milliseconds >= 1000 else f"{milliseconds:.3g} ms"


def _programs(load: BoardLoad | None, cores: int) -> str | None:
    if load is None or load.programs <= _OTHER_CORES:
        return None
    return f"Other programs kept {load.programs:.1f} of {cores} cores busy meanwhile."


def _stolen(load: BoardLoad | None, cores: int) -> str | None:
    if load is None or load.stolen <= _STOLEN_CORES * cores:
        return None
    return (
        f"The board is a virtual machine whose host took {load.stolen:.1f} of its {cores} cores "
        "meanwhile (steal)."
    )
