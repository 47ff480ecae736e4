"""Strangers: whoever has no token costs the agent little, and its host nothing."""

from __future__ import annotations

import resource
import secrets
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import grpc
import pytest

from deployx_edge.agent.v1 import agent_pb2 as pb
from deployx_edge.agent.v1 import agent_pb2_grpc
from tests.integration.agent.session import Binaries, Session
from tests.integration.conftest import built_agent
from tests.integration.processes import wait_until

MEBIBYTE = 1 << 20
SERVICE = "/deployx.agent.v1.Agent/"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# RFC 9113: kinds and flags of frames.
DATA, HEADERS, SETTINGS = 0, 1, 4
END_HEADERS = 4
MOST_CONNECTIONS = 24


@pytest.fixture
def released(tmp_path: Path) -> Iterator[Session]:
    """The agent as it goes to boards: memory is measured without a sanitizer's own."""
    agent = built_agent("linux-x64")
    work = tmp_path / "work"
    work.mkdir()
    binaries = Binaries(agent=agent, worker=agent)
    session = Session(binaries, work, ("--heartbeat-seconds", "900"))
    session.shake()
    yield session
    session.close()


def memory(session: Session, field: str) -> int:
    lines = Path(f"/proc/{session.pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(field))


def descriptors(session: Session) -> int:
    return len(list(Path(f"/proc/{session.pid}/fd").iterdir()))


def passed(data: bytes) -> bytes:
    return data


def call_with(session: Session, name: str, body: bytes, metadata: tuple = ()) -> grpc.StatusCode:
    """How a call ends that sends these bytes as its request."""
    if name == "Infer":
        replies = session.channel.stream_stream(SERVICE + name, passed, passed)(
            iter([body]), metadata=metadata, timeout=120
        )
    else:
        replies = session.channel.unary_stream(SERVICE + name, passed, passed)(
            body, metadata=metadata, timeout=120
        )
    with pytest.raises(grpc.RpcError) as caught:
        list(replies)
    return caught.value.code()


def test_a_gigabyte_without_a_token_is_not_read(released: Session) -> None:
    before = memory(released, "VmRSS")
    body = bytes(256 * MEBIBYTE)
    wrong = (("x-deployx-token", secrets.token_hex(16)),)
    for name in ("Handshake", "Load", "Infer", "Bench"):
        for metadata in ((), wrong) if name == "Bench" else ((),):
            assert call_with(released, name, body, metadata) == grpc.StatusCode.UNAUTHENTICATED
    assert memory(released, "VmHWM") - before < 32 * MEBIBYTE
    released.shake()


def frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))[1:]
        + bytes([kind, flags])
        + struct.pack(">I", stream)
        + content
    )


def field(name: bytes, value: bytes) -> bytes:
    """A header field by RFC 7541, without an index."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def a_call(stream: int, *, body: int) -> bytes:
    """A Bench without a token that announces 10 MB, sends some of it, and has no end."""
    path = f"{SERVICE}Bench".encode()
    fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", path)]
    fields += [(b":authority", b"x"), (b"content-type", b"application/grpc"), (b"te", b"trailers")]
    content = (b"\0" + struct.pack(">I", 10_000_000) + bytes(body))[:body]
    pieces = [content[at : at + 16000] for at in range(0, len(content), 16000)]
    return frame(
        HEADERS, END_HEADERS, stream, b"".join(field(name, value) for name, value in fields)
    ) + b"".join(frame(DATA, 0, stream, piece) for piece in pieces)


def storm(session: Session, *, connections: int, calls: int, body: int) -> Callable[[], None]:
    """Strangers that open calls, without end to any; gives what waits for their end."""
    stack = ExitStack()

    def attack() -> None:
        with suppress(OSError):
            link = socket.create_connection(("127.0.0.1", session.port), timeout=60)
            stack.callback(link.close)
            link.settimeout(10)
            link.sendall(PREFACE + frame(SETTINGS, 0, 0, b""))
            for number in range(calls):
                link.sendall(a_call(2 * number + 1, body=body))

    threads = [threading.Thread(target=attack) for _ in range(connections)]
    for thread in threads:
        thread.start()

    def wait() -> None:
        for thread in threads:
            thread.join()
        stack.close()

    return wait


def as_new_host(session: Session) -> None:
    """Another connection with the token: it is answered, if need be at a second try."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(f"127.0.0.1:{session.port}", options=options) as channel:
        agent_pb2_grpc.AgentStub(channel).Heartbeat(
            pb.HeartbeatRequest(), metadata=session.metadata, timeout=120, wait_for_ready=True
        )


def test_a_storm_leaves_the_host_its_agent_and_the_board_its_memory(released: Session) -> None:
    before = memory(released, "VmRSS")
    wait = storm(released, connections=100, calls=30, body=60_000)
    for _ in range(20):
        released.call("Heartbeat", pb.HeartbeatRequest())
    as_new_host(released)
    wait()
    released.shake()
    assert memory(released, "VmHWM") - before < 160 * MEBIBYTE
    left = 48 * MEBIBYTE
    wait_until(lambda: memory(released, "VmRSS") - before < left, "memory given back")
    wait_until(lambda: descriptors(released) < 20, "the end of the connections")


def test_a_storm_breaks_nothing(session: Session) -> None:
    model = session.load()
    wait = storm(session, connections=40, calls=10, body=20_000)
    assert len(session.infer(model, 20)) == 20
    wait()
    assert len(session.infer(model, 20)) == 20


@pytest.mark.parametrize(
    "says", [b"", PREFACE + frame(SETTINGS, 0, 0, b"")], ids=["silent", "idle"]
)
def test_connections_that_are_held_leave_room_for_the_host(released: Session, says: bytes) -> None:
    # So few descriptors that the strangers alone would take them all.
    resource.prlimit(released.pid, resource.RLIMIT_NOFILE, (80, 80))
    with ExitStack() as stack:
        for _ in range(120):
            link = socket.socket()
            stack.callback(link.close)
            link.setblocking(False)
            with suppress(BlockingIOError):
                link.connect(("127.0.0.1", released.port))
            with suppress(OSError):
                link.send(says)
        as_new_host(released)
        assert descriptors(released) <= MOST_CONNECTIONS + 20
        released.shake()
    as_new_host(released)
