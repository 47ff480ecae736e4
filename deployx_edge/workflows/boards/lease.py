"""A board is used by one run at a time; who has it, and how to end that.

The lease lies on the board and is held by the agent's process (docs/architecture.md).
"""

from __future__ import annotations

import re
import shlex
import socket
from dataclasses import dataclass

from deployx_edge.device import Device
from deployx_edge.errors import AgentError, DeviceBusyError, TransportError
from deployx_edge.resources import user_name
from deployx_edge.target import Target
from deployx_edge.transport import open_device
from deployx_edge.transport.board import checked_target
from deployx_edge.transport.output import answer_text
from deployx_edge.transport.protocol import Transport
from deployx_edge.transport.push import install_agent
from deployx_edge.units import period
from deployx_edge.visible import visible_line
from deployx_edge.workflows.build.built import ensure_built, listed

_ANSWER_SECONDS = 30.0
_AGENT = "dx-agent-"
_NAMED = re.compile(f"{_AGENT}[0-9a-f]{{64}}")


@dataclass(frozen=True, kw_only=True)
class LeaseEntry:
    """One who has a board or waits for it.

    ``id`` stands for this run only; ``pid`` is its process on the board and ``user`` the user there
    as whom it runs, None where that is the one that we are there: both are what the board's kernel
    says. ``seconds`` since it asked, and ``text`` (who it is and what for, e.g.
    ``ann@desk: bench digits_cnn``) are what it says itself.
    """

    id: str
    pid: int
    seconds: int
    user: str | None
    text: str

    @property
    def who(self) -> str:
        """Who it is, with the board's word for it where that is another user there."""
        return self.text if self.user is None else f"the board's user {self.user} as '{self.text}'"

    @property
    def since(self) -> str:
        """The entry in a few words."""
        return f"{self.who} (since {period(self.seconds)})"

    @property
    def is_ours(self) -> bool:
        """Whether this user of this host runs it."""
        return self.user is None and self.text.startswith(f"{owner()}:")


def owner() -> str:
    """Who we are to others: ``user@host``."""
    return f"{user_name()}@{socket.gethostname()}"


_ENTRY = re.compile(r"([0-9a-f]{16}) ([0-9]{1,10}) ([0-9]{1,20}) ([A-Za-z0-9._-]{1,64}) (.*)")


def parse_entry(words: str) -> LeaseEntry:
    """``ID PID SECONDS USER WHO`` as the agent writes it; AgentError for anything else."""
    found = _ENTRY.fullmatch(words)
    if not found:
        raise AgentError(
            f"Expected 'ID PID SECONDS USER WHO' of a lease from the agent, got: {words[:200]!r}."
        )
    id, pid, seconds, user, text = found.groups()
    return LeaseEntry(
        id=id,
        pid=int(pid),
        seconds=int(seconds),
        user=None if user == "-" else user,
        text=visible_line(text),
    )


def busy(device: Device, holder: LeaseEntry) -> DeviceBusyError:
    """The refusal to whoever does not want to wait."""
    return DeviceBusyError(
        f"{device.name} is in use by {holder.since}.",
        remedy="Wait for it with --wait, or end that run: "
        f"deployx-edge devices release {shlex.quote(device.name)} --force",
    )


def lease_of(
    transport: Transport, target: Target, *, certain: bool = False
) -> tuple[LeaseEntry, ...]:
    """Who has the board and then who waits.

    An agent on the board is asked, of this build or another. Where none is in the work folder
    the answer is nobody; ``certain`` brings one there first if anybody has leased the board
    since it started.
    """
    agent = _agent_to_ask(transport, target, certain=certain)
    return _entries(transport, agent) if agent else ()


def release(device: Device, *, force: bool) -> LeaseEntry | None:
    """End the run that has the board; who it was, None where nobody has it, or it just ended.

    Without ``force`` only a run of our own (same user, same host): DeviceBusyError else.
    The other's agent is asked to end, and killed where it does not. Whoever has the board by
    then keeps it.
    """
    with open_device(device) as transport:
        target = checked_target(transport, device.target)
        agent = _agent_to_ask(transport, target, certain=True)
        entries = _entries(transport, agent) if agent else ()
        if not agent or not entries:
            return None
        if not force and not entries[0].is_ours:
            raise DeviceBusyError(
                f"{device.name} is in use by {entries[0].since}, which is not a run of yours.",
                remedy="--force ends it all the same.",
            )
        lines = _ask(transport, agent, "--end", entries[0].id)
        ended = [line for line in lines if line.startswith("ended ")]
        return parse_entry(ended[0].partition(" ")[2]) if ended else None


def _entries(transport: Transport, agent: str) -> tuple[LeaseEntry, ...]:
    return tuple(
        parse_entry(line.partition(" ")[2])
        for line in _ask(transport, agent)
        if line.startswith(("holder ", "waiting "))
    )


def _agent_to_ask(transport: Transport, target: Target, *, certain: bool) -> str | None:
    """One that is there; with ``certain`` brought where anybody may have leased the board."""
    agent = _agent_there(transport, target)
    if agent is None and certain and _any_lease(transport):
        agent = install_agent(transport, ensure_built(target).agent)
    return agent


def _agent_there(transport: Transport, target: Target) -> str | None:
    """An agent in the work folder, undamaged: this build's, else the newest of others."""
    folder = f"{transport.work_folder}/bin"
    done = transport.run(["ls", "-1t", folder], timeout=_ANSWER_SECONDS)
    names = answer_text(done).split() if done.returncode == 0 else []
    agents = [name for name in names if name.startswith(_AGENT)]
    runtime = listed(target)
    own = f"{_AGENT}{runtime.agent_sha256}" if runtime else ""
    agents.sort(key=lambda name: name != own)
    for name in agents:
        # One without a hash in its name may only be this build's.
        sha256 = name.removeprefix(_AGENT) if _NAMED.fullmatch(name) else own.removeprefix(_AGENT)
        if sha256 and (path := transport.find_program(name, sha256)):
            return path
    return None


def _any_lease(transport: Transport) -> bool:
    """Whether a file of a run lies where all of the board's meet, living or dead."""
    script = 'for file in "$1"/deployx-edge-lease-*; do test -f "$file" && exit 0; done; exit 1'
    argv = ["sh", "-c", script, "sh", transport.lease_folder]
    return transport.run(argv, timeout=_ANSWER_SECONDS).returncode == 0


def _ask(transport: Transport, agent: str, *options: str) -> list[str]:
    """The lines of ``dx-agent lease`` on the board."""
    folders = ("--work", transport.work_folder, "--lease-folder", transport.lease_folder)
    done = transport.run(
        [*transport.launcher, agent, "lease", *folders, *options], timeout=_ANSWER_SECONDS
    )
    if done.returncode != 0:
        raise TransportError(
            f"The lease of {transport.uri} is not available: "
            f"{done.stderr.decode(errors='replace').strip() or f'exit code {done.returncode}'}."
        )
    return answer_text(done).splitlines()
