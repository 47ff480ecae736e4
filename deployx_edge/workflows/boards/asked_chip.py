"""Which chip files are made for where a board is to say it."""

from __future__ import annotations

from collections.abc import Sequence

from deployx_edge.device import Device
from deployx_edge.errors import UnfitDeviceError, UsageError
from deployx_edge.progress import Progress, silent
from deployx_edge.runtime import RUNTIMES, find_runtime
from deployx_edge.workflows.boards.chips import soc_of
from deployx_edge.workflows.boards.session import open_session


def chip_runtime(names: Sequence[str]) -> str:
    """The only one of these runtimes that makes files for one chip; UsageError for none or more."""
    making = [name for name in names if find_runtime(name).socs]
    if len(making) == 1:
        return making[0]
    having = ", ".join(row.name for row in RUNTIMES.values() if row.socs)
    if not making:
        raise UsageError(
            "--soc-of asks a board for the chip that files are made for, and those of "
            f"{', '.join(find_runtime(name).title for name in names)} are for all chips.",
            remedy=f"It is for the runtimes {having}.",
        )
    raise UsageError(
        f"--soc-of asks a board for one chip, and {' and '.join(making)} name chips differently.",
        remedy="Convert for each of them by a command of its own.",
    )


def ask_chip(device: Device, runtime: str, *, progress: Progress = silent) -> str:
    """The chip of the board, as the runtime names it; UnfitDeviceError where it tells none such."""
    row = find_runtime(runtime)
    purpose = f"ask for the chip that files for {row.title} are made for"
    with open_session(device, purpose=purpose, progress=progress) as session:
        board = session.identity.board
    soc = soc_of(board, runtime)
    if soc:
        return soc
    told = f"it tells '{board.soc}'" if board.soc else "it tells none"
    raise UnfitDeviceError(
        f"{device.name} has no chip that {row.title} makes files for: "
        f"{'it is emulated' if board.emulated else told}.",
        remedy=f"Name the chip by --soc: {', '.join(row.socs)}.",
    )
