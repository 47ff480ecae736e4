"""Numbers with units that a person can read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deployx_edge.measurement.values import BoardDescription, Conditions, Reading

NOT_AVAILABLE = "not available"
NOT_TOLD = "not told"
_BARS = "▁▂▃▄▅▆▇█"


def duration(nanoseconds: float) -> str:
    """Three or four digits with the unit that fits: ``812 ns``, ``51.2 µs``, ``5.31 ms``."""
    for factor, unit in ((1.0, "ns"), (1e3, "µs"), (1e6, "ms")):
        if nanoseconds < factor * 999.5:
            return f"{nanoseconds / factor:.3g} {unit}"
    return f"{nanoseconds / 1e9:.3f} s"


def period(seconds: float) -> str:
    """A time that people wait, in its largest unit: ``40 s``, ``12 min``, ``3 h``, ``2 days``."""
    for factor, unit in ((1, "s"), (60, "min"), (3600, "h")):
        if seconds < 100 * factor:
            return f"{seconds // factor:.0f} {unit}"
    return f"{seconds // 86400:.0f} days"


def size(count: float | None) -> str:
    """Bytes in binary units: ``5.2 MiB``."""
    if count is None:
        return NOT_AVAILABLE
    for factor, unit in ((1, "B"), (1 << 10, "KiB"), (1 << 20, "MiB")):
        if count < 1024 * factor:
            return f"{count:g} B" if unit == "B" else f"{count / factor:.1f} {unit}"
    return f"{count / (1 << 30):.1f} GiB"


def sparkline(samples: Sequence[float], *, width: int = 60) -> str:
    """Medians of ``width`` stretches of the samples as bars, from 0 to the highest one.

    A board that throttles shows a step here that no percentile tells.
    """
    from statistics import median

    stretches = min(width, len(samples))
    bounds = [len(samples) * i // stretches for i in range(stretches + 1)]
    medians = [median(samples[low:high]) for low, high in pairwise(bounds)]
    highest = max(medians)
    return "".join(_BARS[round((len(_BARS) - 1) * value / highest)] for value in medians)


def cores(board: BoardDescription) -> str:
    """How many processors the agent may run on, and how many of them compute at once:
    ``8 cores (free physical cores: 4, quota 4.5)``."""
    said = []
    if board.free_cores not in (0, board.cores):
        said.append(f"free physical cores: {board.free_cores}")
    if board.processor_quota is not None:
        said.append(f"quota {board.processor_quota:g}")
    count = f"{board.cores} core{'' if board.cores == 1 else 's'}"
    return f"{count} ({', '.join(said)})" if said else count


def change(before: Conditions, after: Conditions, *, kind: str) -> str:
    """The hottest sensor, or the fastest clock, before → after."""
    pick = {"temperature": "temperatures", "clock": "frequencies"}[kind]
    unit = {"temperature": "°C", "clock": "MHz"}[kind]
    first, last = _highest(getattr(before, pick)), _highest(getattr(after, pick))
    if first is None or last is None:
        return NOT_AVAILABLE
    return f"{first.value:.4g} → {last.value:.4g} {unit} ({last.name})"


def changes(before: Conditions, after: Conditions) -> list[tuple[str, str]]:
    """Each measure of an accelerator or a rail before → after; one that came or went is absent."""
    known = {measure.name: measure for measure in before.measures}
    return [
        (one.name, f"{known[one.name].value:.4g} → {one.value:.4g} {one.unit}")
        for one in after.measures
        if one.name in known
    ]


def _highest(readings: Sequence[Reading]) -> Reading | None:
    return max(readings, key=lambda reading: reading.value, default=None)
