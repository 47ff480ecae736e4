"""The agent of a session: brought to the board, started, and told when the board is ours."""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass

from deployx_edge.crossbuild.finished import Build
from deployx_edge.device import Device
from deployx_edge.errors import AgentError, DeployxError, LinkLostError
from deployx_edge.progress import Progress, Stage, silent
from deployx_edge.transport.output import LineBudget, LineReader, read_number
from deployx_edge.transport.protocol import Channel, Transport
from deployx_edge.transport.push import install_agent
from deployx_edge.visible import visible_line
from deployx_edge.workflows.boards.lease import busy, owner, parse_entry

# Exit codes of programs that a signal ended are higher than this.
_SIGNALLED = 128
# An agent that waits for its turn says so every 5 s.
_TURN_SECONDS = 15.0
_AGENT_SECONDS = 30
_MOST_AGENT_SECONDS = 86400


def bring_agent(transport: Transport, build: Build, progress: Progress) -> str:
    """Put the agent on the board where it is not there already; the path that it has there."""
    progress(Stage(text="Installing the agent"))
    return _put_agent(transport, build, progress)


def _put_agent(
    transport: Transport, build: Build, progress: Progress, *, fresh: bool = False
) -> str:
    words = f"The agent on {transport.uri} was damaged and is replaced"
    return install_agent(
        transport,
        build.agent,
        fresh=fresh,
        on_replaced=lambda: progress(Stage(text=words)),
    )


@dataclass(frozen=True, kw_only=True)
class AskedBoard:
    """How the board is wanted."""

    device: Device
    purpose: str
    wait: bool
    progress: Progress


@dataclass(frozen=True, kw_only=True)
class StartedAgent:
    """An agent that listens: its process and its port on the board, and why only runs with the
    same work folder take turns with it (empty where all of the board do)."""

    channel: Channel
    port: int
    pid: int
    token: str
    alone: str


class _DiedError(AgentError):
    """A signal ended the agent before it was ready: its file may be damaged."""


def start_agent(
    transport: Transport, build: Build, agent_path: str, asked: AskedBoard
) -> StartedAgent:
    """Start the agent; one that dies of a signal is brought anew, once."""
    try:
        return _start(transport, agent_path, asked)
    except _DiedError as error:
        asked.progress(Stage(text=f"{error.message} A fresh copy is brought to {transport.uri}"))
        return _start(transport, _put_agent(transport, build, silent, fresh=True), asked)


def _start(transport: Transport, agent_path: str, asked: AskedBoard) -> StartedAgent:
    words = [*transport.launcher, agent_path, "serve", "--work", transport.work_folder]
    words += ["--lease", f"{owner()}: {asked.purpose or 'a session'}"]
    words += ["--lease-folder", transport.lease_folder]
    # Its own patience is the longer one, so that the host is the first to know.
    patience = max(_AGENT_SECONDS, math.ceil(2 * asked.device.options.lost_seconds))
    words += ["--heartbeat-seconds", str(min(patience, _MOST_AGENT_SECONDS))]
    if not asked.wait:
        words.append("--no-wait")
    if transport.emulated:
        words.append("--emulated")
    for word in transport.launcher:
        words += ["--launcher", word]
    channel = transport.stream(words)
    token = secrets.token_hex(32)
    try:
        channel.write(f"token {token}\n".encode())
        return _started(channel, token, asked)
    except LinkLostError as error:
        with_words = with_last_words(error, channel)
        channel.close()
        raise with_words from error
    except BaseException:
        channel.close()
        raise


def _started(channel: Channel, token: str, asked: AskedBoard) -> StartedAgent:
    """The agent, once the board is ours."""
    lines = LineReader(channel)
    budget = LineBudget()
    told = alone = ""
    patience = max(asked.device.options.answer_seconds, _TURN_SECONDS)
    while (line := lines.next(timeout=patience)) is not None:
        word, _, rest = line.partition(" ")
        if word == "ready":
            port, pid = _read_ready(rest)
            return StartedAgent(channel=channel, port=port, pid=pid, token=token, alone=alone)
        if word == "busy":
            raise busy(asked.device, parse_entry(rest))
        if word not in ("alone", "waiting") or not budget.take():
            raise AgentError(f"Expected 'ready PORT PID' from the agent, got: {line[:200]!r}.")
        if word == "alone":
            alone = visible_line(rest)
            asked.progress(
                Stage(text=f"Taking turns only with runs that have this work folder: {alone}")
            )
            continue
        holder = parse_entry(rest)
        if told != holder.id:
            told = holder.id
            asked.progress(Stage(text=f"Waiting for {asked.device.name}, used by {holder.since}"))
    code = channel.wait(patience)
    if code > _SIGNALLED:
        raise _DiedError(f"Signal {code - _SIGNALLED} ended the agent at its start.")
    raise AgentError(
        f"The agent ended before it was ready, saying: {channel.error_tail().strip() or 'nothing'}"
    )


def _read_ready(words: str) -> tuple[int, int]:
    port, _, pid = words.partition(" ")
    numbers = read_number(port), read_number(pid)
    if numbers[0] is None or numbers[1] is None or not 0 < numbers[0] < 65536:
        raise AgentError(f"Expected 'ready PORT PID' from the agent, got: {words[:200]!r}.")
    return numbers[0], numbers[1]


def with_last_words(error: LinkLostError, channel: Channel) -> DeployxError:
    """The error, with what the agent said last."""
    words = channel.error_tail().strip()
    return LinkLostError(f"{error.message} {words}".rstrip(), remedy=error.remedy)
