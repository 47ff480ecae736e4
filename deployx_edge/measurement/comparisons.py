"""Results beside earlier ones, or beside those of another bundle: which is slower, if any is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from deployx_edge.measurement.configurations import Configuration, differences, nearest
from deployx_edge.measurement.ratios import Ratio, paired_ratio, unpaired_ratio

SLOWER = "slower"
FASTER = "faster"
SAME = "the same"
UNTOLD = "cannot be told"
UNMATCHED = "not compared"
# Two are called the same where they differ by no more than this, and by how much they may.
_SAME_WITHIN = 0.05
_EMULATED = "emulated, which says nothing about a board"


@dataclass(frozen=True, kw_only=True)
class RepeatedRuns:
    """One result as a comparison takes it: the median of each of its runs in nanoseconds, and
    whether something disturbed them (``noisy``)."""

    configuration: Configuration
    bundle_sha256: str
    runtime_version: str
    medians_ns: tuple[float, ...]
    p50_ns: float
    noisy: bool


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What can be said of ``new`` beside ``old``; one of them is None where it has no twin.

    ``verdict`` is one of the words above; where it is not a ranking, ``reason`` says why, and
    ``ratio`` is None unless only its width forbids one. ``notes``: what else differs.
    ``rounds``: in how many rounds both ran in turn; 0 for runs that were made apart.
    """

    new: RepeatedRuns | None
    old: RepeatedRuns | None
    ratio: Ratio | None
    verdict: str
    reason: str = ""
    notes: tuple[str, ...] = ()
    rounds: int = 0

    @property
    def text(self) -> str:
        """The verdict in words, with its figures and its reason."""
        ratio = self.ratio
        if self.verdict in (SLOWER, FASTER) and ratio is not None:
            bounds = sorted((abs(ratio.low - 1), abs(ratio.high - 1)))
            return f"{self.verdict} by {bounds[0]:.1%} to {bounds[1]:.1%}"
        if self.verdict == SAME and ratio is not None:
            return f"the same within {ratio.within:.1%}"
        return f"{self.verdict}: {self.reason}"


def compare_in_turn(new: RepeatedRuns, old: RepeatedRuns) -> Comparison:
    """Of runs that were made in turn, ``new``'s beside ``old``'s in each round."""
    found = Comparison(
        new=new,
        old=old,
        ratio=None,
        verdict=UNTOLD,
        rounds=len(new.medians_ns),
        notes=_notes(new, old, differences(new.configuration, old.configuration)),
    )
    if new.configuration.emulated:
        return replace(found, reason=_EMULATED)
    ratio = paired_ratio(new.medians_ns, old.medians_ns)
    if ratio is None:
        return replace(found, reason=f"{found.rounds} rounds are too few (8 at least)")
    return _judged(found, ratio)


def compare_with_earlier(
    new: Sequence[RepeatedRuns], earlier: Sequence[RepeatedRuns]
) -> list[Comparison]:
    """Each new result beside the earlier ones of the same configuration, and what has none."""
    found = [_with_twins(each, earlier) for each in new]
    reason = "nothing of that configuration was run now"
    for old in earlier:
        if all(differences(each.configuration, old.configuration) for each in new):
            found.append(
                Comparison(new=None, old=old, ratio=None, verdict=UNMATCHED, reason=reason)
            )
    return found


def beyond(comparison: Comparison, max_slowdown: float) -> bool | None:
    """Whether ``new`` is slower than ``old`` by more than that share; None: cannot be told."""
    ratio = comparison.ratio
    if ratio is None or ratio.low <= 1.0 + max_slowdown < ratio.high:
        return None
    return ratio.low > 1.0 + max_slowdown


def _with_twins(new: RepeatedRuns, earlier: Sequence[RepeatedRuns]) -> Comparison:
    twins = [old for old in earlier if not differences(new.configuration, old.configuration)]
    if not twins:
        return _unmatched(new, earlier)
    old = _joined(twins)
    notes = _notes(new, old, ())
    found = Comparison(new=new, old=old, ratio=None, verdict=UNTOLD, notes=notes)
    ratio = unpaired_ratio(new.medians_ns, old.medians_ns)
    reason = _why_untold(new, old, ratio)
    return replace(found, reason=reason) if reason or ratio is None else _judged(found, ratio)


def _why_untold(new: RepeatedRuns, old: RepeatedRuns, ratio: Ratio | None) -> str:
    """Why runs that were made apart do not decide; empty where they may."""
    if new.configuration.emulated:
        return _EMULATED
    if untold := old.configuration.untold:
        return f"the earlier file does not say its {' and '.join(untold)}"
    if ratio is None:
        counts = f"{len(old.medians_ns)} before, {len(new.medians_ns)} now"
        return f"how much runs differ is not known from so few ({counts}; --repeat 5 for both)"
    if new.noisy or old.noisy:
        which = "both" if new.noisy and old.noisy else "these" if new.noisy else "the earlier"
        return f"{which} runs were disturbed; --against runs both in turn"
    return ""


def _unmatched(new: RepeatedRuns, earlier: Sequence[RepeatedRuns]) -> Comparison:
    reason = "the earlier file is empty"
    if earlier:
        known = [old.configuration for old in earlier]
        words = differences(new.configuration, nearest(new.configuration, known))
        reason = f"the earlier file has {', '.join(words)}"
    return Comparison(new=new, old=None, ratio=None, verdict=UNMATCHED, reason=reason)


def _joined(twins: Sequence[RepeatedRuns]) -> RepeatedRuns:
    """Several earlier results of one configuration are more runs of it."""
    return replace(
        twins[0],
        medians_ns=tuple(value for twin in twins for value in twin.medians_ns),
        p50_ns=median(twin.p50_ns for twin in twins),
        noisy=any(twin.noisy for twin in twins),
    )


def _judged(found: Comparison, ratio: Ratio) -> Comparison:
    found = replace(found, ratio=ratio)
    if ratio.differs:
        return replace(found, verdict=SLOWER if ratio.value > 1 else FASTER)
    if ratio.within <= _SAME_WITHIN:
        return replace(found, verdict=SAME)
    words = f"between {1 - ratio.low:.1%} faster and {ratio.high - 1:.1%} slower"
    return replace(found, reason=words)


def _notes(new: RepeatedRuns, old: RepeatedRuns, words: Sequence[str]) -> tuple[str, ...]:
    found = list(words)
    if new.runtime_version != old.runtime_version:
        found.append(f"runtime version {old.runtime_version} instead of {new.runtime_version}")
    if new.bundle_sha256 == old.bundle_sha256:
        found.append("the very same bundle")
    return tuple(found)
