"""One dx-agent process, and the calls to it as a careful or careless host would make them."""

from __future__ import annotations

import functools
import hashlib
import os
import queue
import secrets
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import grpc

from deployx_edge.agent.v1 import agent_pb2 as pb
from deployx_edge.agent.v1 import agent_pb2_grpc

PATIENCE_SECONDS = 120
DIMS = (2,)
DATA = b"12345678"


@dataclass(frozen=True, kw_only=True)
class Binaries:
    agent: Path
    worker: Path

    @functools.cached_property
    def worker_sha256(self) -> str:
        return hashlib.sha256(self.worker.read_bytes()).hexdigest()

    @functools.cached_property
    def version(self) -> str:
        """What ``dx-agent --version`` calls itself."""
        done = subprocess.run([self.agent, "--version"], capture_output=True, text=True, check=True)
        return done.stdout.split()[1]


def failure_of(error: grpc.RpcError) -> pb.Failure:
    """The Failure in a status' details."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            return pb.Failure.FromString(value)
    raise AssertionError(f"no Failure came with {error.code()}: {error.details()}")


def tensor(data: bytes = DATA, name: str = "in0") -> pb.Tensor:
    return pb.Tensor(name=name, dtype="float32", dims=[len(data) // 4], data=data)


class Session:
    """Starts an agent, reads its ``ready`` line, and makes calls."""

    def __init__(self, binaries, work, options, *, environment=None, token=None):
        self.binaries = binaries
        self.work = work
        self.token = token or secrets.token_hex(16)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed in close)
        self.process = subprocess.Popen(
            [str(binaries.agent), "serve", "--work", str(work), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **(environment or {})},
        )
        self.process.stdin.write(f"token {self.token}\n".encode())
        self.process.stdin.flush()
        line = self.process.stdout.readline().decode()
        assert line.startswith("ready "), f"{line!r}, {self.read_errors()}"
        self.port, self.pid = (int(word) for word in line.split()[1:])
        limits = [(f"grpc.max_{way}_message_length", 1 << 30) for way in ("send", "receive")]
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.port}", options=limits)
        self.stub = agent_pb2_grpc.AgentStub(self.channel)
        self.metadata = (("x-deployx-token", self.token),)
        self.words = ""

    def read_errors(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")

    def call(self, name, request, *, metadata=None):
        return getattr(self.stub, name)(
            request, metadata=metadata or self.metadata, timeout=PATIENCE_SECONDS
        )

    def shake(self, version=None, protocol=3):
        version = version or self.binaries.version
        request = pb.HandshakeRequest(host_version=version, protocol_version=protocol)
        return self.call("Handshake", request)

    def put(self, content: bytes) -> str:
        """Lays a content into the store."""
        sha256 = hashlib.sha256(content).hexdigest()
        (self.work / "store" / sha256).write_bytes(content)
        return sha256

    def load_request(self, words="", libraries=None, **fields) -> pb.LoadRequest:
        """A load of the test worker with the words that it obeys (see test_worker.cpp);
        ``libraries`` are contents by name."""
        files = [
            pb.ModelFile(role="worker", sha256=self.binaries.worker_sha256),
            pb.ModelFile(role="param", sha256=self.put(words.encode())),
            *(
                pb.ModelFile(role="library", name=name, sha256=self.put(content))
                for name, content in (libraries or {}).items()
            ),
        ]
        return pb.LoadRequest(**{"runtime": "test", "files": files, **fields})

    def load(self, words="", **fields) -> str:
        *phases, last = self.call("Load", self.load_request(words, **fields))
        assert [event.phase for event in phases] == [pb.PHASE_SPAWN, pb.PHASE_LOAD]
        return last.loaded.model_id

    def infer(self, model_id, count, *, inputs=None):
        requests = (
            pb.InferRequest(model_id=model_id, sequence=i, inputs=inputs or [tensor()])
            for i in range(count)
        )
        return list(self.call("Infer", requests))

    def bench(self, model_id, **fields):
        request = pb.BenchRequest(model_id=model_id, inputs=[tensor()], **fields)
        return list(self.call("Bench", request))

    def profile(self, model_id, iterations=3):
        request = pb.ProfileRequest(model_id=model_id, inputs=[tensor()], iterations=iterations)
        return list(self.call("Profile", request))

    def lock_step(self, model_id):
        """A host that sends its next request only after the last reply."""
        return LockStep(self, model_id)

    def wait(self) -> int:
        """The agent's exit code, once it has ended."""
        return self.process.wait(timeout=PATIENCE_SECONDS)

    def close(self):
        self.channel.close()
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.wait()
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGKILL)
                self.process.wait()
                raise
        self.process.stdout.close()
        if not self.process.stdin.closed:
            self.process.stdin.close()
        self.words = self.read_errors()
        self._errors.close()


class LockStep:
    def __init__(self, session, model_id):
        self.model_id = model_id
        self._requests = queue.SimpleQueue()
        self.replies = session.call("Infer", iter(self._requests.get, None))
        self._sequence = 0

    def run(self, data=DATA):
        self._sequence += 1
        self._requests.put(
            pb.InferRequest(model_id=self.model_id, sequence=self._sequence, inputs=[tensor(data)])
        )
        return next(self.replies)

    def end(self):
        self._requests.put(None)
