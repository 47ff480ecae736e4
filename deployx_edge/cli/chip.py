"""The chip that files are made for: named, or asked of a board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployx_edge.cli.options import complete_device
from deployx_edge.errors import UsageError
from deployx_edge.runtime import DEFAULT_RUNTIME, find_runtime, owner_of

if TYPE_CHECKING:
    from deployx_edge.device import Device

SocOfOption = Annotated[
    str | None,
    typer.Option(
        "--soc-of",
        metavar="NAME|URI",
        help="Make files for the chip that this board tells, in place of --soc.",
        autocompletion=complete_device,
    ),
]


def chosen_soc(soc: str | None, board: str | None, runtimes: Sequence[str]) -> str | None:
    """The chip that was named, or that the ``board`` tells; None where there is neither."""
    if board is None:
        return soc
    if soc is not None:
        raise UsageError("--soc names a chip, and --soc-of asks a board for one: give one of them.")
    from deployx_edge.cli.console import show_progress
    from deployx_edge.config import load_config
    from deployx_edge.workflows.boards.asked_chip import ask_chip, chip_runtime

    runtime = chip_runtime(runtimes or [DEFAULT_RUNTIME])
    with show_progress() as progress:
        return ask_chip(load_config().find_device(board), runtime, progress=progress)


def chips_of(
    model: Path, runtimes: Sequence[str], devices: Sequence[Device], *, wait: bool
) -> Mapping[str, str]:
    """By runtime the chip that files of a source model are made for: what ``devices`` tell.

    Nothing of a model that is a runtime's files already, nor without a board.
    """
    is_source = not model.is_dir() and owner_of(model) is None
    asking = [name for name in runtimes if is_source and find_runtime(name).socs]
    if not asking or not devices:
        return {}
    from deployx_edge.cli.console import show_progress
    from deployx_edge.workflows.boards.asked_chip import ask_chips

    with show_progress() as progress:
        return ask_chips(devices, asking, wait=wait, progress=progress)
