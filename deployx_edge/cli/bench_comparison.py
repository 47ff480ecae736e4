"""What ``bench`` is told about comparing, also in a table, and how that ends the command."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployx_edge.errors import SlowdownError, UndecidedError, UsageError

if TYPE_CHECKING:
    from deployx_edge.measurement.comparisons import Comparison

AgainstOption = Annotated[
    Path | None,
    typer.Option(
        "--against",
        metavar="MODEL",
        help="Another model or bundle to run in turn with the first, A B B A …, and which is "
        "faster.",
    ),
]
CompareOption = Annotated[
    Path | None,
    typer.Option(
        "--compare", metavar="OLD.json", help="Compare with an earlier result file of bench."
    ),
]
MaxSlowdownOption = Annotated[
    str | None,
    typer.Option(
        "--max-slowdown",
        metavar="PERCENT",
        help="Fail if the model is slower by more, e.g. 5%; measures again near this limit. "
        "Exit code 15: slower; 16: cannot be told.",
    ),
]
RepeatOption = Annotated[
    int | None,
    typer.Option(
        "--repeat",
        min=1,
        max=1000,
        help="Measure N times, each in a new worker process. Without it 1; 5 with --compare, "
        "10 with --against, and with several runtimes as many as telling them apart takes.",
    ),
]
CalibrationOption = Annotated[
    Path | None,
    typer.Option(
        "--calibration",
        metavar="FOLDER|FILE",
        help="Data that int8 takes its scales from, as for quantize. Without it they come from "
        "inputs that are made up, and only the time of int8 counts.",
    ),
]
AccuracyDataOption = Annotated[
    Path | None,
    typer.Option(
        "--dataset",
        metavar="FOLDER|FILE",
        help="Measure the accuracy of each as well, on this data set as for evaluate.",
    ),
]
TopOption = Annotated[
    int | None,
    typer.Option("--top", min=1, help="Show only this number of the fastest; --json has all."),
]
_REPEATS_AGAINST = 10
_REPEATS_COMPARED = 5


def check_comparison(
    compare: Path | None, against: Path | None, max_slowdown: str | None
) -> float | None:
    """The limit as a share; UsageError for options that contradict each other."""
    if compare and against:
        raise UsageError("--compare and --against are two ways to compare: use one of them.")
    if max_slowdown is None:
        return None
    if not (compare or against):
        raise UsageError(
            "--max-slowdown needs something to compare with.",
            remedy="Add --against MODEL or --compare OLD.json.",
        )
    try:
        share = float(max_slowdown.strip().removesuffix("%")) / 100
    except ValueError:
        share = math.nan
    if not 0 <= share <= 100:
        raise UsageError(
            f"--max-slowdown {max_slowdown} is not a percentage.", remedy="Write it like 5%."
        )
    return share


def repeats(
    asked: int | None, compare: Path | None, against: Path | None, candidates: int = 0
) -> int:
    """How many repeats a bench has; ``candidates`` is how many are to be told apart, 0 for none."""
    if asked is not None:
        return asked
    if candidates > 1:
        from deployx_edge.measurement.standings import rounds_for

        return rounds_for(candidates)
    return _REPEATS_AGAINST if against else _REPEATS_COMPARED if compare else 1


def judge(comparisons: Sequence[Comparison], max_slowdown: float) -> None:
    """SlowdownError where a result passed the limit, UndecidedError where one may have."""
    from deployx_edge.measurement.comparisons import beyond

    judged = [(each, beyond(each, max_slowdown)) for each in comparisons if each.new is not None]
    slow = [each for each, passed in judged if passed]
    if slow:
        raise SlowdownError(f"At most {max_slowdown:.1%} slower was allowed. {_told(slow)}.")
    untold = [each for each, passed in judged if passed is None]
    if untold or not judged:
        raise UndecidedError(
            f"Whether the limit of {max_slowdown:.1%} is kept cannot be told. "
            f"{_told(untold) or 'Nothing was compared'}.",
            remedy="Measure on a board that is left alone, with more --repeat, or --against.",
        )


def _told(comparisons: Sequence[Comparison]) -> str:
    return "; ".join(
        f"{each.new.configuration.model} with {each.new.configuration.threads} threads in "
        f"{each.new.configuration.precision} on {each.new.configuration.device}: {each.text}"
        for each in comparisons
        if each.new is not None
    )
