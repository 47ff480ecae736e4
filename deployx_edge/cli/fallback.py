"""``--fail-on-fallback``: what did not run as it was asked to is an error, not a remark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer

from deployx_edge.errors import FallbackError, ModelError, UsageError

FailOnFallbackOption = Annotated[
    bool,
    typer.Option(
        "--fail-on-fallback",
        help="End in exit code 17 where layers did not run in the precision asked for, or an "
        "accelerator left them to the processor.",
    ),
]
AllowFallbackOption = Annotated[
    bool,
    typer.Option(
        "--allow-fallback",
        help="Leave layers that an accelerator does not run to the processor, and name them.",
    ),
]
ConversionFallbackOption = Annotated[
    bool,
    typer.Option(
        "--allow-fallback",
        help="Take nodes that the accelerator leaves to the processor; the bundle names them.",
    ),
]
_LEAVING = "fallback"
_REMEDY = (
    "Ask for a precision that it has, take such layers out with --partition, or leave "
    "--fail-on-fallback out."
)


def fallback_switches(allow: bool, fail: bool, switches: Sequence[str] | None) -> list[str]:
    """The runtime's own options, with the one that allows it where that was asked for.

    UsageError where the same is to be an error.
    """
    if allow and fail:
        raise UsageError(
            "--fail-on-fallback and --allow-fallback contradict each other.",
            remedy="Leave one of them out.",
        )
    from deployx_edge.measurement.fallback import ALLOW_FALLBACK

    check_fallback(fail, switches)
    return [*(switches or ()), *(["=".join(ALLOW_FALLBACK)] if allow else [])]


def check_fallback(fail: bool, switches: Sequence[str] | None) -> None:
    """UsageError where a runtime is told to leave layers to others, and that is to be an error."""
    for switch in switches or ():
        name, _, value = switch.partition("=")
        if fail and name.endswith(_LEAVING) and value == "on":
            raise UsageError(
                f"--fail-on-fallback and --option {switch} contradict each other.",
                remedy="Leave one of them out.",
            )


def check_conversion(allow: bool, runtimes: Sequence[str | None]) -> None:
    """UsageError where none of the runtimes (None: the usual one) could leave nodes at all."""
    from deployx_edge.runtime import DEFAULT_RUNTIME, RUNTIMES, find_runtime

    rows = [find_runtime(name or DEFAULT_RUNTIME) for name in runtimes]
    if not allow or any(row.leaves_nodes for row in rows):
        return
    having = ", ".join(row.name for row in RUNTIMES.values() if row.leaves_nodes)
    raise UsageError(
        f"A model for {' or '.join(row.title for row in rows)} is taken as a whole when it is "
        "converted, so that --allow-fallback says nothing here.",
        remedy=f"It is for the runtimes {having}. What another refuses goes to a further runtime "
        "by --partition; what a board leaves to its processor is for bench, evaluate, profile and "
        "run to allow.",
    )


@contextmanager
def fail_at_conversion(fail: bool) -> Iterator[None]:
    """FallbackError in the place of LeftNodesError, if that is how a command is to end."""
    try:
        yield
    except ModelError as error:
        from deployx_edge.runtimes.converter import LeftNodesError

        if not fail or not isinstance(error, LeftNodesError):
            raise
        raise FallbackError(error.message, remedy=_REMEDY) from error


def refuse_fallback(fail: bool, told: Iterable[tuple[str, str | None]]) -> None:
    """FallbackError where a place of ``told`` has a sentence; each is a place and its sentence."""
    sentences = [f"{place}: {sentence}" for place, sentence in told if sentence]
    if fail and sentences:
        raise FallbackError(
            " ".join(sentences),
            remedy=_REMEDY,
        )
