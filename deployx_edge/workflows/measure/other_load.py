"""How busy others keep a board while ours runs there: its programs, and who steals its time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from deployx_edge.errors import DeployxError
from deployx_edge.measurement.values import BoardLoad
from deployx_edge.transport.output import LineReader, read_number
from deployx_edge.transport.protocol import Channel
from deployx_edge.workflows.boards.session import Session

# proc(5): /proc/stat counts ticks of all cores; fields of /proc/PID/stat behind its name.
_IDLE, _IOWAIT, _STEAL, _FIELDS = 3, 4, 7, 8
_OWN_TIMES = slice(11, 15)
_ANSWER_SECONDS = 10.0
# A shorter time holds too few ticks to say anything.
_FEWEST_TICKS = 20


@dataclass(frozen=True, kw_only=True)
class _Ticks:
    """Since the board's start: of all cores, of those the busy ones, of those our agent's, with
    all workers that have ended; and those in which the board itself did not run."""

    all: int
    busy: int
    own: int
    stolen: int


@contextmanager
def other_load(session: Session) -> Iterator[Callable[[], BoardLoad | None]]:
    """Gives a callable: the number of cores that others had since the block's start.

    To be called while no worker of ours runs, as those count by their end. None where the board
    does not tell, also under emulation. One program on the board answers every call.
    """
    board = session.identity.board
    if board.emulated or not session.agent_pid:
        yield lambda: None
        return
    tell = question(session.agent_pid)
    channel: Channel | None = None
    try:
        channel = session.transport.stream(["sh", "-c", f"{tell}; while read x; do {tell}; done"])
        lines = LineReader(channel)
        before = _read(lines)
    except DeployxError:
        # A board that does not let itself be asked is benched all the same.
        before = None

    def so_far() -> BoardLoad | None:
        if channel is None or before is None:
            return None
        try:
            channel.write(b"\n")
            return _others(before, _read(lines), board.cores)
        except DeployxError:
            return None

    try:
        yield so_far
    finally:
        if channel is not None:
            channel.close()


def question(pid: int, proc: str = "/proc") -> str:
    """A shell's words that tell two lines, also where a board lets nobody read these files: phones
    and boards that hide other users' processes do, and nobody waits for what does not come."""
    return f"head -n 1 {proc}/stat || echo; cat {proc}/{pid}/stat || echo"


def _others(before: _Ticks, after: _Ticks | None, cores: int) -> BoardLoad | None:
    if after is None or after.all - before.all < _FEWEST_TICKS * cores:
        return None
    busy = (after.busy - before.busy) - (after.own - before.own)
    share = cores / (after.all - before.all)
    return BoardLoad(
        programs=max(0.0, busy * share), stolen=max(0.0, (after.stolen - before.stolen) * share)
    )


def _read(lines: LineReader) -> _Ticks | None:
    """None where the lines are not what Linux writes."""
    system = lines.next(timeout=_ANSWER_SECONDS) or ""
    process = lines.next(timeout=_ANSWER_SECONDS) or ""
    words = system.split()
    # The process's name stands in parentheses and may hold anything.
    own = process.rpartition(")")[2].split()
    if words[:1] != ["cpu"] or len(words) < 1 + _FIELDS or len(own) < _OWN_TIMES.stop:
        return None
    ticks = _numbers(words[1 : 1 + _FIELDS])
    owned = _numbers(own[_OWN_TIMES])
    if ticks is None or owned is None:
        return None
    return _Ticks(
        all=sum(ticks),
        busy=sum(ticks) - ticks[_IDLE] - ticks[_IOWAIT] - ticks[_STEAL],
        own=sum(owned),
        stolen=ticks[_STEAL],
    )


def _numbers(words: Sequence[str]) -> list[int] | None:
    """None where one of them is none."""
    found = [read_number(word, signed=True) for word in words]
    numbers = [number for number in found if number is not None]
    return numbers if len(numbers) == len(found) else None
