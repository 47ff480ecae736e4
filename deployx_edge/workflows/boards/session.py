"""One session on one board: link, files, agent, handshake; and the way out of it again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deployx_edge.agent.client import AgentClient
from deployx_edge.bundle import Bundle
from deployx_edge.crossbuild.finished import Build, BuiltFile
from deployx_edge.device import Device
from deployx_edge.errors import DamagedContentError, DeployxError, LinkLostError
from deployx_edge.measurement.values import (
    BoardDescription,
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
from deployx_edge.transport.protocol import Transport
from deployx_edge.transport.push import PushFile, push
from deployx_edge.worker_facts import worker_facts
from deployx_edge.workflows.boards.agent_start import (
    AskedBoard,
    bring_agent,
    start_agent,
    with_last_words,
)
from deployx_edge.workflows.boards.chips import files_for_board, files_of_worker, is_remade
from deployx_edge.workflows.boards.left_nodes import check_run
from deployx_edge.workflows.boards.preflight import check_emulation, check_fit, check_system
from deployx_edge.workflows.build.built import ensure_built

if TYPE_CHECKING:
    from deployx_edge.workflows.boards.loaded_model import LoadedModel

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

    def push(self, bundle: Bundle, *, remade: bool = False) -> PushCost:
        """Bring the bundle, its runtime's worker and the worker's libraries to the board.

        What is there is not sent. ``remade``: also those libraries that prepare on the board what
        the bundle holds prepared. Raises UnfitDeviceError before anything is sent where the board
        cannot run it.
        """
        name, launcher = self.device.name, self.transport.launcher
        check_fit(self.identity.board, self.build, bundle, device=name)
        check_emulation(launcher, self.target, self.build, bundle, device=name)
        cost = _push_bundle(self, bundle, self.files_of_worker(bundle, remade=remade))
        if cost.replaced:
            self.progress(Stage(text=replaced_sentence(self.device.name, cost.replaced)))
        return cost

    def files_of_worker(self, bundle: Bundle, *, remade: bool = False) -> tuple[BuiltFile, ...]:
        """The bundle's worker and what of its libraries goes to this board."""
        return files_of_worker(self.build, bundle, self.identity.board, remade=remade)

    def runs(self, runtime: str) -> bool:
        """Whether the board runs that runtime's models, or its build is to have the worker: one of
        archives that a user brings is there or not."""
        if runtime in self.build.runtimes:
            return True
        having = runtime in self.target.runtimes
        return having and not worker_facts(runtime).archives_for(self.target.id)

    def emulator_of(self, bundle: Bundle) -> str:
        """What emulates the bundle's processor on such a board, "" where it has that itself."""
        return worker_facts(bundle.runtime).emulator(self.target.machines[0])

    def identity_for(self, bundle: Bundle) -> DeviceIdentity:
        """The board as the bundle meets it: emulated, where the processor that it is for is."""
        emulator = self.emulator_of(bundle)
        if not emulator or self.identity.board.emulated:
            return self.identity
        board = replace(self.identity.board, emulated=True, emulated_reason=emulator)
        return replace(self.identity, board=board)

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
        check_run(bundle, options.named)
        remade = is_remade(bundle, options, outputs)
        libraries = self.files_of_worker(bundle, remade=remade)[1:]
        if len(libraries) > len(self.files_of_worker(bundle)[1:]):
            self.push(bundle, remade=remade)
        self.progress(Stage(text=f"Loading {bundle.name}"))
        try:
            return self._load(bundle, libraries, options, limits, outputs)
        except DamagedContentError as error:
            self.progress(Stage(text=f"{self.device.name}: {error.message}"))
            self.push(bundle, remade=remade)
            return self._load(bundle, libraries, options, limits, outputs)

    @contextmanager
    def loaded(
        self,
        bundle: Bundle,
        *,
        feed_back: Sequence[str] = (),
        options: RunOptions | None = None,
        limits: WorkerLimits | None = None,
    ) -> Iterator[LoadedModel]:
        """The bundle in a worker of its own for as long as the block lasts, to be called with
        inputs; it is pushed first where it is not there. ``feed_back`` ("stateN=state") makes each
        call a step."""
        from deployx_edge.workflows.boards.loaded_model import load_for_calls

        with load_for_calls(
            self, bundle, feed_back, options or RunOptions(), limits or WorkerLimits()
        ) as model:
            yield model

    def _load(
        self,
        bundle: Bundle,
        libraries: Sequence[BuiltFile],
        options: RunOptions,
        limits: WorkerLimits,
        outputs: tuple[str, ...],
    ) -> LoadResult:
        files = {file.role: file.sha256 for file in files_for_board(bundle)}
        files[_WORKER_ROLE] = self.build.worker_sha256(bundle.runtime)

        def tell(fraction: float | None, text: str) -> None:
            self.progress(Preparing(model=bundle.name, fraction=fraction, doing=text))

        return self.client.load(
            bundle.runtime,
            files,
            libraries={file.name: file.sha256 for file in libraries},
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
        agent_path = bring_agent(transport, build, progress)
        asked = AskedBoard(device=device, purpose=purpose, wait=wait, progress=progress)
        progress(Phase(text="Starting the agent"))
        started = start_agent(transport, build, agent_path, asked)
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
            board = _with_android(client.describe(), android)
        except LinkLostError as error:
            raise with_last_words(error, channel) from error
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


def _with_android(board: BoardDescription, android: AndroidFacts | None) -> BoardDescription:
    """With the chip as Android's properties name it, which its agent may not read."""
    chip = android.soc if android else None
    if not chip or chip.lower() in (board.soc or "").lower():
        return board
    return replace(board, soc=f"{chip} ({board.soc})" if board.soc else chip)


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


def _push_bundle(session: Session, bundle: Bundle, worker: Sequence[BuiltFile]) -> PushCost:
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
            for file in worker
        ),
        *(
            PushFile(
                local=bundle.folder / file.path,
                sha256=file.sha256,
                size=file.size,
                executable=False,
                name=file.path,
            )
            for file in files_for_board(bundle)
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


def _shut_down(client: AgentClient) -> None:
    # The way out of a session must not hide the error that led there; an agent that
    # cannot hear this ends by itself when its input closes.
    with suppress(DeployxError):
        client.shut_down()
