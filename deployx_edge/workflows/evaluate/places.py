"""Where an evaluation runs: on this computer, on a board, or on several at once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from deployx_edge.config import load_config
from deployx_edge.device import Device
from deployx_edge.evaluation.data.datasets import Dataset
from deployx_edge.evaluation.results import FailedPlace
from deployx_edge.measurement.fallback import fallback_warnings
from deployx_edge.progress import Progress
from deployx_edge.runtime import find_runtime, precision_meant
from deployx_edge.workflows.boards.several import run_on_devices
from deployx_edge.workflows.convert.finiteness import is_finite_here
from deployx_edge.workflows.evaluate.results import Place, Tally, precision_of
from deployx_edge.workflows.evaluate.runners import Work, run_on


@dataclass(frozen=True, kw_only=True)
class Places:
    """What came of all places, in the order they were named; ``data`` is as they read it."""

    done: tuple[Place, ...]
    failed: tuple[FailedPlace, ...]
    data: Dataset


def run_places(
    work: Work,
    devices: Sequence[str],
    tally_of: Callable[[str], Tally],
    progress: Progress,
    progress_of: Callable[[str], Progress],
) -> Places:
    """All samples on each device (none: this computer).

    Several run at once, and what fails on one is a failed place; of one alone it is raised.
    """
    if len(devices) < 2:
        device = devices[0] if devices else None
        place = _place(work, device, tally_of(device or _here(work)), progress)
        return Places(done=(place,), failed=(), data=work.data)
    config = load_config()
    # Each a value of its own, as the same device may be named twice.
    boards = [replace(config.find_device(name)) for name in devices]
    # A data set knows what its latest iteration read, so that each board has one of its own;
    # the contents are hashed once for all.
    _ = work.data.digest
    works = [replace(work, data=copy.copy(work.data)) for _ in boards]
    tallies = [tally_of(board.name) for board in boards]
    waiting = {id(board): index for index, board in enumerate(boards)}

    def evaluate_one(board: Device, told: Progress) -> Place:
        index = waiting[id(board)]
        return _place(works[index], board.name, tallies[index], told)

    outcomes = run_on_devices(boards, evaluate_one, lambda board: progress_of(board.name))
    done: list[Place] = []
    failed: list[FailedPlace] = []
    read = work.data
    for outcome, own, tally in zip(outcomes, works, tallies, strict=True):
        if outcome.value is not None:
            done.append(outcome.value)
            read = own.data
        elif outcome.error is not None:
            tally.discard()
            failed.append(
                FailedPlace(
                    place=outcome.device.name,
                    error=str(outcome.error),
                    exit_code=outcome.error.exit_code,
                )
            )
    return Places(done=tuple(done), failed=tuple(failed), data=read)


def _here(work: Work) -> str:
    """This computer's name among places, which says where it only simulates a board's processor."""
    parts = work.sequence.bundles if work.sequence is not None else (work.bundle,)
    simulated = any(find_runtime(bundle.runtime).simulated for bundle in parts)
    return "this computer (simulated)" if simulated else "this computer"


def _place(work: Work, device: str | None, tally: Tally, progress: Progress) -> Place:
    ran = run_on(device, work, tally, progress)
    tally.finish()
    if device is not None and tally.broken:
        # The data set knows what its latest iteration read: this one is another's.
        first = next(islice(iter(copy.copy(work.data)), min(tally.broken), None))
        if not is_finite_here(work.bundle, first.inputs):
            tally.broken.clear()
    asked, stored = work.run.precision, work.bundle.precision
    meant = precision_meant(work.bundle.runtime, asked)
    return Place(
        name=f"{device} (emulated)" if device and ran.emulator else device or _here(work),
        precision=precision_of(work.bundle, asked, ran),
        tally=tally,
        rate=ran.rate,
        resumed=ran.resumed,
        warning=" ".join(fallback_warnings(meant, stored, ran.precisions, ran.fell_back, ran.units))
        or None,
    )
