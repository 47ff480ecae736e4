"""Which chip files are made for where a board is to say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deployx_edge.device import Device
from deployx_edge.errors import UnfitDeviceError, UsageError
from deployx_edge.measurement.values import BoardDescription
from deployx_edge.progress import Progress, Stage, silent
from deployx_edge.runtime import RUNTIMES, find_runtime
from deployx_edge.workflows.boards.chips import soc_of
from deployx_edge.workflows.boards.session import open_session
from deployx_edge.workflows.boards.several import run_on_devices


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
    board = _board_of(device, [runtime], True, progress)
    soc = soc_of(board, runtime)
    if soc:
        return soc
    told = f"it tells '{board.soc}'" if board.soc else "it tells none"
    raise UnfitDeviceError(
        f"{device.name} has no chip that {row.title} makes files for: "
        f"{'it is emulated' if board.emulated else told}.",
        remedy=f"Name the chip by --soc: {', '.join(row.socs)}.",
    )


def ask_chips(
    devices: Sequence[Device],
    runtimes: Sequence[str],
    *,
    wait: bool = True,
    progress: Progress = silent,
) -> Mapping[str, str]:
    """By runtime the chip that files for these boards are made for, where all tell the same one.

    Nothing of a runtime whose files are for all chips, nor where a board tells no chip or cannot
    be asked: what runs there tells why. ``wait`` where another run has a board.
    """
    asking = [name for name in runtimes if find_runtime(name).socs]
    if not asking:
        return {}
    names = ", ".join(device.name for device in devices)
    progress(Stage(text=f"Asking {names} which chip it has"))
    outcomes = run_on_devices(
        devices,
        lambda device, _: _board_of(device, asking, wait, silent),
        lambda _: silent,
    )
    boards = [each.value for each in outcomes if each.value is not None]
    found: dict[str, str] = {}
    for runtime in asking if len(boards) == len(devices) else ():
        chips = {soc_of(board, runtime) for board in boards}
        if len(chips) == 1 and "" not in chips:
            (found[runtime],) = chips
            title = find_runtime(runtime).title
            told = f"Files for {title} are made for {found[runtime]}, the chip of {names}"
            progress(Stage(text=told))
    return found


def _board_of(
    device: Device, runtimes: Sequence[str], wait: bool, progress: Progress
) -> BoardDescription:
    titles = " and ".join(find_runtime(name).title for name in runtimes)
    purpose = f"ask for the chip that files for {titles} are made for"
    with open_session(device, purpose=purpose, wait=wait, progress=progress) as session:
        return session.identity.board
