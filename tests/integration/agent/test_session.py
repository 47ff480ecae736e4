"""A session from its token to its end: who may call, and what is left afterwards."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import grpc
import pytest

from deployx_edge.agent.client import PROTOCOL_VERSION
from deployx_edge.agent.v1 import agent_pb2 as pb
from tests.integration.agent.session import Session, failure_of
from tests.integration.processes import children, is_alive, wait_until

UNARY = {
    "Handshake": pb.HandshakeRequest,
    "Describe": pb.DescribeRequest,
    "Heartbeat": pb.HeartbeatRequest,
    "Unload": pb.UnloadRequest,
    "Shutdown": pb.ShutdownRequest,
}
STREAMED = {
    "Load": pb.LoadRequest,
    "Bench": pb.BenchRequest,
    "Profile": pb.ProfileRequest,
}


def error_of(session, name, metadata):
    """What a call with this metadata is refused with."""
    with pytest.raises(grpc.RpcError) as caught:
        if name == "Infer":
            list(session.call(name, iter([pb.InferRequest()]), metadata=metadata))
        elif name in STREAMED:
            list(session.call(name, STREAMED[name](), metadata=metadata))
        else:
            session.call(name, UNARY[name](), metadata=metadata)
    return caught.value


def sessions_in(work):
    return sorted(path.name for path in (work / "sessions").iterdir())


def test_the_version_line_is_as_documented(binaries):
    done = subprocess.run([binaries.agent, "--version"], capture_output=True, text=True)
    said = rf"dx-agent \d+\.\d+\.\S+ protocol {PROTOCOL_VERSION} target linux-x64\n"
    assert re.fullmatch(said, done.stdout)


@pytest.mark.parametrize("name", [*UNARY, *STREAMED, "Infer"])
def test_no_call_is_served_without_the_token(start, name):
    session = start()
    other = "0" * len(session.token)
    key = "x-deployx-token"
    for metadata in (
        (("x-other", "1"),),
        ((key, ""),),
        ((key, other),),
        ((key, session.token[:-1]),),
        ((key, session.token + "0"),),
        ((key, session.token), (key, session.token)),
    ):
        error = error_of(session, name, metadata)
        assert error.code() == grpc.StatusCode.UNAUTHENTICATED
        assert session.token not in error.details()
    session.shake()  # Shutdown, too, was not obeyed


@pytest.mark.parametrize(
    "line", ["", "token\n", "token abc\n", "token " + "g" * 32 + "\n", "x" * 999]
)
def test_an_agent_without_a_proper_token_does_not_start(binaries, work, line):
    done = subprocess.run(
        [binaries.agent, "serve", "--work", work], input=line, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "expected the line 'token HEX'" in done.stderr


def test_a_host_of_another_version_is_refused_with_the_remedy(start):
    session = start()
    for version, protocol, found in (
        ("0.0.1", PROTOCOL_VERSION, "the host of version '0.0.1' and protocol"),
        (None, 1, f"the host of version '{session.binaries.version}' and protocol 1"),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            session.shake(version, protocol)
        failure = failure_of(caught.value)
        assert failure.code == pb.FAILURE_VERSION
        assert found in failure.message
        agent = f"of version {session.binaries.version} and protocol {PROTOCOL_VERSION}"
        assert f"the agent is {agent}" in failure.message
        assert "`deployx-edge build --target linux-x64`" in failure.message
    error = error_of(session, "Describe", session.metadata)
    assert failure_of(error).code == pb.FAILURE_VERSION
    reply = session.shake()
    assert reply.agent_version == session.binaries.version
    assert reply.protocol_version == PROTOCOL_VERSION
    assert reply.target_id == "linux-x64"
    assert session.call("Describe", pb.DescribeRequest()).machine == os.uname().machine


def test_the_agent_listens_on_loopback_only(session):
    port = f":{session.port:04X}"
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    rows = [row.split() for table in tables for row in table.read_text().splitlines()[1:]]
    listening = {row[1] for row in rows if row[3] == "0A" and row[1].endswith(port)}
    # 127.0.0.1 as such, or in IPv6's notation for it.
    loopback = {"0100007F" + port, "0000000000000000FFFF00000100007F" + port}
    assert len(listening) == 1 and listening < loopback


def end_by_input(session):
    session.process.stdin.close()


def end_by_call(session):
    session.call("Shutdown", pb.ShutdownRequest())


def end_by_signal(session):
    session.process.send_signal(signal.SIGTERM)


@pytest.mark.parametrize("end", [end_by_input, end_by_call, end_by_signal])
@pytest.mark.parametrize("words", ["", "run hang\n"])
def test_the_session_ends_with_its_workers_and_leaves_nothing(session, work, end, words):
    model = session.load(words)
    calls = session.lock_step(model)
    calls.run()
    (worker,) = children(session.pid)
    if words:
        request = pb.BenchRequest(model_id=model)
        with pytest.raises(grpc.RpcError):  # Infer has it
            list(session.call("Bench", request))
    end(session)
    assert session.wait() == 0
    assert not is_alive(worker)
    assert sessions_in(work) == []
    calls.end()


def test_the_session_ends_without_a_heartbeat(start, work):
    session = start("--heartbeat-seconds", "5")
    session.shake()
    session.load()
    (worker,) = children(session.pid)
    for _ in range(14):
        time.sleep(0.5)
        session.call("Heartbeat", pb.HeartbeatRequest())
    assert session.process.poll() is None
    assert session.wait() == 0
    assert "no heartbeat for 5 s" in session.read_errors()
    assert not is_alive(worker)
    assert sessions_in(work) == []


def test_an_agent_that_is_killed_leaves_no_worker_and_the_next_tidies_up(start, work):
    first = start()
    first.shake()
    first.load()
    model = first.load("run hang\n")
    calls = first.lock_step(model)
    calls.run()
    running = children(first.pid)
    assert len(running) == 2
    first.process.kill()
    first.process.wait()
    wait_until(lambda: not any(is_alive(pid) for pid in running), "the end of the workers")
    left = sessions_in(work)
    assert len(left) == 1
    second = start()
    assert left[0] not in sessions_in(work)
    assert len(sessions_in(work)) == 1
    second.shake()
    calls.end()


def test_fifty_agents_serve_at_once_from_one_work_folder(binaries, work):
    sessions = [Session(binaries, work, ()) for _ in range(50)]
    try:
        assert len({session.port for session in sessions}) == 50
        for session in sessions:
            session.shake()
        models = [session.load() for session in sessions[:10]]
        for session, model in zip(sessions, models, strict=False):
            assert [reply.sequence for reply in session.infer(model, 3)] == [0, 1, 2]
        # One session's token opens no other.
        error = error_of(sessions[0], "Describe", sessions[1].metadata)
        assert error.code() == grpc.StatusCode.UNAUTHENTICATED
    finally:
        for session in sessions:
            session.close()
    assert sessions_in(work) == []


def test_an_agent_that_is_told_so_is_emulated(start):
    session = start("--emulated")
    session.shake()
    board = session.call("Describe", pb.DescribeRequest())
    assert board.emulated
    for field in ("cpu_model", "soc", "memory_bytes", "memory_available_bytes"):
        assert not board.HasField(field)
    assert not board.conditions.temperatures and not board.conditions.frequencies
    summary = session.bench(session.load(), iterations=2)[-1].summary
    assert not summary.HasField("peak_memory_bytes")
    assert not summary.before.frequencies


def test_the_launcher_starts_the_workers(start):
    session = start("--launcher", "/usr/bin/env", "--launcher", "DX_LAUNCHED=yes")
    session.shake()
    session.load()
    (worker,) = children(session.pid)
    assert b"DX_LAUNCHED=yes" in Path(f"/proc/{worker}/environ").read_bytes()
