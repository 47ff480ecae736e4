"""Looking at, and waiting for, real processes by way of /proc."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

PATIENCE_SECONDS = 60.0


def children(pid):
    """The living children of a process."""
    return _living_by_parent().get(pid, [])


def descendants(pid):
    """All living processes below a process."""
    by_parent = _living_by_parent()
    found = []
    waiting = [pid]
    while waiting:
        below = by_parent.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _living_by_parent():
    """Every process that is not a zombie, by its parent; any of them may end meanwhile."""
    found = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            state, parent = place.read_text().rsplit(")", 1)[1].split()[:2]
            if state != "Z":
                found.setdefault(int(parent), []).append(int(place.parent.name))
    return found


def is_alive(pid):
    """Whether a process exists and is not a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def with_words(*words):
    """The ids of processes whose command line holds all of ``words``."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = place.read_bytes().decode(errors="replace").replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if all(word in line for word in words) and is_alive(int(place.parent.name)):
            found.append(int(place.parent.name))
    return found


def stop(pid):
    """Have the process stand still. A signal stops it only once one of its threads runs again, on a
    busy computer much later, and until then the others may answer."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: _stands_still(pid), f"process {pid} standing still")


def _stands_still(pid):
    states = set()
    for place in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            states.add(place.read_text().rsplit(")", 1)[1].split()[0])
    return states <= {"T", "Z", "X"}


def wait_until(condition, what, seconds=PATIENCE_SECONDS):
    """Wait generously, and fail by name: liveness, not speed, is what is asserted."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.02)
    raise AssertionError(f"{what} did not happen within {seconds:g} s")


def wait_until_gone(word):
    """Wait until no living process has ``word`` in its command line: what was ended ends soon."""
    wait_until(lambda: not with_words(word), f"the end of '{word}'", seconds=5)
