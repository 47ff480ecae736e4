"""Accuracy that is demanded: what is below it ends in an error with an exit code of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deployx_edge.errors import AccuracyError, UsageError
from deployx_edge.evaluation.results import Accuracy, Evaluation


def parse_thresholds(words: Sequence[str], option: str) -> dict[str, float]:
    """``METRIC=VALUE`` words; UsageError for anything else."""
    found = {}
    for word in words:
        name, _, value = word.rpartition("=")
        try:
            found[name] = float(value)
        except ValueError:
            found[""] = 0.0
        if not name:
            raise UsageError(f"{option} {word} is not METRIC=VALUE, for instance top1=0.95.")
    return found


def check_thresholds(
    evaluation: Evaluation, least: Mapping[str, float], drops: Mapping[str, float]
) -> None:
    """AccuracyError for the first figure beyond what was demanded.

    Where less is better, ``least`` is the most, and a drop is an increase. UsageError for a
    metric that was not measured, and for a drop without a reference.
    """
    measured = {figure.metric for place in evaluation.places for figure in place.figures}
    for name in (*least, *drops):
        if name not in measured:
            raise UsageError(
                f"{name} was not measured, only {', '.join(sorted(measured))}.",
                remedy=f"Add --metric {name}.",
            )
    if drops and evaluation.reference is None:
        raise UsageError(
            "There is no reference to measure a drop from.", remedy="Name it: --reference MODEL."
        )
    for place in evaluation.places:
        _check_place(place, least, drops)


def _check_place(place: Accuracy, least: Mapping[str, float], drops: Mapping[str, float]) -> None:
    differences = {item.metric: item.value for item in place.differences}
    for figure in place.figures:
        sign = -1.0 if figure.higher_is_better is False else 1.0
        wanted = least.get(figure.metric)
        if wanted is not None and sign * figure.value < sign * wanted:
            raise AccuracyError(
                f"{figure.metric} on {place.place} is {figure.value:.4g}, {wanted:.4g} was "
                "demanded."
            )
        allowed = drops.get(figure.metric)
        drop = -sign * differences.get(figure.metric, 0.0)
        if allowed is not None and drop > allowed:
            raise AccuracyError(
                f"{figure.metric} on {place.place} is {drop:.4g} worse than the reference's, "
                f"{allowed:.4g} is allowed."
            )
