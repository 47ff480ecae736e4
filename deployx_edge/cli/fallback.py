"""``--fail-on-fallback``: what did not run as it was asked to is an error, not a remark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

import typer

from deployx_edge.errors import FallbackError, UsageError

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
_LEAVING = "fallback"
_ALLOWED = "allow_fallback=on"


def fallback_switches(allow: bool, fail: bool, switches: Sequence[str] | None) -> list[str]:
    """The runtime's own options, with the one that allows it where that was asked for.

    UsageError where the same is to be an error.
    """
    if allow and fail:
        raise UsageError(
            "--fail-on-fallback and --allow-fallback contradict each other.",
            remedy="Leave one of them out.",
        )
    check_fallback(fail, switches)
    return [*(switches or ()), *([_ALLOWED] if allow else [])]


def check_fallback(fail: bool, switches: Sequence[str] | None) -> None:
    """UsageError where a runtime is told to leave layers to others, and that is to be an error."""
    for switch in switches or ():
        name, _, value = switch.partition("=")
        if fail and name.endswith(_LEAVING) and value == "on":
            raise UsageError(
                f"--fail-on-fallback and --option {switch} contradict each other.",
                remedy="Leave one of them out.",
            )


def refuse_fallback(fail: bool, told: Iterable[tuple[str, str | None]]) -> None:
    """FallbackError where a place of ``told`` has a sentence; each is a place and its sentence."""
    sentences = [f"{place}: {sentence}" for place, sentence in told if sentence]
    if fail and sentences:
        raise FallbackError(
            " ".join(sentences),
            remedy="Ask for a precision that it has, take such layers out with --partition, or "
            "leave --fail-on-fallback out.",
        )
