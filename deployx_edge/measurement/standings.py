"""Which of a table's rows is best by which measure, and where that cannot be told.

Only alike rows are compared: same board, threads, cores, accelerator and batch. Latency, memory
and load time are paired round by round, errors input by input. One interval is asked for each
pair of rows and each time that was looked, so that all claims of a group by one measure hold
together with ``CONFIDENCE``: of a hundred groups of equals one may be ranked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from deployx_edge.measurement.candidates import CandidateRow, Score, place_of
from deployx_edge.measurement.configurations import Configuration
from deployx_edge.measurement.ratios import CONFIDENCE, Ratio, paired_ratio, rounds_needed

# How often a comparison that is not told is measured, each time by as many rounds as at first.
# Each look may be wrong by chance.
LOOKS = 3
MEASURES = ("latency", "memory", "load", "size", "error", "accuracy")
# Rounds beyond those that an interval takes at least: with one that is off, it still tells.
_SPARE_ROUNDS = 2
# Smaller errors are what fp32 itself may round by (``comparison.TOLERANCES``): no better.
_ROUNDING = 1e-4
# Rows that differ by no more are not measured longer to find out by what.
_SAME_WITHIN = 0.05
_MORE = {
    "latency": "takes {} times as long",
    "load": "takes {} times as long",
    "memory": "takes {} times as much",
    "size": "is {} times as large",
    "error": "is {} times as far off",
}
_TIMED = ("latency", "memory", "load")
_EMULATED = "emulated, which says nothing about a board"


@dataclass(frozen=True, kw_only=True)
class Lead:
    """The first of several candidates by a measure, by their numbers.

    ``level`` are those that cannot be told from the ``leader``. ``ratios`` are those of every other
    one over it, None where runs are too few; empty for a measure that has none.
    """

    leader: int
    level: tuple[int, ...]
    ratios: tuple[tuple[int, Ratio | None], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What is said of a group of alike rows by one measure.

    ``rows`` are the numbers of all that were compared, ``best`` of the best: one where it is
    ``told``, else all that may be it. ``ratios``: how many times more each other row has than the
    first of ``best``. ``text`` says it in words; ``place`` where: "4 threads on pi".
    """

    measure: str
    place: str
    rows: tuple[int, ...]
    best: tuple[int, ...]
    told: bool
    text: str
    ratios: tuple[tuple[int, Ratio | None], ...] = ()


def joint_confidence(candidates: int, looks: int = LOOKS) -> float:
    """That of each pair of so many candidates with which all pairs together have CONFIDENCE."""
    pairs = max(1, candidates * (candidates - 1) // 2)
    return 1.0 - (1.0 - CONFIDENCE) / (pairs * looks)


def rounds_for(candidates: int) -> int:
    """How many rounds a comparison of so many candidates takes."""
    return rounds_needed(joint_confidence(candidates)) + _SPARE_ROUNDS


def lead(values: Sequence[Sequence[float]], *, looks: int = LOOKS) -> Lead:
    """Who has the least of ``values[candidate][round]``, by what each round says of each pair."""
    leader = min(range(len(values)), key=lambda i: median(values[i]))
    confidence = joint_confidence(len(values), looks)
    ratios = []
    for i, own in enumerate(values):
        if i != leader:
            rounds = min(len(own), len(values[leader]))
            ratio = paired_ratio(own[:rounds], values[leader][:rounds], confidence)
            ratios.append((i, ratio))
    return _by_ratios(leader, ratios)


def standings(rows: Sequence[CandidateRow]) -> list[Standing]:
    """Every measure of every group of alike rows, in their order."""
    found = []
    for place, numbers in alike(rows):
        for measure in MEASURES:
            standing = _standing(measure, place, numbers, rows)
            if standing is not None:
                found.append(standing)
    return found


def alike(rows: Sequence[CandidateRow]) -> list[tuple[Configuration, list[int]]]:
    """The numbers of the rows that were measured in one way in one place, group by group."""
    groups: dict[Configuration, list[int]] = {}
    for number, row in enumerate(rows):
        if row.result is not None:
            groups.setdefault(place_of(row.result), []).append(number)
    return list(groups.items())


def is_decided(rows: Sequence[CandidateRow]) -> bool:
    """Whether more rounds would not help to say who is fastest.

    It is told, cannot be, or those that may be it are the same for all that matters.
    """
    for standing in standings(rows):
        if standing.measure == "latency" and not standing.told:
            level = [ratio for number, ratio in standing.ratios if number in standing.best]
            if any(ratio is not None and ratio.within > _SAME_WITHIN for ratio in level):
                return False
    return True


def best_first(rows: Sequence[CandidateRow]) -> list[int]:
    """The numbers of the measured rows by latency, within each group of alike ones.

    Emulated ones stay in their order.
    """
    return [number for _, numbers in fastest(rows) for number in numbers]


def fastest(rows: Sequence[CandidateRow]) -> list[tuple[Configuration, list[int]]]:
    """As ``alike``, each group by latency."""
    return [
        (place, numbers if place.emulated else sorted(numbers, key=lambda n: _middle(rows[n])))
        for place, numbers in alike(rows)
    ]


def is_cut_told(rows: Sequence[CandidateRow], numbers: Sequence[int], top: int) -> bool:
    """Whether the first ``top`` of a group by latency are known to be faster than the next."""
    if top >= len(numbers):
        return True
    last, following = rows[numbers[top - 1]], rows[numbers[top]]
    if last.result is None or last.result.device.board.emulated:
        return False
    rounds = min(len(last.latencies), len(following.latencies))
    confidence = joint_confidence(len(numbers))
    ratio = paired_ratio(following.latencies[:rounds], last.latencies[:rounds], confidence)
    return ratio is not None and ratio.low > 1.0


def _middle(row: CandidateRow) -> float:
    return median(row.latencies)


def _standing(
    measure: str, place: Configuration, numbers: Sequence[int], rows: Sequence[CandidateRow]
) -> Standing | None:
    """None where fewer than two rows have the measure."""
    having = [n for n in numbers if _has(rows[n], measure)]
    if len(having) < 2:
        return None
    where = _place_words(place)
    if place.emulated and measure in _TIMED:
        return Standing(
            measure=measure,
            place=where,
            rows=tuple(having),
            best=tuple(having),
            told=False,
            text=f"cannot be told: {_EMULATED}",
        )
    found = _lead(measure, having, rows)
    best = (having[found.leader], *(having[i] for i in found.level))
    ratios = tuple((having[i], ratio) for i, ratio in found.ratios)
    return Standing(
        measure=measure,
        place=where,
        rows=tuple(having),
        best=best,
        told=len(best) == 1,
        text=_text(measure, best, ratios, rows),
        ratios=ratios,
    )


def _has(row: CandidateRow, measure: str) -> bool:
    return bool(
        {
            "latency": row.latencies,
            "memory": row.peaks,
            "load": row.loads,
            "size": row.size_bytes,
            "error": row.error,
            "accuracy": row.accuracy,
        }[measure]
    )


def _lead(measure: str, having: Sequence[int], rows: Sequence[CandidateRow]) -> Lead:
    if measure == "accuracy":
        return lead_of_scores([row.accuracy for row in (rows[n] for n in having) if row.accuracy])
    if measure == "size":
        return _exact([float(rows[n].size_bytes or 0) for n in having])
    if measure == "error":
        errors = [row.error.by_input for row in (rows[n] for n in having) if row.error]
        # What was measured once on fixed inputs was looked at once.
        return lead([[max(value, _ROUNDING) for value in values] for values in errors], looks=1)
    return lead([_repeated(rows[n], measure) for n in having])


def _repeated(row: CandidateRow, measure: str) -> tuple[float, ...]:
    return {"latency": row.latencies, "memory": row.peaks, "load": row.loads}[measure]


def _exact(values: Sequence[float]) -> Lead:
    """Of figures that are what they are."""
    leader = min(range(len(values)), key=lambda i: values[i])
    least = max(values[leader], 1.0)
    ratios = [(i, value / least) for i, value in enumerate(values) if i != leader]
    return _by_ratios(leader, [(i, Ratio(value=r, low=r, high=r)) for i, r in ratios])


def _by_ratios(leader: int, ratios: Sequence[tuple[int, Ratio | None]]) -> Lead:
    level = tuple(i for i, ratio in ratios if ratio is None or ratio.low <= 1.0)
    return Lead(leader=leader, level=level, ratios=tuple(ratios))


def lead_of_scores(scores: Sequence[Score]) -> Lead:
    """By the intervals on the data set: those that overlap the best one's are not told from it."""
    up = scores[0].higher_is_better is not False
    leader = max(range(len(scores)), key=lambda i: scores[i].value if up else -scores[i].value)
    level = [i for i in range(len(scores)) if i != leader and _overlap(scores[i], scores[leader])]
    return Lead(leader=leader, level=tuple(level))


def words_of_scores(metric: str, names: Sequence[str], scores: Sequence[Score]) -> str:
    """Who is best by a metric, in words, or which of them cannot be told apart."""
    found = lead_of_scores(scores)
    best = _joined([names[i] for i in (found.leader, *found.level)])
    if found.level:
        return f"no best {metric}: {best} cannot be told apart: their intervals overlap"
    return f"best {metric}: {best}; no other's interval reaches it"


def _overlap(one: Score, other: Score) -> bool:
    """Whether two scores may be the same; so may one without an interval."""
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return True
    return one.low <= other.high and other.low <= one.high


def _text(
    measure: str,
    best: Sequence[int],
    ratios: Sequence[tuple[int, Ratio | None]],
    rows: Sequence[CandidateRow],
) -> str:
    names = _joined([rows[n].label for n in best])
    if len(best) > 1:
        return f"{names} cannot be told apart{_why(measure, best, ratios)}"
    if measure == "accuracy":
        return f"{names}; no other's interval reaches it"
    next_one, ratio = min(ratios, key=lambda item: item[1].value if item[1] else 0.0)
    other = rows[next_one].label
    assert ratio is not None
    span = f"{ratio.low:.2f}" + (f" to {ratio.high:.2f}" if ratio.high > ratio.low else "")
    return f"{names}; the next, {other}, {_MORE[measure].format(span)}"


def _why(measure: str, best: Sequence[int], ratios: Sequence[tuple[int, Ratio | None]]) -> str:
    level = [ratio for number, ratio in ratios if number in best]
    if measure == "accuracy":
        return ": their intervals overlap"
    if None in level:
        return ": too few runs (--repeat)"
    widest = max(ratio.within for ratio in level if ratio is not None)
    if measure == "size":
        return ": equal"
    if measure == "error" and widest == 0.0:
        return ": within fp32's rounding"
    return f": the most that one may be ahead is {widest:.1%}"


def _joined(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


def _place_words(place: Configuration) -> str:
    words = [f"{place.threads} thread{'' if place.threads == 1 else 's'} on {place.device}"]
    words += [f"{place.cores} cores"] if place.cores != "all" else []
    words += [place.accelerator] if place.accelerator != "cpu" else []
    words += [f"batches of {place.batch}"] if (place.batch or 1) > 1 else []
    return ", ".join(words)
