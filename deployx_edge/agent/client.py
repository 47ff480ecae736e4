"""A session's calls to one agent. Values go in and come out; gRPC stays inside."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import grpc
import numpy

from deployx_edge import __version__
from deployx_edge.agent import messages
from deployx_edge.agent.failures import translate
from deployx_edge.agent.messages import FedTensor
from deployx_edge.agent.v1 import agent_pb2, agent_pb2_grpc
from deployx_edge.errors import AgentError, LinkLostError, VersionError
from deployx_edge.measurement.values import (
    AgentBuild,
    BenchPlan,
    BenchSamples,
    BoardDescription,
    LayerProfile,
    LoadResult,
    ProfileSamples,
    RunOptions,
    WorkerLimits,
)
from deployx_edge.visible import visible_line

# Of ``agent.proto``; raised when an older host or agent would misunderstand.
PROTOCOL_VERSION = 3
_HEARTBEAT_SECONDS = 3.0
# A link counts as lost after this long without one answered heartbeat.
_LINK_LOST_SECONDS = 15.0
_CLOSE_SECONDS = 2.0
# Outputs may be large; everything else that an agent has to say is not.
_OUTPUT_BYTES = 1 << 30
_ANSWER_BYTES = 4 << 20
_MOST_PHASES = 1000
_MOST_LAYERS = 20_000
_MOST_RUNS_A_SECOND = 1e6


@dataclass(frozen=True, kw_only=True)
class InputTensor:
    """One input as the runtime takes it: its blob's name, the array (slowest axis first)
    and whether axis 0 counts independent samples."""

    runtime_name: str
    array: numpy.ndarray
    batched: bool = False


@dataclass(frozen=True, kw_only=True)
class Inference:
    """The answer to one inference; times in nanoseconds, measured on the board."""

    sequence: int
    outputs: dict[str, numpy.ndarray]
    compute_ns: int
    worker_ns: int


class AgentClient:
    """Calls to the agent that listens on ``port`` of this computer's loopback.

    Beats the heart from a thread of its own as long as it is open. When no beat is
    answered for ``link_lost_seconds`` every running call ends with LinkLostError, and no
    other is made.
    """

    def __init__(
        self, port: int, token: str, *, link_lost_seconds: float = _LINK_LOST_SECONDS
    ) -> None:
        self._channel = _channel(port, _ANSWER_BYTES)
        self._stub = agent_pb2_grpc.AgentStub(self._channel)
        # Connects with the first inference.
        self._output_channel = _channel(port, _OUTPUT_BYTES)
        self._output_stub = agent_pb2_grpc.AgentStub(self._output_channel)
        self._metadata = (("x-deployx-token", token),)
        self._link_lost_seconds = link_lost_seconds
        self._running: set[Any] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._lost = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def open(self) -> AgentBuild:
        """Shake hands and start the heartbeat.

        Raises VersionError where host and agent differ.
        """
        reply = self._call(
            self._stub.Handshake,
            agent_pb2.HandshakeRequest(host_version=__version__, protocol_version=PROTOCOL_VERSION),
        )
        if (reply.agent_version, reply.protocol_version) != (__version__, PROTOCOL_VERSION):
            raise VersionError(
                f"The agent is of version {visible_line(reply.agent_version[:40])} and protocol "
                f"{reply.protocol_version}, this computer of version {__version__} and protocol "
                f"{PROTOCOL_VERSION}.",
                remedy="Build the target again and run the command again.",
            )
        self._heart.start()
        return AgentBuild(
            version=reply.agent_version,
            compiler=reply.compiler,
            build_type=reply.build_type,
            target_id=reply.target_id,
            features=tuple(reply.features),
        )

    def describe(self) -> BoardDescription:
        """What the board is and how it is now."""
        return messages.board_of(self._call(self._stub.Describe, agent_pb2.DescribeRequest()))

    def ping(self) -> int:
        """The round trip of a message that runs nothing, in nanoseconds."""
        started = time.perf_counter_ns()
        self._call(self._stub.Heartbeat, agent_pb2.HeartbeatRequest())
        return time.perf_counter_ns() - started

    def load(
        self,
        runtime: str,
        files: Mapping[str, str],
        *,
        libraries: Mapping[str, str] | None = None,
        options: RunOptions,
        limits: WorkerLimits,
        outputs: Sequence[str] = (),
        on_preparing: Callable[[float | None, str], None] = lambda fraction, text: None,
    ) -> LoadResult:
        """Load a model into a worker of its own.

        ``files`` maps roles (``param``, ``bin``, ``worker``) to the sha256 of what was
        pushed, ``libraries`` the worker's shared libraries by name; ``outputs`` names the blobs to
        return, the model's outputs if empty. ``on_preparing`` is told how far a worker is that
        makes a file of the model first: the fraction, None where it is not known, and what it does.
        """
        request = agent_pb2.LoadRequest(
            runtime=runtime,
            files=[
                *(agent_pb2.ModelFile(role=r, sha256=s) for r, s in files.items()),
                *(
                    agent_pb2.ModelFile(role="library", name=name, sha256=sha256)
                    for name, sha256 in (libraries or {}).items()
                ),
            ],
            options=messages.options_message(options),
            memory_limit_bytes=limits.memory_bytes,
            watchdog_ms=round(limits.watchdog_seconds * 1000),
            prepare_ms=round(limits.prepare_seconds * 1000),
            rebuild=limits.rebuild,
            outputs=outputs,
        )
        phases = 0
        for event in self._stream(self._stub.Load, request):
            if event.HasField("loaded"):
                return messages.load_of(event.loaded)
            if event.HasField("progress"):
                on_preparing(*messages.progress_of(event.progress))
                continue
            if event.phase == agent_pb2.PHASE_PREPARE:
                on_preparing(None, "")
            phases += 1
            _require(phases < _MOST_PHASES, "the load's phases without end")
        raise AgentError("The agent ended the load without an answer.")

    def infer(
        self,
        model_id: str,
        requests: Iterable[Sequence[InputTensor]],
        feed_back: Callable[[int], Sequence[FedTensor]] = lambda sequence: (),
    ) -> Iterator[Inference]:
        """Run many inputs with several in flight; answers come in the order of the requests.

        Where ``feed_back`` of a request's number gives anything, it is a step: what it does not
        name is fed back on the board, or is as in the step before.
        """
        asked = 0

        def encode() -> Iterator[agent_pb2.InferRequest]:
            nonlocal asked
            for sequence, inputs in enumerate(requests):
                asked = sequence + 1
                yield agent_pb2.InferRequest(
                    model_id=model_id,
                    sequence=sequence,
                    inputs=_tensor_messages(inputs),
                    feed_back=messages.feed_messages(feed_back(sequence)),
                )

        for count, reply in enumerate(self._stream(self._output_stub.Infer, encode())):
            _require(reply.sequence == count < asked, "an answer that was not asked for")
            yield Inference(
                sequence=reply.sequence,
                outputs={t.name: messages.array_of(t) for t in reply.outputs},
                compute_ns=reply.compute_ns,
                worker_ns=reply.worker_ns,
            )

    def bench(
        self,
        model_id: str,
        inputs: Sequence[InputTensor],
        plan: BenchPlan,
        on_samples: Callable[[Sequence[int]], None] = lambda samples: None,
        feed_back: Sequence[FedTensor] = (),
    ) -> BenchSamples:
        """Time runs on the board; ``on_samples`` is told each group of nanoseconds as it comes.

        With ``feed_back`` each run is a step, fed with what the one before it gave.
        """
        request = agent_pb2.BenchRequest(
            model_id=model_id,
            inputs=_tensor_messages(inputs),
            warmup=plan.warmup,
            iterations=plan.iterations,
            seconds=plan.seconds,
            pause_ns=round(plan.pause_seconds * 1e9),
            feed_back=messages.feed_messages(feed_back),
        )
        samples: list[int] = []
        most = plan.iterations or plan.seconds * _MOST_RUNS_A_SECOND
        for event in self._stream(self._stub.Bench, request):
            if event.HasField("samples"):
                samples.extend(event.samples.ns)
                _require(len(samples) <= most, "more samples than were asked for")
                on_samples(event.samples.ns)
            elif event.HasField("summary"):
                return messages.bench_of(samples, event.summary)
        raise AgentError("The agent ended the bench without its summary.")

    def profile(
        self,
        model_id: str,
        inputs: Sequence[InputTensor],
        *,
        warmup: int,
        iterations: int,
        on_layer: Callable[[LayerProfile], None] = lambda layer: None,
    ) -> ProfileSamples:
        """Time each layer on the board, and undivided runs of the same model beside them."""
        request = agent_pb2.ProfileRequest(
            model_id=model_id,
            inputs=_tensor_messages(inputs),
            warmup=warmup,
            iterations=iterations,
        )
        layers: list[LayerProfile] = []
        for event in self._stream(self._stub.Profile, request):
            if event.HasField("layer"):
                layers.append(messages.layer_of(event.layer))
                _require(len(event.layer.ns) <= iterations, "more samples than were asked for")
                _require(len(layers) <= _MOST_LAYERS, "layers without end")
                on_layer(layers[-1])
            elif event.HasField("summary"):
                return ProfileSamples(
                    layers=tuple(layers),
                    whole_ns=tuple(event.summary.whole_ns),
                    before=messages.conditions_of(event.summary.before),
                    after=messages.conditions_of(event.summary.after),
                )
        raise AgentError("The agent ended the profile without its summary.")

    def unload(self, model_id: str) -> None:
        """End the model's worker."""
        self._call(self._stub.Unload, agent_pb2.UnloadRequest(model_id=model_id))

    def shut_down(self) -> None:
        """Ask the agent to end; its workers end with it."""
        self._call(self._stub.Shutdown, agent_pb2.ShutdownRequest())

    def close(self) -> None:
        """End the heartbeat and the connection. May be called twice."""
        self._closed.set()
        # With them ends the beat that may be on its way. A call that a signal cut off at a bad
        # moment never counts as ended, and gRPC would wait for it for ever.
        channels = (self._channel, self._output_channel)
        closing = [threading.Thread(target=each.close, daemon=True) for each in channels]
        for thread in closing:
            thread.start()
        for thread in (*closing, self._heart):
            if thread.is_alive():
                thread.join(_CLOSE_SECONDS)

    def __enter__(self) -> AgentClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _call(self, method: Any, request: Any) -> Any:
        with self._errors():
            return method(request, metadata=self._metadata, timeout=self._link_lost_seconds)

    def _stream(self, method: Any, request: Any) -> Iterator[Any]:
        """The events of a streamed call; it is cancelled when the consumer stops early."""
        with self._errors():
            call = method(request, metadata=self._metadata)
            with self._lock:
                self._running.add(call)
            try:
                yield from call
            finally:
                with self._lock:
                    self._running.discard(call)
                call.cancel()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Of a call. Nothing is asked of a link that is known as lost."""
        if self._lost.is_set():
            raise self._silent()
        try:
            yield
        except grpc.RpcError as error:
            found = translate(error)
            if self._lost.is_set() or error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                found = self._silent()
            if isinstance(found, LinkLostError):
                self._lost.set()
            raise found from error

    def _silent(self) -> LinkLostError:
        return LinkLostError(
            f"The agent has not answered for {self._link_lost_seconds:g} s.",
            remedy="Check the board and its link, then run the command again; "
            "the agent ends by itself.",
        )

    def _beat(self) -> None:
        pause = min(_HEARTBEAT_SECONDS, self._link_lost_seconds / 4)
        heard = time.monotonic()
        while not self._closed.wait(pause):
            # Where this computer itself stood still, one beat decides.
            left = max(heard + self._link_lost_seconds - time.monotonic(), pause)
            try:
                self._stub.Heartbeat(
                    agent_pb2.HeartbeatRequest(), metadata=self._metadata, timeout=left
                )
                heard = time.monotonic()
            except ValueError:  # the channel was closed
                return
            except grpc.RpcError:
                if time.monotonic() >= heard + self._link_lost_seconds:
                    self._give_up()
                    return

    def _give_up(self) -> None:
        self._lost.set()
        with self._lock:
            running = list(self._running)
        for call in running:
            call.cancel()


def _channel(port: int, most_answer_bytes: int) -> grpc.Channel:
    options = [
        ("grpc.max_receive_message_length", most_answer_bytes),
        ("grpc.max_send_message_length", _OUTPUT_BYTES),
        ("grpc.enable_http_proxy", 0),
    ]
    return grpc.insecure_channel(f"127.0.0.1:{port}", options=options)


def _require(is_sound: bool, found: str) -> None:
    if not is_sound:
        raise AgentError(
            f"The agent sent {found}.", remedy="Check the board: that is not an agent of ours."
        )


def _tensor_messages(inputs: Sequence[InputTensor]) -> list[agent_pb2.Tensor]:
    return [messages.tensor_message(i.runtime_name, i.array, i.batched) for i in inputs]
