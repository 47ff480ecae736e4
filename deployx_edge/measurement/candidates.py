"""A row for each runtime and precision that a model was tried in, also for those that refused."""

from __future__ import annotations

from dataclasses import dataclass, replace

from deployx_edge.measurement.configurations import Configuration, differences
from deployx_edge.measurement.files import runs_of
from deployx_edge.measurement.statistics import medians_of_runs
from deployx_edge.measurement.values import BenchResult, RunOptions

# What tells candidates apart: where one of the other fields differs, rows are not alike.
_FREE = {
    "model": "",
    "runtime": "",
    "precision": "",
    "precision_that_ran": None,
    "switches": "",
}


@dataclass(frozen=True, kw_only=True)
class SourceError:
    """How far outputs on a board are from the source's, on ``by_input`` inputs.

    Each figure is an rms error / rms deviation of the source's output between the inputs; of
    several outputs the worst one's, which is ``output`` for the ``relative`` of all inputs.
    """

    output: str
    relative: float
    by_input: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Score:
    """A metric on a data set with the bounds of its interval; None where it has none."""

    metric: str
    unit: str
    value: float
    low: float | None
    high: float | None
    higher_is_better: bool | None


@dataclass(frozen=True, kw_only=True)
class CandidateRow:
    """A runtime at a precision, with what it was found to cost, or with the ``reason`` why not.

    ``options`` are as they were asked for. ``result`` is None for one that was refused, with the
    ``exit_code`` of that; ``device`` is "" where it was refused before any board was asked.
    ``error`` and ``accuracy`` are None where nothing says them. ``notes``: what its figures do not
    say.
    """

    device: str
    runtime: str
    options: RunOptions
    result: BenchResult | None = None
    size_bytes: int | None = None
    error: SourceError | None = None
    accuracy: Score | None = None
    notes: tuple[str, ...] = ()
    reason: str = ""
    exit_code: int = 0

    @property
    def label(self) -> str:
        """How the candidate is called in sentences: ``ncnn int8``."""
        return f"{self.runtime} {self.options.precision}"

    @property
    def latencies(self) -> tuple[float, ...]:
        """The median of each worker process in nanoseconds; empty for one that was refused."""
        if self.result is None:
            return ()
        bench = self.result.bench
        return tuple(medians_of_runs(bench.samples_ns, bench.run_lengths))

    @property
    def loads(self) -> tuple[float, ...]:
        """How long each worker process took to load, in nanoseconds."""
        if self.result is None:
            return ()
        return self.result.loads_ns or (self.result.load.load_ns,)

    @property
    def peaks(self) -> tuple[float, ...]:
        """The peak memory of each worker process in bytes; empty where the board tells none."""
        if self.result is None or self.result.bench.peak_memory_bytes is None:
            return ()
        return self.result.bench.peaks_bytes or (self.result.bench.peak_memory_bytes,)


def place_of(result: BenchResult) -> Configuration:
    """Where and how a result was measured, without what tells candidates apart."""
    return replace(runs_of(result).configuration, **_FREE)  # type: ignore[arg-type]


def unlike(one: CandidateRow, other: CandidateRow) -> tuple[str, ...]:
    """Why two rows are not to be compared, in words: "threads 1 instead of 4"; empty if alike."""
    if one.result is None or other.result is None:
        return ("nothing was measured",)
    return differences(place_of(one.result), place_of(other.result))
