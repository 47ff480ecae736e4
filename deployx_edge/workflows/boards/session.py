"""One session on one board: link, files, agent, handshake; and the way out of it again."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from deployx_edge.agent.client import AgentClient
from deployx_edge.bundle import Bundle
from deployx_edge.crossbuild.finished import Build
from deployx_edge.device import Device
from deployx_edge.errors import AgentError, DamagedContentError, DeployxError, LinkLostError
from deployx_edge.measurement.values import (
    DeviceIdentity,
    LoadResult,
    PushCost,
    RunOptions,
    WorkerLimits,
)
from deployx_edge.progress import Phase, Preparing, Progress, Stage, Transfer, silent
from deployx_edge.target import Target
from deployx_edge.transport import open_device
from deployx_edge.transport.adb.android import AndroidFacts, android_facts, facts_table
from deployx_edge.transport.board import checked_target
from deployx_edge.transport.output import LineBudget, LineReader, read_number
from deployx_edge.transport.protocol import Channel, Transport
from deployx_edge.transport.push import PushFile, install_agent, push
from deployx_edge.visible import visible_line
from deployx_edge.worker_facts import check_options
from deployx_edge.workflows.boards.lease import busy, owner, parse_entry
from deployx_edge.workflows.boards.preflight import check_emulation, check_fit, check_system
from deployx_edge.workflows.build.built import ensure_built

# Exit codes of programs that a signal ended are higher than this.
_SIGNALLED = 128
# An agent that waits for its turn says so every 5 s.
_TURN_SECONDS = 15.0
_AGENT_SECONDS = 30
_MOST_AGENT_SECONDS = 86400
_WORKER_ROLE = "worker"


@dataclass(frozen=True, kw_only=True)
class Session:
    """An agent that runs on a board for as long as this value is in use.

    ``agent_pid`` is its process there; ``alone`` says why only runs with the same work folder
    take turns with this one, and is empty where all runs of the board do. With ``verify``
    everything that is pushed is hashed on the board as it lies there, also what looks as it did
    when it was hashed last.
    """

    device: Device
    target: Target
    transport: Transport
    build: Build
    agent_path: str
    agent_pid: int
    alone: str
    client: AgentClient
    identity: DeviceIdentity
    android: AndroidFacts | None
    progress: Progress
    verify: bool = False

    def push(self, bundle: Bundle) -> PushCost:
        """Bring the bundle, its runtime's worker and the worker's libraries to the board.

        What is there is not sent. Raises UnfitDeviceError before anything is sent where the board
        cannot run it.
        """
        name, launcher = self.device.name, self.transport.launcher
        check_fit(self.identity.board, self.build, bundle, device=name)
        check_emulation(launcher, self.target, self.build, bundle, device=name)
        cost = _push_bundle(self, bundle)
        if cost.replaced:
            self.progress(Stage(text=replaced_sentence(self.device.name, cost.replaced)))
        return cost

    def load(
        self,
        bundle: Bundle,
        options: RunOptions,
        limits: WorkerLimits,
        outputs: tuple[str, ...] = (),
    ) -> LoadResult:
        """Load a pushed bundle into a worker of its own.

        A file that was damaged since it was pushed is brought once more.
        """
        check_options(bundle.runtime, options.named)
        self.progress(Stage(text=f"Loading {bundle.name}"))
        try:
            return self._load(bundle, options, limits, outputs)
        except DamagedContentError as error:
            self.progress(Stage(text=f"{self.device.name}: {error.message}"))
            self.push(bundle)
            return self._load(bundle, options, limits, outputs)

    def _load(
        self, bundle: Bundle, options: RunOptions, limits: WorkerLimits, outputs: tuple[str, ...]
    ) -> LoadResult:
        files = {file.role: file.sha256 for file in bundle.files}
        files[_WORKER_ROLE] = self.build.worker_sha256(bundle.runtime)

        def tell(fraction: float | None, text: str) -> None:
            self.progress(Preparing(model=bundle.name, fraction=fraction, doing=text))

        return self.client.load(
            bundle.runtime,
            files,
            libraries={f.name: f.sha256 for f in self.build.libraries(bundle.runtime)},
            options=options,
            limits=limits,
            outputs=outputs or tuple(spec.runtime_name for spec in bundle.outputs),
            on_preparing=tell,
        )


@contextmanager
def open_session(
    device: Device,
    *,
    purpose: str = "",
    wait: bool = True,
    verify: bool = False,
    progress: Progress = silent,
) -> Iterator[Session]:
    """Connect, bring the agent, start it, shake hands. Everything ends with the block.

    The board is ours alone meanwhile; ``purpose`` tells others what for. Where somebody else
    has it, this waits its turn, or raises DeviceBusyError unless ``wait``. For ``verify`` see
    ``Session``. Raises
    ArchitectureError or UnfitDeviceError before anything is pushed when the board is not what
    the target's build is for.
    """
    with ExitStack() as stack:
        transport, target = stack.enter_context(_connected(device, progress))
        progress(Phase(text="Looking at the build"))
        build = ensure_built(target, on_event=progress)
        progress(Phase(text="Looking at the board"))
        android = android_facts(transport)
        check_system(android, build, device=device.name)
        agent_path = _install(transport, build, progress)
        asked = _Asked(device=device, purpose=purpose, wait=wait, progress=progress)
        progress(Phase(text="Starting the agent"))
        started = _start_sound(transport, build, agent_path, asked)
        channel = started.channel
        stack.callback(channel.close)
        client = AgentClient(
            transport.forward(started.port),
            started.token,
            link_lost_seconds=device.options.lost_seconds,
        )
        stack.callback(client.close)
        try:
            agent_build = client.open()
            board = client.describe()
        except LinkLostError as error:
            raise _with_last_words(error, channel) from error
        stack.callback(_shut_down, client)
        stack.callback(progress, Phase(text="Ending the session"))
        yield Session(
            device=device,
            target=target,
            transport=transport,
            build=build,
            agent_path=agent_path,
            agent_pid=started.pid,
            alone=started.alone,
            client=client,
            identity=DeviceIdentity(
                name=device.name,
                uri=transport.uri,
                target_id=target.id,
                board=board,
                agent=agent_build,
                facts=tuple(facts_table(android)) if android else (),
            ),
            android=android,
            progress=progress,
            verify=verify,
        )


@contextmanager
def _connected(device: Device, progress: Progress) -> Iterator[tuple[Transport, Target]]:
    progress(Stage(text=f"Connecting to {device.name}"))
    with open_device(device) as transport:
        yield transport, checked_target(transport, device.target)


def push_to_device(
    device: Device,
    bundle: Bundle,
    *,
    wait: bool = True,
    verify: bool = False,
    progress: Progress = silent,
) -> PushCost:
    """Push a bundle, its worker and the agent without running a model."""
    purpose = f"push {bundle.name}"
    with open_session(
        device, purpose=purpose, wait=wait, verify=verify, progress=progress
    ) as session:
        return session.push(bundle)


def replaced_sentence(device: str, names: Sequence[str]) -> str:
    """That files on a board were damaged and are as they should be again."""
    files = "a file was" if len(names) == 1 else f"{len(names)} files were"
    return f"On {device} {files} damaged and replaced: {', '.join(names)}"


def _push_bundle(session: Session, bundle: Bundle) -> PushCost:
    """One push of everything that running ``bundle`` takes."""
    progress, runtime, transport = session.progress, session.build, session.transport
    progress(Stage(text=f"Pushing {bundle.name}"))
    files = [
        *(
            PushFile(
                local=runtime.folder / file.name,
                sha256=file.sha256,
                size=file.size_bytes,
                executable=True,
                name=file.name,
            )
            for file in runtime.of_worker(bundle.runtime)
        ),
        *(
            PushFile(
                local=bundle.folder / file.path,
                sha256=file.sha256,
                size=file.size,
                executable=False,
                name=file.path,
            )
            for file in bundle.files
        ),
    ]
    started = time.monotonic()

    def tell(sent: int, total: int) -> None:
        seconds = time.monotonic() - started
        progress(Transfer(sent_bytes=sent, total_bytes=total, seconds=seconds))

    keep = ["--keep-bytes", str(session.device.keep_mib << 20)]
    if session.verify:
        keep.append("--verify")
    work = ("--work", transport.work_folder)
    receiver = (*transport.launcher, session.agent_path, "receive", *work, *keep)
    report = push(
        transport,
        receiver,
        bundle.name,
        files,
        tell,
        answer_seconds=session.device.options.answer_seconds,
    )
    return PushCost(
        total_bytes=report.total_bytes,
        sent_bytes=report.sent_bytes,
        seconds=report.seconds,
        replaced=report.replaced,
    )


def _install(transport: Transport, build: Build, progress: Progress) -> str:
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
class _Asked:
    """How the board is wanted."""

    device: Device
    purpose: str
    wait: bool
    progress: Progress


@dataclass(frozen=True, kw_only=True)
class _Started:
    """An agent that listens: its process and its port on the board, and why only runs with the
    same work folder take turns with it (empty where all of the board do)."""

    channel: Channel
    port: int
    pid: int
    token: str
    alone: str


class _DiedError(AgentError):
    """A signal ended the agent before it was ready: its file may be damaged."""


def _start_sound(transport: Transport, build: Build, agent_path: str, asked: _Asked) -> _Started:
    """Start the agent; one that dies of a signal is brought anew, once."""
    try:
        return _start(transport, agent_path, asked)
    except _DiedError as error:
        asked.progress(Stage(text=f"{error.message} A fresh copy is brought to {transport.uri}"))
        return _start(transport, _put_agent(transport, build, silent, fresh=True), asked)


def _start(transport: Transport, agent_path: str, asked: _Asked) -> _Started:
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
        with_words = _with_last_words(error, channel)
        channel.close()
        raise with_words from error
    except BaseException:
        channel.close()
        raise


def _started(channel: Channel, token: str, asked: _Asked) -> _Started:
    """The agent, once the board is ours."""
    lines = LineReader(channel)
    budget = LineBudget()
    told = alone = ""
    patience = max(asked.device.options.answer_seconds, _TURN_SECONDS)
    while (line := lines.next(timeout=patience)) is not None:
        word, _, rest = line.partition(" ")
        if word == "ready":
            port, pid = _read_ready(rest)
            return _Started(channel=channel, port=port, pid=pid, token=token, alone=alone)
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


def _with_last_words(error: LinkLostError, channel: Channel) -> DeployxError:
    words = channel.error_tail().strip()
    return LinkLostError(f"{error.message} {words}".rstrip(), remedy=error.remedy)


def _shut_down(client: AgentClient) -> None:
    # The way out of a session must not hide the error that led there; an agent that
    # cannot hear this ends by itself when its input closes.
    with suppress(DeployxError):
        client.shut_down()
