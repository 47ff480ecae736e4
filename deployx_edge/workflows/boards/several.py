"""The same work on several boards at once; what fails on one fails there alone."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from deployx_edge.device import Device
from deployx_edge.errors import DeployxError
from deployx_edge.progress import Progress, Stage

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class Outcome(Generic[Value]):
    """What came of one board: a value or an error, after so many seconds."""

    device: Device
    value: Value | None
    error: DeployxError | None
    seconds: float


def run_on_devices(
    devices: Sequence[Device],
    work: Callable[[Device, Progress], Value],
    progress_of: Callable[[Device], Progress],
) -> list[Outcome[Value]]:
    """``work`` on all boards in parallel; the outcomes in the order of ``devices``.

    An exception that is not a DeployxError is a defect, and is raised once the others are done.
    The threads do not keep an interrupted program alive: boards notice that it is gone.
    """
    done: queue.SimpleQueue[tuple[int, Outcome[Value], Exception | None]] = queue.SimpleQueue()

    def run(index: int, device: Device) -> None:
        progress = progress_of(device)
        started = time.monotonic()
        value, error, defect = None, None, None
        try:
            value = work(device, progress)
        except DeployxError as failure:
            error = failure
        except Exception as failure:
            defect = failure
        seconds = time.monotonic() - started
        progress(Stage(text=f"failed: {error.message}" if error else "done", over=True))
        outcome = Outcome(device=device, value=value, error=error, seconds=seconds)
        done.put((index, outcome, defect))

    for index, device in enumerate(devices):
        threading.Thread(target=run, args=(index, device), daemon=True).start()
    outcomes: dict[int, Outcome[Value]] = {}
    defects = []
    for _ in devices:
        index, outcome, defect = done.get()
        outcomes[index] = outcome
        defects += [defect] if defect else []
    if defects:
        raise defects[0]
    return [outcomes[index] for index in range(len(devices))]
